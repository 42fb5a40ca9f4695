"""Labels of whole texts: what a cell holds, one label, several or a number, and what numbered ones are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attune.data.cells import decoded
from attune.data.looks import COMMA, NUMBER, Look, decimal_commas, is_missing, label_name
from attune.data.problems import listed, shown
from attune.data.table import Table
from attune.errors import DataError, Problem

SEPARATORS = ",|#;"
COMBINED = 3  # values made of other values, from which on a cell seems to hold several labels
LARGEST = 1e15  # of numbers to learn; what lies beyond has no digits left to tell two of them apart
TRUTH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def separator(label: Look) -> str:
    """What parts the labels of a cell, where several values such as `4,27` are made of others; else ""."""
    return next((sign for sign in SEPARATORS if len(combined(label, sign)) >= COMBINED), "")


def combined(label: Look, sign: str) -> list[str]:
    """The values that are made of other values of the column."""
    return [
        value
        for value in label.counts
        if sign in value and all(part.strip() in label.counts for part in value.split(sign))
    ]


def truths(look: Look) -> bool:
    """True for a column of 0 and 1, or of true and false."""
    return len(look.counts) == 2 and {TRUTH.get(value) for value in look.counts} == {False, True}


def names(values: set[str], known: Sequence[str]) -> dict[str, str]:
    """Names of numbered labels, counted from 0, or from 1 where the last number needs it; else nothing."""
    if not known or not values or not all(value.isascii() and value.isdigit() for value in values):
        return {}
    numbers = {int(value) for value in values}
    if known[0] == "" and 0 in numbers:
        return {}  # a list that counts from 1 beside numbers that count from 0 is of something else
    first = 1 if max(numbers) == len(known) and 0 not in numbers else 0
    if max(numbers) - first >= len(known):
        return {}
    return {str(at): name for at, name in enumerate(known, first)}


def classes(cells: Sequence[Any], known: Mapping[str, str]) -> list[Any]:
    """Each cell's one label by name, also out of a list of one; other cells stay, for the checks to name."""
    once: dict[str, str] = {}  # each name is kept once, however many rows have it
    made = (_class(cell, known) for cell in cells)
    return [once.setdefault(name, name) if isinstance(name, str) else name for name in made]


def _class(cell: Any, known: Mapping[str, str]) -> Any:
    held = decoded(cell)
    if isinstance(held, list) and len(held) == 1 and isinstance(held[0], (str, int, float)):
        cell = held[0]
    if is_missing(cell):
        return None
    if isinstance(cell, (str, int, float)):
        return known.get(label_name(cell), label_name(cell))
    return cell


def sets(table: Table, column: str, sign: str, known: Mapping[str, str]) -> list[list[str] | None]:
    """The labels of each cell, each once; a list, or a text parted by `sign`; nothing is no label.

    A column with nothing at all has no sets: None for each row.
    """
    cells = table.column(column)
    if all(map(is_missing, cells)):
        return [None] * len(cells)
    made: list[list[str] | None] = []
    problems = []
    for row, cell in enumerate(cells):
        held = decoded(cell)
        if isinstance(held, dict) or (
            isinstance(held, list) and any(isinstance(v, (list, dict)) for v in held)
        ):
            fix = "Write the labels of a row as a list."
            problems.append(Problem(table.place(row), f"no list of labels in {column!r}", shown(cell), fix))
            continue
        if not isinstance(held, list):
            held = [] if is_missing(cell) else str(label_name(cell)).split(sign) if sign else [cell]
        parts = [label_name(part).strip() for part in held if not is_missing(part)]
        made.append(list(dict.fromkeys(known.get(part, part) for part in parts)))
    if problems:
        raise DataError(*listed(problems))
    return made


def marks(table: Table, columns: Sequence[str]) -> list[list[str] | None]:
    """The labels of each row, whose columns hold 1; None where a row has none of the cells."""
    made: list[list[str] | None] = []
    problems = []
    for row, cells in enumerate(zip(*(table.column(name) for name in columns), strict=True)):
        if all(map(is_missing, cells)):
            made.append(None)
            continue
        held = [TRUTH.get(label_name(cell).strip().lower()) for cell in cells]
        made.append([name for name, on in zip(columns, held, strict=True) if on])
        for name, cell, on in zip(columns, cells, held, strict=True):
            if on is None:
                fix = "Write 1 where the label holds, and 0 where it does not."
                problems.append(Problem(table.place(row), f"neither 0 nor 1 in {name!r}", shown(cell), fix))
    if problems:
        raise DataError(*listed(problems))
    return made


def refuse_odd_numbers(table: Table, column: str) -> None:
    """Raises for the cells of a column that are no numbers, by their places, where most are some."""
    cells = [cell for cell in table.column(column) if not is_missing(cell)]
    written = [str(cell) for cell in cells]
    if sum(bool(NUMBER.fullmatch(cell) or COMMA.fullmatch(cell)) for cell in written) * 2 > len(cells):
        numbers(table, column)


def numbers(table: Table, column: str) -> list[float | None]:
    """The number of each cell; None where it holds nothing."""
    made: list[float | None] = []
    problems = []
    commas = decimal_commas(
        [cell for cell in table.column(column) if isinstance(cell, str) and COMMA.fullmatch(cell)]
    )
    for row, cell in enumerate(table.column(column)):
        if commas and isinstance(cell, str) and COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        written = isinstance(cell, str) and NUMBER.fullmatch(cell)
        number = float(cell) if written or isinstance(cell, (int, float)) else float("nan")
        if is_missing(cell):
            made.append(None)
        elif abs(number) < LARGEST:
            made.append(number)
        else:
            large = abs(number) >= LARGEST
            fix = f"Write a number below {LARGEST:g}." if large else "Write a number such as 3.5 or 1300."
            problems.append(Problem(table.place(row), f"no number in {column!r}", shown(cell), fix))
    if problems:
        raise DataError(*listed(problems))
    return made
