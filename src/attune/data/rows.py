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

from attune.data import labels, questions, tagging
from attune.data.columns import Roles
from attune.data.problems import some
from attune.data.table import Table
from attune.errors import DataError, Problem, command, nearest

Spans = Literal["snap", "refuse"]


def canonical(table: Table, roles: Roles, *, labelled: bool = True, spans: Spans = "snap") -> Table:
    """The rows of one file with the columns that the task reads, named by role; lines and notes stay.

    Args:
        table: as `read` gives it.
        roles: as `roles.infer` found them on train.
        labelled: False for rows that are only to be predicted: labels are not looked at.
        spans: what to do with an entity that cuts a word or crosses another: `snap` widens it to whole words
            and keeps the longest, and counts it as a finding; `refuse` makes it a problem.

    Returns:
        A table without `label` where the file has no such column, as in tests whose labels are kept back.

    Raises:
        DataError: for a file without the columns, and cells that do not hold what the task needs.
    """
    _check_columns(table, roles, labelled=labelled)
    return _by_task(table, roles, labelled=labelled, spans=spans)


def _by_task(table: Table, roles: Roles, *, labelled: bool, spans: Spans) -> Table:
    """The rows whose columns are known to be there."""
    if roles.task == "tagging":
        return tagging.canonical(table, roles, labelled=labelled, snap=spans == "snap")
    if roles.task == "qa":
        return questions.canonical(table, roles, labelled=labelled)
    cells: dict[str, Sequence[Any]] = {"text": table.column(roles.text)}
    for role, name in (("pair", roles.pair), ("negative", roles.negative)):
        if name in table.columns:
            cells[role] = table.column(name)
    if labelled and all(name in table.columns for name in roles.labels):
        cells["label"] = _labels(table, roles)
    return replace(table, columns=tuple(cells), cells=cells)


def splits(tables: Mapping[str, Table], roles: Roles, *, spans: Spans = "snap") -> dict[str, Table]:
    """Every split with its columns by role; one without labels may lack the others too, as some tests do.

    Raises:
        DataError: as `canonical`, for all splits together.
    """
    known = tables["train"].columns if "train" in tables else ()
    made: dict[str, Table] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        try:
            if name != "train" and roles.label and _unlabelled(table, roles, known):
                kept = {
                    role: table.column(column) for role, column in _texts(roles) if column in table.columns
                }
                made[name] = replace(table, columns=tuple(kept), cells=kept)
                continue
            _check_columns(table, roles, labelled=True)
            made[name] = _by_task(table, roles, labelled=True, spans=spans)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return made


def _texts(roles: Roles) -> tuple[tuple[str, str], ...]:
    """The columns of texts by role."""
    return (("text", roles.text), ("pair", roles.pair)) if roles.pair else (("text", roles.text),)


def _unlabelled(table: Table, roles: Roles, known: Sequence[str]) -> bool:
    """True for a file without the columns of labels, and without one that looks like a slip of the pen."""
    new = [name for name in table.columns if name not in known]
    return not any(name in table.columns or nearest(name, new) for name in roles.labels)


def _check_columns(table: Table, roles: Roles, *, labelled: bool) -> None:
    """Raises for columns that are not there; a label that is not there is a slip only if a like name is."""
    problems = []
    for role, name in _texts(roles):
        if name not in table.columns:
            fix = nearest(name, table.columns) or f"Give {table.path} the columns of train"
            fix += "" if labelled else f", or name the one that holds it: --{role} COLUMN"
            if not labelled and len(table.columns) == 1 and not roles.pair:
                fix += f"; lines without a header: {command(f'predict RUN - < {table.path}')}"
            found = f"the columns {some(table.columns, 20)}"
            problems.append(Problem(table.path, f"no column {name!r} for the {role}", found, fix))
    for name in roles.labels if labelled else ():
        if name not in table.columns and (fix := nearest(name, table.columns)):
            found = f"the columns {some(table.columns, 20)}"
            problems.append(Problem(table.path, f"no column {name!r} for the label", found, fix))
    if problems:
        raise DataError(*problems)


def _labels(table: Table, roles: Roles) -> list[Any]:
    """The label of each row as the task learns it."""
    if not roles.label:
        return [None] * len(table)
    if isinstance(roles.label, tuple):
        return labels.marks(table, roles.label)
    if roles.task == "multilabel":
        return labels.sets(table, roles.label, roles.separator, roles.names)
    if roles.task in ("regression", "similarity"):
        return labels.numbers(table, roles.label)
    return labels.classes(table.column(roles.label), roles.names)
