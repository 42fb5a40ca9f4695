"""What stands in the bytes of a file: told from its suffix, and for texts from what the lines look like."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from attune.data import (
    argilla,
    columnar,
    conll,
    delimited,
    docbin,
    jsonrows,
    labelled_lines,
    labelstudio,
    polyai,
    prodigy,
    squad,
)
from attune.data.document import Document
from attune.data.encoding import document
from attune.data.splitnames import SPLITS
from attune.data.stored import Stored
from attune.data.table import Content
from attune.errors import DataError, Problem

JSON = (".json", ".jsonl", ".ndjson")
READABLE = (*delimited.USUAL, *JSON, *conll.SUFFIXES, ".parquet", ".spacy")
KINDS = (
    "Readable are .csv, .tsv, .txt (with tabs), .json, .jsonl, .ndjson, .parquet, .conll, .conllu, .iob, .bio"
    " and .spacy, also as .gz or .xz."
)
FOREIGN = {
    ".xlsx": "a spreadsheet: save it as CSV (UTF-8) and give that file",
    ".xls": "a spreadsheet: save it as CSV (UTF-8) and give that file",
    ".ods": "a spreadsheet: save it as CSV (UTF-8) and give that file",
    ".zip": "an archive: unpack it and give the file in it",
    ".tar": "an archive: unpack it and give the file in it",
    ".arrow": "part of a data set: give the folder that holds it",
}
MAGIC = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\x1f\x8b": "packed with gzip",
    b"\xfd7zXZ": "packed with xz",
}
MAGIC |= {b"PAR1": "a Parquet file", b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an old spreadsheet or document"}

SIGNATURE = max(map(len, MAGIC))

Parts = dict[str, Content]  # by the name of the split; "" where the file is one table


def parts(file: IO[bytes], path: Path, *, kind: str, encoding: str) -> Parts:
    """The tables in a file: one, or those of its splits.

    Args:
        file: its bytes, unpacked; can be read from any place.
        path: of the file, for messages.
        kind: its suffix, `.csv`.
        encoding: of its characters, or auto.

    Raises:
        DataError: for a kind that is not read, and for what its reader refuses.
    """
    if kind == ".parquet":
        held = columnar.parse(file, path.name)
        return {"": argilla.content(held, path.name) if argilla.recognised(held.columns) else held}
    if kind == ".spacy":
        return {"": docbin.parse(file.read(), path.name)}
    start = file.read(SIGNATURE)
    for magic, what in MAGIC.items() if kind in READABLE else ():
        if start.startswith(magic):
            fix = "Give it the suffix that says what it is, or save it as CSV."
            raise DataError(Problem(str(path), f"called {kind}, but it is {what}", fix=fix))
    if kind not in READABLE:
        return {"": _unnamed(file, path, kind, encoding)}
    text = document(file, path.name, encoding=encoding)
    found = _json(text) if kind in JSON else {"": _lines(text, kind)}
    return {name: held._replace(notes=(*text.notes, *held.notes)) for name, held in found.items()}


def told(text: str) -> bool:
    """True for lines that say by themselves what they are."""
    return conll.recognised(text) or bool(labelled_lines.recognised(text))


def _unnamed(file: IO[bytes], path: Path, kind: str, encoding: str) -> Content:
    """The rows of a file whose suffix says nothing, where its lines do."""
    fix = f"It is {FOREIGN[kind]}." if kind in FOREIGN else KINDS
    refused = Problem(str(path), f"files of type {kind or '(no suffix)'} are not read", fix=fix)
    if kind in FOREIGN:
        raise DataError(refused)
    try:
        text = document(file, path.name, encoding=encoding)
    except DataError:
        raise DataError(refused) from None
    if conll.recognised(text.head):
        found = conll.parse(text.whole(), path.name)
    elif form := labelled_lines.recognised(text.head):
        found = labelled_lines.parse(text, form)
    else:
        raise DataError(refused)
    return found._replace(notes=(*text.notes, *found.notes))


def _lines(text: Document, kind: str) -> Content:
    """The rows of a text of lines: columns of words, labelled lines, or delimited fields."""
    if kind in conll.SUFFIXES or (kind != ".csv" and conll.recognised(text.head)):
        return conll.parse(text.whole(), text.name)
    form = labelled_lines.recognised(text.head)
    if form == "fasttext" or (form and kind == ".txt"):
        return labelled_lines.parse(text, form)
    held = delimited.parse(text, suffix=kind)
    return argilla.content(held, text.name) if argilla.recognised(held.columns) else held


def _json(text: Document) -> Parts:
    """The rows of JSON: one object a line, SQuAD, an object of splits, an export of a tool, or a list of objects."""
    rows = jsonrows.by_line(text)
    if rows is None:
        held = text.whole()
        whole = jsonrows.single(held)
        if whole is not None and squad.recognised(whole):
            return {"": squad.content(whole, text.name)}
        if whole is not None and (found := _splits(whole, text.name)):
            return found
        rows = jsonrows.rows(held, text.name)
    content = _objects(rows, text.name)
    return {"": content._replace(notes=(*rows.notes, *content.notes))}


def _objects(rows: jsonrows.Rows, name: str) -> Content:
    """Rows of an annotation tool, or plain ones."""
    for recognised, content in (
        (labelstudio.nested, labelstudio.content),
        (polyai.recognised, polyai.content),
        (prodigy.recognised, prodigy.content),
    ):
        if recognised(rows.rows):
            return content(rows.rows, rows.lines, name)
    if labelstudio.flat(rows.rows):
        rows.rows = Stored.of(labelstudio.filled(rows.rows))
    held = jsonrows.content(rows)
    return argilla.content(held, name) if argilla.recognised(held.columns) else held


def _splits(whole: dict[str, Any], name: str) -> Parts:
    """The splits of an object such as `{"train": [...], "val": [...]}`, rows as objects or lists; else nothing."""
    if "train" not in {SPLITS.get(key) for key in whole} or not all(
        isinstance(v, list) for v in whole.values()
    ):
        return {}
    found: Parts = {}
    for split, values in whole.items():
        rows = jsonrows.Rows(f"{name}:{split}")
        for number, value in enumerate(values, 1):
            listed = isinstance(value, list)
            rows.add({f"column{at}": cell for at, cell in enumerate(value, 1)} if listed else value, number)
        if not len(rows) and not rows.problems:
            rows.problem("", "holds no rows", fix="Add rows to this split.")
        found[split] = jsonrows.content(rows)
    return found
