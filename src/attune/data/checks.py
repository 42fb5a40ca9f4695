"""What is wrong with the rows, before anything is trained: problems that stop, findings that are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from attune.data import findings as find
from attune.data import targets
from attune.data.columns import Roles
from attune.data.looks import is_missing, label_name
from attune.data.problems import count, some
from attune.data.table import Finding, Table
from attune.errors import DataError, Problem, nearest

__all__ = ["Finding", "examine"]

Tables = dict[str, Table]


def examine(
    tables: Tables, roles: Roles, *, rare: str = "error", unlabelled: str = "error", split: bool = True
) -> tuple[Tables, list[Finding]]:
    """The tables without what cannot be used, and what was found in them.

    Left out, with a finding: rows without text; a valid or test without any label; with `unlabelled="drop"` rows
    without a label; with `rare="drop"` the rows of labels of which train has one.

    Args:
        tables: canonical rows (`rows.splits`) by split; `train` is one of them.
        roles: as they were inferred; messages name the columns as the file does.
        rare: `drop` or `error`: what to do with a label of a single row.
        unlabelled: `drop` or `error`: what to do with a row that has no label.
        split: whether rows for valid or test will be taken from train.

    Raises:
        DataError: for missing columns or labels, texts that are none, one class only, a label of a single row
            that would have to be split, labels that train does not have, and what else makes the targets of
            the task impossible to learn; all of them at once.
    """
    findings = [finding for table in tables.values() for finding in table.findings]
    usable = _with_labels(tables, roles, findings)
    problems = _columns(usable, roles)
    if problems:
        raise DataError(*problems)
    if unlabelled == "drop" and roles.label:
        usable = _labelled(usable, roles, findings)
    problems = _cells(usable, roles)
    if problems:
        raise DataError(*problems)
    split = split or len(usable) < len(tables)
    usable = _with_text(usable, roles, findings)
    if split and rare == "drop" and roles.task == "classification":
        usable = _without_single(usable, findings)
    problems = targets.problems(usable, roles, split=split)
    if problems:
        raise DataError(*problems)
    findings += find.few_rows(usable["train"], roles, split=split) + find.variants(usable, roles)
    findings += find.unseen(usable, roles)
    for name, table in usable.items():
        findings += find.repeated(table, roles, split=name)
    return usable, findings + find.leaks(usable, roles)


def _needed(roles: Roles) -> dict[str, str]:
    """The columns that rows of this task must have, by role, with their names in the file."""
    needed = {"text": roles.text}
    if roles.pair:
        needed["pair"] = roles.pair
    if roles.label:
        needed["label"] = ", ".join(roles.labels)
    return needed


def _keep(table: Table, gone: Iterable[int]) -> Table:
    dropped = set(gone)
    return table.take(row for row in range(len(table)) if row not in dropped) if dropped else table


def _with_labels(tables: Tables, roles: Roles, findings: list[Finding]) -> Tables:
    """The tables without a valid or test that has no label at all: no such column, or nothing in it."""
    kept = {}
    for name, table in tables.items():
        # a column of a similar name is a slip of the pen, and a problem
        nothing = bool(roles.label) and not nearest("label", table.columns)
        if roles.label and "label" in table.columns:
            nothing = all(map(is_missing, table.column("label"))) or _kept_back(name, tables, roles)
        if name != "train" and nothing:
            findings.append(find.unlabelled(name, table))
        else:
            kept[name] = table
    return kept


def _labelled(tables: Tables, roles: Roles, findings: list[Finding]) -> Tables:
    """The tables without rows that have no label; train keeps all where it has none at all."""
    kept = {}
    for name, table in tables.items():
        bare = [row for row, label in enumerate(table.column("label")) if is_missing(label)]
        if bare and len(bare) < len(table):
            why = f"of {name} with no label in {', '.join(roles.labels)!r}, left out."
            findings.append(find.left_out("unlabelled", table, rows=bare, why=why))
            table = _keep(table, bare)
        kept[name] = table
    return kept


def _kept_back(name: str, tables: Tables, roles: Roles) -> bool:
    """True for questions whose answers are all empty where every one of train has some: those of a hidden test."""
    if roles.task != "qa" or name == "train" or "label" not in tables["train"].columns:
        return False
    return not any(tables[name].column("label")) and all(tables["train"].column("label"))


def _columns(tables: Tables, roles: Roles) -> list[Problem]:
    """The columns that a split lacks."""
    problems = []
    for name, table in tables.items():
        for role, column in _needed(roles).items():
            if role not in table.columns:
                fix = nearest(role, table.columns) or f"Give {name} the columns of train, or leave it out."
                found = f"the columns {some(table.columns, 20)}"
                problems.append(Problem(table.path, f"{name} has no column {column!r}", found, fix))
    return problems


def _cells(tables: Tables, roles: Roles) -> list[Problem]:
    """The rows whose text is no text, or that have no label or several."""
    needed, problems = _needed(roles), []
    for table in tables.values():
        wrong = [
            (
                _not_text(table, role),
                f"something other than text in {needed.get(role, roles.negative)!r}",
                "Write the text as a string.",
            )
            for role in ("text", "pair", "negative")
            if role in needed or role in table.columns
        ]
        if "label" in needed:
            labels = table.column("label")
            bare = [row for row, label in enumerate(labels) if is_missing(label)]
            mend = "Label these rows, or leave them out: data.unlabelled=drop"
            if len(bare) == len(table):
                mend = "Label some of them, or name the column that holds the labels: --label COLUMN"
            wrong.append((bare, f"no label in {needed['label']!r}", mend))
            if roles.task == "classification":
                several = [row for row, cell in enumerate(labels) if isinstance(cell, (list, dict, tuple))]
                what = f"a list or an object in {needed['label']!r}"
                wrong.append((several, what, "Give each row one label."))
        for rows, what, fix in wrong:
            if rows:
                what = f"{count(len(rows), 'row')} with {what}"
                problems.append(Problem(table.path, what, find.listed_places(table, rows), fix))
    return problems


def _not_text(table: Table, role: str) -> list[int]:
    """The rows in which something stands that is neither a text nor empty."""
    cells = table.column(role)
    return [row for row, cell in enumerate(cells) if not isinstance(cell, str) and not is_missing(cell)]


def _with_text(tables: Tables, roles: Roles, findings: list[Finding]) -> Tables:
    """The tables without rows whose text, or second text, is empty."""
    kept = {}
    for name, table in tables.items():
        texts = table.column("words" if "words" in table.columns else "text")
        empty = [row for row, text in enumerate(texts) if text == [] or is_missing(text)]
        if empty:
            why = f"of {name} without text, left out."
            findings.append(find.left_out("empty", table, rows=empty, why=why))
        for role, column in (("pair", roles.pair), ("negative", roles.negative)):
            if role not in table.columns:
                continue
            without = set(empty)
            bare = [r for r, cell in enumerate(table.column(role)) if is_missing(cell) and r not in without]
            if bare:
                why = f"of {name} with nothing in {column!r}, left out."
                findings.append(find.left_out("empty", table, rows=bare, why=why))
            empty += bare
        kept[name] = _keep(table, empty)
    return kept


def _without_single(tables: Tables, findings: list[Finding]) -> Tables:
    """The tables without the rows of labels of which train has one row."""
    counts = Counter(map(label_name, tables["train"].column("label")))
    single = {label for label, n in counts.items() if n == 1}
    kept = {}
    for name, table in tables.items():
        gone = [row for row, value in enumerate(table.column("label")) if label_name(value) in single]
        if gone:
            why = f"of {name} left out, for train has a single row of the label: {some(sorted(single))}."
            findings.append(find.left_out("rare_label", table, rows=gone, why=why))
        kept[name] = _keep(table, gone)
    return kept
