"""What is found in usable rows: labels with few of them, repeats, contradictions, leaks between files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice

import numpy as np

from attune.data.duplicates import group_near_duplicates
from attune.data.looks import label_name
from attune.data.problems import SHOWN, count, some
from attune.data.roles import Roles
from attune.data.table import Finding, Table

FEW = 10  # rows of a label, below which a note says so


def places(table: Table, rows: Iterable[int]) -> tuple[str, ...]:
    """Where the first ten of these rows stand."""
    return tuple(table.place(row) for row in islice(rows, SHOWN))


def label_names(table: Table, roles: Roles) -> list[str]:
    """The label of each row by name."""
    return [label_name(value) for value in table.column(roles.label)]


def few_rows(train: Table, roles: Roles, *, split: bool) -> list[Finding]:
    """Labels with so few rows that scores say little of them; a warning where a split cannot show all."""
    names = label_names(train, roles)
    counts = Counter(names)
    few = sorted((label for label, n in counts.items() if n < FEW), key=lambda label: (counts[label], label))
    if not few:
        return []
    named = ", ".join(f"{label!r} ({counts[label]})" for label in few[:SHOWN])
    named += f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
    verb = "has" if len(few) == 1 else "have"
    what = f"{count(len(few), 'label')} {verb} fewer than {FEW} rows in train: {named}."
    level = "warning" if split and counts[few[0]] < 3 else "note"
    rows = (row for row, name in enumerate(names) if counts[name] < FEW)
    return [Finding("rare_label", level, what, places(train, rows))]


def variants(tables: dict[str, Table], roles: Roles) -> list[Finding]:
    """Labels that differ only in case or blanks, and are most likely meant as one."""
    first: dict[str, str] = {}
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for table in tables.values():
        for row, name in enumerate(label_names(table, roles)):
            forms["".join(name.split()).casefold()][name] += 1
            if name not in first:
                first[name] = table.place(row)
    findings = []
    for same in forms.values():
        if len(same) > 1:
            usual = same.most_common(1)[0][0]
            named = ", ".join(f"{name!r} ({count(n, 'row')})" for name, n in same.most_common(SHOWN))
            what = f"Labels that differ only in case or blanks: {named}. Write {usual!r} if they are one."
            where = tuple(first[name] for name in same if name != usual)
            findings.append(Finding("label_variants", "warning", what, where[:SHOWN]))
    return findings


def repeated(table: Table, roles: Roles, *, split: str) -> list[Finding]:
    """Rows of one split with the same text: repeated, or with labels that contradict each other."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(table.column(roles.text)):
        rows_of[" ".join(text.split())].append(row)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    again = sorted(row for rows in several for row in rows[1:])
    findings = []
    if again:
        verb = "repeats" if len(again) == 1 else "repeat"
        what = f"{count(len(again), 'row')} of {split} {verb} an earlier text word for word."
        findings.append(Finding("duplicates", "note", what, places(table, again)))
    names = label_names(table, roles)
    torn = [rows for rows in several if len({names[row] for row in rows}) > 1]
    if torn:
        verb = "stands" if len(torn) == 1 else "stand"
        what = f"{count(len(torn), 'text')} {verb} in {split} under different labels; at most one is right."
        where = (f"{table.place(row)} ({names[row]})" for rows in torn for row in rows)
        findings.append(Finding("conflicts", "warning", what, tuple(islice(where, SHOWN))))
    return findings


def leaks(tables: dict[str, Table], roles: Roles) -> list[Finding]:
    """Texts of one given file that another has too, word for word or nearly; attune's splits have none."""
    if len(tables) < 2:
        return []
    groups = group_near_duplicates([text for table in tables.values() for text in table.column(roles.text)])
    parts = np.split(groups, np.cumsum([len(table) for table in tables.values()])[:-1])
    findings: list[Finding] = []
    seen: dict[int, str] = {}  # where each group stood first
    earlier: list[str] = []
    for (split, table), part in zip(tables.items(), parts, strict=True):
        leaked = [row for row, group in enumerate(part.tolist()) if group in seen]
        if leaked:
            verb = "stands" if len(leaked) == 1 else "stand"
            what = f"{count(len(leaked), 'row')} of {split} ({len(leaked) / len(part):.1%}) {verb}, word for"
            what += f" word or nearly, in {' or '.join(earlier)} too: scores on {split} are flattered."
            where = tuple(f"{table.place(row)} = {seen[int(part[row])]}" for row in leaked[:SHOWN])
            findings.append(Finding("leaks", "warning", what, where))
        for row, group in enumerate(part.tolist()):
            seen.setdefault(group, table.place(row))
        earlier.append(split)
    return findings


def left_out(check: str, table: Table, *, rows: list[int], why: str) -> Finding:
    """Says which rows are not used and why."""
    return Finding(check, "warning", f"{count(len(rows), 'row')} {why}", places(table, rows))


def unlabelled(split: str, table: Table) -> Finding:
    """Says that a split cannot be scored, as in tests whose labels are kept back."""
    what = (
        f"No row of {split} has a label, so it cannot score anything and is not used ({some([table.path])})."
    )
    return Finding("unlabelled", "warning", what, places(table, range(len(table))))
