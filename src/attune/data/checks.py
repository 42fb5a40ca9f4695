"""What is wrong with the rows, before anything is trained: problems that stop, findings that are told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from attune.data.roles import Roles
from attune.data.split import group_near_duplicates, normalised
from attune.data.table import Table
from attune.errors import DataError, Problem, nearest

SHOWN = 12
FEWEST = 3  # rows of a label that a split into train, valid and test needs


@dataclass(frozen=True)
class Finding:
    """One thing that a check found: told, kept with the run, and not in the way."""

    check: str
    level: str  # note, warning or error
    sentence: str
    rows: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


def examine(
    tables: dict[str, Table], roles: Roles, *, rare: str = "error", split: bool = True
) -> tuple[dict[str, Table], list[Finding]]:
    """The tables without rows that cannot be used, and what was found.

    Args:
        tables: of the splits there are.
        roles: their columns.
        rare: `drop` removes the rows of labels with fewer than three rows, `error` refuses them.
        split: whether train will be split.

    Raises:
        DataError: for missing columns or labels, a single class, labels that are too rare or only in valid/test.
    """
    problems = _columns(tables, roles)
    if problems:
        raise DataError(*problems)
    findings: list[Finding] = []
    tables, problems = _without_empty(tables, roles, findings)
    problems += _unlabelled(tables, roles)
    if split and rare == "drop" and not problems:
        tables = _without_rare(tables, roles, findings)
    problems += _label_set(tables, roles, split=split)
    if problems:
        raise DataError(*problems)
    findings += _variants(tables["train"], roles)
    findings += _duplicates(tables["train"], roles)
    findings += _leaks(tables, roles)
    return tables, findings


def _places(table: Table, rows: Iterable[int]) -> tuple[str, ...]:
    return tuple(table.place(row) for row in rows)[:SHOWN]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _columns(tables: dict[str, Table], roles: Roles) -> list[Problem]:
    return [
        Problem(table.path, f"no column {name!r}, which train has", ", ".join(table.columns), nearest(name, table.columns))
        for table in tables.values()
        for name in (roles.text, roles.label)
        if name not in table.columns
    ]


def _without_empty(
    tables: dict[str, Table], roles: Roles, findings: list[Finding]
) -> tuple[dict[str, Table], list[Problem]]:
    kept = {}
    for name, table in tables.items():
        texts = table.column(roles.text)
        empty = [row for row, text in enumerate(texts) if text is None or not str(text).strip()]
        if empty:
            what = f"{_count(len(empty), 'row')} of {name} without text, left out"
            findings.append(Finding("empty", "warning", what, _places(table, empty)))
        gone = set(empty)
        kept[name] = table.take(row for row in range(len(table)) if row not in gone) if gone else table
    problems = [Problem(t.path, f"no row of {name} has text") for name, t in kept.items() if not len(t)]
    return kept, problems


def _unlabelled(tables: dict[str, Table], roles: Roles) -> list[Problem]:
    problems = []
    for table in tables.values():
        rows = [row for row, value in enumerate(table.column(roles.label)) if value is None or str(value) == ""]
        if rows:
            found = f"{_count(len(rows), 'row')}: {', '.join(_places(table, rows))}"
            fix = "Label them or take them out"
            problems.append(Problem(table.path, f"rows without a label in {roles.label!r}", found, fix))
    return problems


def _without_rare(tables: dict[str, Table], roles: Roles, findings: list[Finding]) -> dict[str, Table]:
    table = tables["train"]
    counts = Counter(str(value) for value in table.column(roles.label))
    rare = {label for label, number in counts.items() if number < FEWEST}
    if not rare:
        return tables
    dropped = [row for row, value in enumerate(table.column(roles.label)) if str(value) in rare]
    what = f"{_count(len(dropped), 'row')} dropped, whose labels have fewer than {FEWEST} rows: {', '.join(sorted(rare))}"
    findings.append(Finding("rare_label", "warning", what, _places(table, dropped)))
    gone = set(dropped)
    return {**tables, "train": table.take(row for row in range(len(table)) if row not in gone)}


def _label_set(tables: dict[str, Table], roles: Roles, *, split: bool) -> list[Problem]:
    train = tables["train"]
    counts = Counter(str(value) for value in train.column(roles.label))
    problems = []
    if len(counts) < 2:
        fix = "Choose another label column with --label, or add rows of another class"
        problems.append(Problem(train.path, f"one class only in {roles.label!r}", ", ".join(counts) or "none", fix))
    for label, number in sorted(counts.items()):
        if split and number < FEWEST and len(counts) >= 2:
            rows = [row for row, value in enumerate(train.column(roles.label)) if str(value) == label]
            times = "once" if number == 1 else f"{number} times"
            what = f"the label {label!r} occurs {times}; train, valid and test need {FEWEST}"
            fix = "Add rows, merge it with another label, or drop it: data.rare_labels=drop"
            problems.append(Problem(_places(train, rows)[0], what, fix=fix))
    for name in ("valid", "test"):
        unknown = Counter(str(v) for v in tables[name].column(roles.label)) if name in tables else Counter()
        for label in sorted(set(unknown) - set(counts)):
            what = f"the label {label!r} is not in train"
            problems.append(Problem(tables[name].path, what, f"{unknown[label]} rows", nearest(label, counts)))
    return problems


def _variants(table: Table, roles: Roles) -> list[Finding]:
    forms: dict[str, set[str]] = defaultdict(set)
    for value in table.column(roles.label):
        forms[str(value).strip().casefold()].add(str(value))
    return [
        Finding("label_variants", "warning", f"labels that differ only in case or blanks: {', '.join(map(repr, sorted(same)))}")
        for same in forms.values()
        if len(same) > 1
    ]


def _duplicates(table: Table, roles: Roles) -> list[Finding]:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(table.column(roles.text)):
        rows_of[normalised(str(text)) or str(text)].append(row)
    again = [row for rows in rows_of.values() for row in rows[1:]]
    labels = table.column(roles.label)
    torn = [row for rows in rows_of.values() if len({str(labels[row]) for row in rows}) > 1 for row in rows]
    findings = []
    if again:
        what = f"{_count(len(again), 'row')} repeat an earlier text; repeats stay on one side of the split"
        findings.append(Finding("duplicates", "note", what, _places(table, again)))
    if torn:
        what = f"{_count(len(torn), 'row')} share a text with a row of another label: one of them is wrong"
        findings.append(Finding("conflicts", "warning", what, _places(table, torn)))
    return findings


def _leaks(tables: dict[str, Table], roles: Roles) -> list[Finding]:
    """Texts of given files that stand on both sides; attune's own splits have none."""
    findings: list[Finding] = []
    names = list(tables)
    if len(names) < 2:
        return findings
    texts = [str(text) for name in names for text in tables[name].column(roles.text)]
    groups = group_near_duplicates(texts)
    parts, begin = {}, 0
    for name in names:
        parts[name] = groups[begin : begin + len(tables[name])]
        begin += len(tables[name])
    for index, name in enumerate(names[1:], 1):
        before = {group for earlier in names[:index] for group in parts[earlier].tolist()}
        rows = [row for row, group in enumerate(parts[name].tolist()) if group in before]
        if rows:
            verb = "stands" if len(rows) == 1 else "stand"
            what = f"{_count(len(rows), 'row')} of {name} {verb} (nearly) word for word in {' or '.join(names[:index])}"
            findings.append(Finding("leaks", "warning", f"{what}: scores are flattered", _places(tables[name], rows)))
    return findings
