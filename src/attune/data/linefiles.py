"""Texts and labels in files of their own, line by line: `seq.in` and `label`, `s1.dev` and `labels.dev`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from attune.data.document import Document
from attune.data.problems import count, some
from attune.data.splitnames import PACKING, split_of, words
from attune.data.stored import Stored, Writer
from attune.data.table import Content
from attune.errors import DataError, Problem

TEXTS = ("seq.in", "text", "texts", "s1", "sentence1", "premise", "sentences", "sentence")
LABELS = ("label", "labels", "seq.out", "tags", "gold")
PAIRS = ("s2", "sentence2", "hypothesis")
BESIDE = ("", "txt", *PACKING)  # words of a name that say nothing of what the lines are

Group = dict[str, Path]  # by what the lines are: {"text": ..., "labels": ...}


def groups(folder: Path) -> dict[str, Group]:
    """The line files of a folder by split ("" where their names tell none), the text first."""
    found: dict[str, Group] = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        stem = _stem(path.name)
        if path.is_file() and stem in (*TEXTS, *LABELS, *PAIRS):
            found[split_of(path.name)][stem] = path
    return {split: _ordered(group) for split, group in found.items() if _whole(group)}


def around(path: Path) -> Group:
    """The line files that belong to this one, which holds texts; nothing where it stands alone."""
    if _stem(path.name) not in TEXTS or not path.is_file():
        return {}
    group = groups(path.parent).get(split_of(path.name), {})
    return group if path in group.values() else {}


def content(texts: Mapping[str, Document], name: str) -> Content:
    """A row for each line, with a column for each file; empty lines at the end are none.

    Args:
        texts: what stands in each file, by column.
        name: of the file of the texts.

    Raises:
        DataError: for files that do not have the same number of lines.
    """
    cells = {column: _lines(text, strip=column in LABELS) for column, text in texts.items()}
    lengths = {column: len(held) for column, held in cells.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{column}: {n:,}" for column, n in lengths.items())
        fix = "Give each text its label on the same line."
        raise DataError(Problem(name, "files that belong together have other numbers of lines", found, fix))
    rows = next(iter(lengths.values()))
    if not rows:
        raise DataError(Problem(name, "the file is empty", fix="Give one text a line."))
    note = f"{name} was read with the files beside it, line by line: {some(list(cells))} ({count(rows, 'line')})."
    return Content(tuple(cells), cells, range(1, rows + 1), (note,))


def _lines(text: Document, *, strip: bool) -> Stored:
    """The lines of a file without the empty ones at its end, or without all blanks around them."""
    held, waiting = Writer(), list[str]()
    for raw in text.lines():
        waiting.append(raw.strip() if strip else raw.rstrip("\r\n"))
        if raw.strip():
            held.extend(waiting)
            waiting.clear()
    return held.whole()


def _stem(name: str) -> str:
    """What a file's lines are by its name, without split and suffix: `text` for `train_text.txt`."""
    return ".".join(w for w in re.split(r"[._-]+", name.lower()) if w not in BESIDE and not words(w))


def _whole(group: Group) -> bool:
    """True for texts with their labels or their second texts."""
    return any(s in TEXTS for s in group) and any(s in (*LABELS, *PAIRS) for s in group)


def _ordered(group: Group) -> Group:
    order = (*TEXTS, *PAIRS, *LABELS)
    return {stem: group[stem] for stem in sorted(group, key=order.index)}
