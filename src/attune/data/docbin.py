"""spaCy's binary `.spacy` files, read by spaCy itself, which is an extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from attune.data.table import Content
from attune.errors import DataError, MachineError, Problem


def parse(raw: bytes, name: str) -> Content:
    """`text` with `spans` for the entities, or with `label` for the categories, of each document.

    Raises:
        MachineError: without spaCy.
        DataError: for a file that is none of spaCy's, or without entities and categories.
    """
    try:
        spacy, tokens = import_module("spacy"), import_module("spacy.tokens")
    except ImportError as error:
        fix = "pip install 'attune-nlp[spacy]', or export the data as JSON lines with text and spans."
        raise MachineError(
            Problem(name, "reading .spacy files needs the package `spacy`", fix=fix)
        ) from error
    try:
        documents = list(tokens.DocBin().from_bytes(raw).get_docs(spacy.blank("xx").vocab))
    except (ValueError, KeyError, OSError) as error:
        fix = "Write it again with DocBin.to_disk."
        raise DataError(Problem(name, "not a whole .spacy file", str(error)[:120], fix)) from error
    cells: dict[str, list[Any]] = {"text": [document.text for document in documents]}
    if any(document.ents for document in documents):
        cells["spans"] = [
            [{"start": e.start_char, "end": e.end_char, "label": e.label_} for e in document.ents]
            for document in documents
        ]
    elif any(document.cats for document in documents):
        cells["label"] = [[n for n, on in document.cats.items() if on >= 0.5] for document in documents]
    else:
        raise DataError(
            Problem(name, "holds neither entities nor categories", fix="Give annotated documents.")
        )
    return Content(tuple(cells), cells, list(range(1, len(documents) + 1)), ())
