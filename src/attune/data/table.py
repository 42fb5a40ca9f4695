"""Rows as they stand in a file: named columns of cells, and the line that each row starts on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, NamedTuple


class Content(NamedTuple):
    """What a reader makes of one file."""

    columns: tuple[str, ...]
    cells: dict[str, list[Any]]
    lines: list[int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows of one file or data set, by column."""

    path: str
    columns: tuple[str, ...]
    cells: dict[str, list[Any]]  # by column, all of one length
    lines: list[int]  # 1-based line on which each row starts; number of the row where there are no lines
    sha256: str  # of the file as it lies on the disk; of the cells where there is no single file
    notes: tuple[str, ...] = ()  # what was decided or repaired while reading, as sentences

    def __post_init__(self) -> None:
        assert tuple(self.cells) == self.columns, "cells and columns must name the same columns"
        assert all(len(cells) == len(self.lines) for cells in self.cells.values()), "columns differ in length"

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> list[Any]:
        """The cells of one column, from the first row to the last."""
        return self.cells[name]

    def take(self, indices: Iterable[int]) -> Table:
        """The table with only these rows, in this order, under their old line numbers."""
        rows = [int(index) for index in indices]
        cells = {name: [column[row] for row in rows] for name, column in self.cells.items()}
        return replace(self, cells=cells, lines=[self.lines[row] for row in rows])

    def row(self, index: int) -> dict[str, Any]:
        """One row by column name."""
        return {name: column[index] for name, column in self.cells.items()}

    def place(self, index: int) -> str:
        """Where a row stands: `reviews.csv:12`."""
        return f"{PurePath(self.path).name}:{self.lines[index]}"
