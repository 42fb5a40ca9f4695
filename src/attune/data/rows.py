"""Canonical rows: what the columns of a file mean, under the names that every task reads.

    task             text       pair               label
    classification   text       second text        str
    multilabel       text       second text        list[str], may be empty
    regression       text       second text        float
    tagging          text       -                  list[str], one tag a word; `words`: list[(begin, end)]
    qa               question   context            list[{"text": str, "start": int}], [] = no answer
    similarity       anchor     positive, other    float, or no label where there are only pairs

`group` (rows that must stay in one split) and `negative` (similarity) are there where the data has them. A
cell without a value stays None in `label` and as it is in `text`: the checks name those rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from attune.data.columns import Roles
from attune.data.looks import is_missing, label_name
from attune.data.problems import shown, some
from attune.data.table import Table
from attune.errors import DataError, Problem, nearest

Spans = Literal["snap", "refuse"]


def canonical(table: Table, roles: Roles, *, labels: bool = True, spans: Spans = "snap") -> Table:
    """The rows of one file with the columns that the task reads, named by role; lines and notes stay.

    Args:
        table: as `read` gives it.
        roles: as `roles.infer` found them on train.
        labels: False for rows that are only to be predicted: labels are not looked at.
        spans: what to do with an entity that cuts a word or crosses another: `snap` widens it to whole words
            and keeps the longest, and counts it as a finding; `refuse` makes it a problem.

    Returns:
        A table without `label` where the file has no such column, as in tests whose labels are kept back.

    Raises:
        DataError: for a file without the columns, and cells that do not hold what the task needs.
    """
    _check_columns(table, roles, labels=labels)
    cells: dict[str, list[Any]] = {"text": table.column(roles.text)}
    if roles.pair:
        cells["pair"] = table.column(roles.pair)
    if labels and all(name in table.columns for name in roles.labels):
        cells["label"] = _classes(table.column(roles.labels[0]), roles.names)
    return replace(table, columns=tuple(cells), cells=cells)


def splits(tables: Mapping[str, Table], roles: Roles, *, spans: Spans = "snap") -> dict[str, Table]:
    """Every split with its columns by role.

    Raises:
        DataError: as `canonical`, for all splits together.
    """
    made: dict[str, Table] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        try:
            made[name] = canonical(table, roles, spans=spans)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return made


def _check_columns(table: Table, roles: Roles, *, labels: bool) -> None:
    """Raises for columns that are not there; a label that is not there is a slip only if a like name is."""
    problems = []
    for role, name in (("text", roles.text), ("pair", roles.pair)):
        if name and name not in table.columns:
            fix = nearest(name, table.columns) or f"Give {table.path} the columns of train."
            found = f"the columns {some(table.columns, 20)}"
            problems.append(Problem(table.path, f"no column {name!r} for the {role}", found, fix))
    for name in roles.labels if labels else ():
        if name not in table.columns and (fix := nearest(name, table.columns)):
            found = f"the columns {some(table.columns, 20)}"
            problems.append(Problem(table.path, f"no column {name!r} for the label", found, fix))
    if problems:
        raise DataError(*problems)


def _classes(cells: list[Any], names: Mapping[str, str]) -> list[Any]:
    """Each cell's label by name; a list or an object stays what it is, for the checks to name."""
    return [
        None
        if is_missing(cell)
        else names.get(label_name(cell), label_name(cell))
        if isinstance(cell, (str, int, float))
        else cell
        for cell in cells
    ]


def to_answer(table: Table, roles: Roles) -> Table:
    """The rows of a file that is only to be predicted; an empty text is answered like any other.

    Raises:
        DataError: for a file without the columns.
    """
    rows = canonical(table, roles, labels=False)
    cells = dict(rows.cells)
    for name in ("text", "pair"):
        if name in cells:
            cells[name] = ["" if is_missing(cell) else str(cell) for cell in cells[name]]
    return replace(rows, cells=cells)


def of_inputs(inputs: Sequence[Any], task: str) -> Table:
    """The rows of a program: texts, pairs of texts, or objects with the cells by role.

    Raises:
        DataError: for an input that is none of these, or has no text.
    """
    made = [_cells_of(given) for given in inputs]
    bad = [row for row, cells in enumerate(made) if not isinstance(cells.get("text"), str)]
    if bad:
        fix = 'Give a text, two texts, or {"text": ..., "pair": ...}'
        found = shown(inputs[bad[0]])
        raise DataError(Problem(f"input {bad[0]}", "holds no text", found, fix))
    names = [name for name in ("text", "pair", "words", "tokens", "group") if any(name in cells for cells in made)]
    lacking = [row for row, cells in enumerate(made) if any(name not in cells for name in names)]
    if lacking:
        what = f"lacks {some([name for name in names if name not in made[lacking[0]]])}, which others have"
        raise DataError(Problem(f"input {lacking[0]}", what))
    columns = {name: [cells[name] for cells in made] for name in names}
    return Table("", tuple(columns), columns, list(range(1, len(made) + 1)), "")


def _cells_of(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return {"text": given}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return {"text": given[0], "pair": given[1]}
    return {}
