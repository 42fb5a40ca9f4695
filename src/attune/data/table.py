"""Rows: named columns of cells, the line that each row starts on, and what was found on the way."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from attune.data import splitnames
from attune.data.stored import taken, whole_numbers


@dataclass(frozen=True)
class Finding:
    """One thing that a check found: told, kept with the run, and not in the way."""

    check: str  # empty, unlabelled, rare_label, label_variants, duplicates, conflicts, leaks, spans, ...
    level: str  # note, warning or error
    sentence: str
    rows: tuple[str, ...] = ()  # the first places: `reviews.csv:12`

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


class Content(NamedTuple):
    """What a reader makes of one file."""

    columns: tuple[str, ...]
    cells: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows of one file or data set, by column."""

    path: str
    columns: tuple[str, ...]
    cells: Mapping[str, Sequence[Any]]  # by column, all of one length; what came from a file lies in one
    lines: Sequence[int]  # 1-based line on which each row starts; number of the row where there are no lines
    sha256: str  # of the file as it lies on the disk; of the cells where there is no single file
    notes: tuple[str, ...] = ()  # what was decided or repaired while reading, as sentences
    findings: tuple[Finding, ...] = ()  # flaws that were met and mended on the way, with their places
    names: tuple[str, ...] = ()  # what numbered labels are called, where a list of names lies beside the file

    def __post_init__(self) -> None:
        assert tuple(self.cells) == self.columns, "cells and columns must name the same columns"
        assert all(len(cells) == len(self.lines) for cells in self.cells.values()), "columns differ in length"

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> Sequence[Any]:
        """The cells of one column, from the first row to the last."""
        return self.cells[name]

    def take(self, indices: Iterable[int]) -> Table:
        """The table with only these rows, in this order, under their old line numbers."""
        rows = whole_numbers(indices)
        cells = {name: taken(column, rows) for name, column in self.cells.items()}
        return replace(self, cells=cells, lines=taken(array("q", self.lines), rows))

    def row(self, index: int) -> dict[str, Any]:
        """One row by column name."""
        return {name: column[index] for name, column in self.cells.items()}

    @property
    def name(self) -> str:
        """The name of the file for messages, with its folder where that is a split."""
        return splitnames.shown(self.path)

    def place(self, index: int) -> str:
        """Where a row stands: `reviews.csv:12`."""
        return f"{self.name}:{self.lines[index]}"
