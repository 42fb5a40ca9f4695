"""JSON and JSON lines: objects become rows, values keep their types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attune.errors import DataError, Problem, nearest

SHOWN = 10
Read = tuple[tuple[str, ...], list[list[Any]], list[int], tuple[str, ...]]


def parse(path: Path, text: str) -> Read:
    """Columns, cells, line (or row) numbers and notes of a JSON text.

    Raises:
        DataError: for lines that are not JSON, values that are not objects, keys that differ, by line.
    """
    if text.lstrip().startswith("["):
        rows, lines, problems = _array(path, text)
    else:
        rows, lines, problems = _objects(path, text)
    columns: tuple[str, ...] = tuple(dict.fromkeys(key for row in rows for key in row))
    if not problems:
        problems = _uneven(path, rows, lines, columns)
    if problems:
        more = len(problems) - SHOWN
        rest = [Problem(str(path), f"and {more} more lines like these")] if more > 0 else []
        raise DataError(*problems[:SHOWN], *rest)
    return columns, [[row[name] for row in rows] for name in columns], lines, ()


def _broken(path: Path, line: int, error: json.JSONDecodeError) -> Problem:
    return Problem(f"{path}:{line}:{error.colno}", f"is not JSON: {error.msg[0].lower()}{error.msg[1:]}")


def _array(path: Path, text: str) -> tuple[list[dict[str, Any]], list[int], list[Problem]]:
    try:
        held = json.loads(text)
    except json.JSONDecodeError as error:
        return [], [], [_broken(path, error.lineno, error)]
    problems = [
        Problem(f"{path}:{number}", "an object was expected in the list", type(value).__name__)
        for number, value in enumerate(held, 1)
        if not isinstance(value, dict)
    ]
    if not held:
        problems.append(Problem(str(path), "the list is empty"))
    return [row for row in held if isinstance(row, dict)], list(range(1, len(held) + 1)), problems


def _objects(path: Path, text: str) -> tuple[list[dict[str, Any]], list[int], list[Problem]]:
    rows, lines, problems = [], [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            problems.append(_broken(path, number, error))
            continue
        if isinstance(value, dict):
            rows.append(value)
            lines.append(number)
        else:
            problems.append(Problem(f"{path}:{number}", "an object was expected", type(value).__name__))
    return rows, lines, problems


def _uneven(path: Path, rows: list[dict[str, Any]], lines: list[int], columns: tuple[str, ...]) -> list[Problem]:
    problems = []
    for row, line in zip(rows, lines, strict=True):
        missing = [name for name in columns if name not in row]
        if missing:
            fix = nearest(missing[0], row)
            what = f"without {', '.join(map(repr, missing))}, which other rows have"
            problems.append(Problem(f"{path}:{line}", what, f"keys {', '.join(map(repr, row))}", fix))
    return problems
