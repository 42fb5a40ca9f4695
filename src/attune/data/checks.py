"""What is wrong with the rows, before anything is trained: problems that stop, findings that are told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attune.data import findings as find
from attune.data.looks import is_missing, label_name
from attune.data.problems import SHOWN, count, listed, some
from attune.data.roles import Roles
from attune.data.table import Finding, Table
from attune.errors import DataError, Problem, nearest

__all__ = ["Finding", "examine"]

Tables = dict[str, Table]


def examine(
    tables: Tables, roles: Roles, *, rare: str = "error", split: bool = True
) -> tuple[Tables, list[Finding]]:
    """The tables without what cannot be used, and what was found in them.

    Left out, with a finding: rows without text; a valid or test without any label; with `rare="drop"` the
    rows of labels of which train has one.

    Args:
        tables: by split; `train` is one of them.
        roles: of their columns.
        rare: `drop` or `error`: what to do with a label of a single row.
        split: whether rows for valid or test will be taken from train.

    Raises:
        DataError: for missing columns or labels, texts that are none, one class only, a label of a single row
            that would have to be split, labels that train does not have; all of them at once.
    """
    findings: list[Finding] = []
    usable = _with_labels(tables, roles, findings)
    problems = _columns(usable, roles)
    if problems:
        raise DataError(*problems)
    problems = _cells(usable, roles)
    if problems:
        raise DataError(*problems)
    split = split or len(usable) < len(tables)
    usable = _with_text(usable, roles, findings)
    if split and rare == "drop":
        usable = _without_single(usable, roles, findings)
    problems = _classes(usable, roles, split=split)
    if problems:
        raise DataError(*problems)
    findings += find.few_rows(usable["train"], roles, split=split) + find.variants(usable, roles)
    for name, table in usable.items():
        findings += find.repeated(table, roles, split=name)
    return usable, findings + find.leaks(usable, roles)


def _listed(table: Table, rows: Sequence[int]) -> str:
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return ", ".join(find.places(table, rows)) + more


def _keep(table: Table, gone: Iterable[int]) -> Table:
    dropped = set(gone)
    return table.take(row for row in range(len(table)) if row not in dropped) if dropped else table


def _with_labels(tables: Tables, roles: Roles, findings: list[Finding]) -> Tables:
    """The tables without a valid or test that has no label at all: no such column, or nothing in it."""
    kept = {}
    for name, table in tables.items():
        # a column of a similar name is a slip of the pen, and a problem
        nothing = not nearest(roles.label, table.columns)
        if roles.label in table.columns:
            nothing = all(map(is_missing, table.column(roles.label)))
        if name != "train" and nothing:
            findings.append(find.unlabelled(name, table))
        else:
            kept[name] = table
    return kept


def _columns(tables: Tables, roles: Roles) -> list[Problem]:
    """The columns that a split lacks."""
    problems = []
    for name, table in tables.items():
        for column in (roles.text, roles.label):
            if column not in table.columns:
                fix = nearest(column, table.columns) or f"Give {name} the columns of train, or leave it out."
                found = f"the columns {some(table.columns, 20)}"
                problems.append(Problem(table.path, f"{name} has no column {column!r}", found, fix))
    return problems


def _cells(tables: Tables, roles: Roles) -> list[Problem]:
    """The rows whose text is no text, or that have no label or several."""
    problems = []
    for table in tables.values():
        texts, labels = table.column(roles.text), table.column(roles.label)
        other = [r for r, text in enumerate(texts) if not isinstance(text, str) and not is_missing(text)]
        bare = [row for row, label in enumerate(labels) if is_missing(label)]
        several = [row for row, label in enumerate(labels) if isinstance(label, (list, dict, tuple))]
        for rows, what, fix in (
            (other, f"something other than text in {roles.text!r}", "Write the text as a string."),
            (bare, f"no label in {roles.label!r}", "Label these rows, or delete them."),
            (several, f"a list or an object in {roles.label!r}", "Give each row one label."),
        ):
            if rows:
                what = f"{count(len(rows), 'row')} with {what}"
                problems.append(Problem(table.path, what, _listed(table, rows), fix))
    return problems


def _with_text(tables: Tables, roles: Roles, findings: list[Finding]) -> Tables:
    """The tables without rows whose text is empty."""
    kept = {}
    for name, table in tables.items():
        empty = [row for row, text in enumerate(table.column(roles.text)) if is_missing(text)]
        if empty:
            findings.append(
                find.left_out("empty", table, rows=empty, why=f"of {name} without text, left out.")
            )
        kept[name] = _keep(table, empty)
    return kept


def _without_single(tables: Tables, roles: Roles, findings: list[Finding]) -> Tables:
    """The tables without the rows of labels of which train has one row."""
    counts = Counter(find.label_names(tables["train"], roles))
    single = {label for label, n in counts.items() if n == 1}
    kept = {}
    for name, table in tables.items():
        gone = [row for row, value in enumerate(table.column(roles.label)) if label_name(value) in single]
        if gone:
            why = f"of {name} left out, for train has a single row of the label: {some(sorted(single))}."
            findings.append(find.left_out("rare_label", table, rows=gone, why=why))
        kept[name] = _keep(table, gone)
    return kept


def _classes(tables: Tables, roles: Roles, *, split: bool) -> list[Problem]:
    """What makes the labels of train impossible to learn or to score."""
    train = tables["train"]
    names = find.label_names(train, roles)
    counts = Counter(names)
    problems = [
        Problem(t.path, f"{name} has no usable row", fix="Add rows.") for name, t in tables.items() if not t
    ]
    if len(counts) == 1:
        what = f"one class only in {roles.label!r}: {some(list(counts))}"
        fix = "Add rows of another class, or name another column: --label COLUMN"
        problems.append(Problem(train.path, what, fix=fix))
    elif split:
        problems += _single(train, names, counts)
    for name in ("valid", "test"):
        if name in tables and counts:
            problems += _unseen(tables[name], find.label_names(tables[name], roles), counts)
    return problems


def _single(train: Table, names: list[str], counts: Counter[str]) -> list[Problem]:
    """The labels of one row, of which a split leaves nothing to score or nothing to learn."""
    fix = "Add rows, merge it with another label, or leave such labels out: data.rare_labels=drop"
    what = "the label {!r} has this row only, which cannot be split"
    rows = [row for row, name in enumerate(names) if counts[name] == 1]
    return list(listed([Problem(train.place(row), what.format(names[row]), fix=fix) for row in rows]))


def _unseen(table: Table, names: list[str], counts: Counter[str]) -> list[Problem]:
    """The labels that train does not have."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        if name not in counts:
            rows_of[name].append(row)
    problems = []
    for name, rows in sorted(rows_of.items()):
        found = f"{count(len(rows), 'row')}: {_listed(table, rows)}"
        fix = nearest(name, counts) or "Add rows of it to train, or delete these."
        problems.append(Problem(table.path, f"the label {name!r} does not occur in train", found, fix))
    return list(listed(problems))
