"""From the name of a file, a folder or a data set to tables."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import zlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from attune.data import columnar, delimited, jsonrows
from attune.data.encoding import decode
from attune.data.problems import some
from attune.data.table import Content, Table
from attune.errors import DataError, Problem, nearest

JSON = (".json", ".jsonl", ".ndjson")
READABLE = (*delimited.USUAL, *JSON, ".parquet")
PACKED = {".gz": gzip.decompress, ".xz": lzma.decompress}
KINDS = "Readable are .csv, .tsv, .txt (with tabs), .json, .jsonl, .ndjson and .parquet, also as .gz or .xz."
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
SPLITS = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("test", "testing"), "test")
SPLITS |= dict.fromkeys(("valid", "validation", "dev", "development", "val", "eval"), "valid")


def read(source: str | Path, *, encoding: str = "auto") -> Table:
    """The rows of one file, or of a data set with one split.

    Raises:
        DataError: when it is not there, cannot be read, or has broken rows; all of these at once.
    """
    path = Path(source)
    if path.is_file():
        return _file(path, encoding)
    tables = read_splits(source, encoding=encoding)
    if len(tables) > 1:
        fix = (
            f"Name one of them: {path / next(iter(tables))}"
            if columnar.is_saved(path)
            else "Name a file in it."
        )
        raise DataError(
            Problem(str(source), "one table was expected", f"the splits {some(list(tables))}", fix)
        )
    return next(iter(tables.values()))


def read_splits(
    source: str | Path, *, valid: str = "", test: str = "", encoding: str = "auto"
) -> dict[str, Table]:
    """The tables of the splits there are, out of train, valid and test.

    `source` is a file, a folder with train/valid/test files, a saved data set, or one of the hub.

    Raises:
        DataError: as `read`, for all files together.
    """
    path = Path(source)
    files: dict[str, Path] = {}
    tables: dict[str, Table] = {}
    if path.is_dir() and columnar.is_saved(path):
        tables = _by_split(columnar.saved(path), str(source))
    elif path.is_dir():
        files = _by_name(path)
    elif path.is_file() or _names_a_file(str(source)):
        files = {"train": path}
    else:
        tables = _by_split(columnar.hub(str(source)), str(source))
    files |= {split: Path(given) for split, given in (("valid", valid), ("test", test)) if given}
    problems: list[Problem] = []
    for split, file in files.items():
        try:
            tables[split] = read(file, encoding=encoding) if split != "train" else _file(file, encoding)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return {split: tables[split] for split in ("train", "valid", "test") if split in tables}


def _file(path: Path, encoding: str) -> Table:
    """The table of one file."""
    if not path.is_file():
        raise DataError(_absent(path))
    kind, packing = _kind(path)
    if kind not in READABLE:
        fix = f"It is {FOREIGN[kind]}." if kind in FOREIGN else KINDS
        raise DataError(Problem(str(path), f"files of type {kind or '(no suffix)'} are not read", fix=fix))
    raw = _bytes(path)
    digest = hashlib.sha256(raw).hexdigest()
    content, notes = _content(_unpacked(raw, path, packing), path, kind=kind, encoding=encoding)
    return Table(str(path), content.columns, content.cells, content.lines, digest, (*notes, *content.notes))


def _content(raw: bytes, path: Path, *, kind: str, encoding: str) -> tuple[Content, tuple[str, ...]]:
    """What stands in the bytes of a file, and notes on how they were decoded."""
    if kind == ".parquet":
        return columnar.parse(raw, path.name), ()
    for magic, what in MAGIC.items():
        if raw.startswith(magic):
            fix = "Give it the suffix that says what it is, or save it as CSV."
            raise DataError(Problem(str(path), f"called {kind}, but it is {what}", fix=fix))
    text, notes = decode(raw, path.name, encoding=encoding)
    if kind in JSON:
        return jsonrows.parse(text, path.name), notes
    return delimited.parse(text, path.name, suffix=kind), notes


def _kind(path: Path) -> tuple[str, str]:
    """(`.csv`, `.gz`): the suffix that says what a file is, and the one that says how it is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packing = suffixes.pop() if suffixes and suffixes[-1] in PACKED else ""
    return (suffixes[-1] if suffixes else ""), packing


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(Problem(str(path), "cannot be opened", error.strerror or str(error))) from error


def _unpacked(raw: bytes, path: Path, packing: str) -> bytes:
    if not packing:
        return raw
    try:
        return bytes(PACKED[packing](raw))
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        fix = "Copy or download it again; it is cut off or damaged."
        raise DataError(Problem(str(path), f"not a whole {packing} file", str(error), fix)) from error


def _names_a_file(source: str) -> bool:
    """True for what cannot be the name of a data set of the hub."""
    known = _kind(Path(source))[0] in (*READABLE, *FOREIGN) or _kind(Path(source))[1]
    return bool(known) or not columnar.HUB_NAME.fullmatch(source)


def _absent(path: Path) -> Problem:
    """Says that a file is not there, with the nearest name that is."""
    if path.is_dir():
        return Problem(str(path), "a folder, where a file was expected", fix="Name a file in it.")
    if not path.parent.is_dir():
        return Problem(str(path), "no such file", fix=f"There is no folder {path.parent} either.")
    names = sorted(other.name for other in path.parent.iterdir())
    readable = [name for name in names if _kind(Path(name))[0] in READABLE]
    hint = nearest(path.name, names) or (f"Files there: {some(readable)}." if readable else "")
    return Problem(str(path), "no such file", fix=hint or f"The folder {path.parent} holds no readable file.")


def _split_of(name: str) -> str:
    """The split that a file name speaks of: its first word that is one; `cola_dev_1.tsv` is valid."""
    words = re.findall(r"[a-z]+", name.split(".")[0].lower())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _by_name(folder: Path) -> dict[str, Path]:
    """The files of a folder by the split that each is named after."""
    inside = sorted(folder.iterdir())
    readable = [file for file in inside if file.is_file() and _kind(file)[0] in READABLE]
    files: dict[str, list[Path]] = defaultdict(list)
    for file in readable:
        files[_split_of(file.name)].append(file)
    files.pop("", None)
    if not files and len(readable) == 1:
        return {"train": readable[0]}
    problems = []
    for split, candidates in files.items():
        exact = [file for file in candidates if file.name.split(".")[0].lower() in SPLITS]
        if len(candidates) > 1 and len(exact) != 1:
            fix = "Leave one file for each split, or name them: TRAIN_FILE --valid FILE --test FILE"
            problems.append(
                Problem(str(folder), f"several files for {split}", some([f.name for f in candidates]), fix)
            )
        files[split] = exact if len(exact) == 1 else candidates
    if "train" not in files:
        here = some([file.name for file in inside]) or "nothing"
        fix = f"Name a file, or call the files train.csv, valid.csv, test.csv. {KINDS}"
        problems.append(Problem(str(folder), "the folder has no train file that can be read", here, fix))
    if problems:
        raise DataError(*problems)
    return {split: candidates[0] for split, candidates in files.items()}


def _by_split(held: dict[str, Table], source: str) -> dict[str, Table]:
    """The tables under attune's names for splits; splits of other names are left out, with a note."""
    tables: dict[str, Table] = {}
    unused = []
    for name, table in held.items():
        split = SPLITS.get(name.lower(), "")
        if split and split not in tables:
            tables[split] = table
        else:
            unused.append(name)
    if not tables and len(held) == 1:
        return {"train": next(iter(held.values()))}
    if "train" not in tables:
        fix = "Save the rows to learn from as the split `train`."
        raise DataError(Problem(source, "the data set has no train split", some(list(held)), fix))
    if unused:
        note = f"{source}: not used are the splits {some(unused)}."
        tables["train"] = replace(tables["train"], notes=(*tables["train"].notes, note))
    return tables
