"""Which classes the rows of a table show: labels, sets of labels, or the types of their tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attune.data.looks import label_name
from attune.data.table import Table

CLASSED = ("classification", "multilabel", "tagging")  # the tasks whose rows show classes


def shown(table: Table, task: str) -> list[tuple[str, ...]]:
    """The classes of each row, each once: its label, its labels, the types of its tags; none elsewhere.

    The type of `B-PER` is `PER`; `O` is no class; tags that mark no entities, as of a part of speech, are
    classes as they stand.
    """
    if task not in CLASSED or "label" not in table.columns:
        return [()] * len(table)
    of_row = {"classification": _label, "multilabel": _labels, "tagging": _types}[task]
    once: dict[tuple[str, ...], tuple[str, ...]] = {}  # rows that show the same share it
    return [once.setdefault(names, names) for names in map(of_row, table.column("label"))]


def _label(cell: Any) -> tuple[str, ...]:
    return () if cell is None else (label_name(cell),)


def _labels(cell: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cell or ()))


def _types(cell: Sequence[str] | None) -> tuple[str, ...]:
    kinds = (tag[2:] if tag[:2] in ("B-", "I-") else tag for tag in cell or () if tag != "O")
    return tuple(dict.fromkeys(kinds))
