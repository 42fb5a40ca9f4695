"""What is found in usable rows: labels with few of them, repeats, contradictions, leaks between files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from attune.data import classes
from attune.data.columns import Roles
from attune.data.duplicates import group_near_duplicates, normalised, numbered
from attune.data.problems import SHOWN, count, some
from attune.data.table import Finding, Table

FEW = 10  # rows of a label, below which a note says so
MOST_PLACE = 24  # characters of a label that are shown beside a place
# what makes two labels of one text the same, and what to say of a text whose labels are not
SAME: dict[str, tuple[Callable[[Any], Hashable], str]] = {
    "classification": (str, "under different labels; at most one is right"),
    "multilabel": (frozenset, "under different sets of labels"),
    "tagging": (tuple, "with different tags"),
    "regression": (float, "with different numbers"),
    "similarity": (float, "with different numbers"),
    "qa": (lambda answers: frozenset(a["text"] for a in answers), "with different answers"),
}


def places(table: Table, rows: Iterable[int]) -> tuple[str, ...]:
    """Where these rows stand."""
    return tuple(table.place(row) for row in rows)


def listed_places(table: Table, rows: Sequence[int]) -> str:
    """`d.csv:3, d.csv:5 and 12 more`."""
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return ", ".join(places(table, rows[:SHOWN])) + more


def texts(table: Table) -> Iterator[str]:
    """What each row says, by which rows are compared: its text, or both its texts."""
    if "pair" not in table.columns:
        yield from table.column("text")
        return
    for text, pair in zip(table.column("text"), table.column("pair"), strict=True):
        yield f"{text}\n{pair}"


def few_rows(train: Table, roles: Roles, *, split: bool) -> list[Finding]:
    """Labels with so few rows that scores say little of them; a warning where a split cannot show all."""
    shown = classes.shown(train, roles.task)
    counts = Counter(name for names in shown for name in names)
    few = sorted((label for label, n in counts.items() if n < FEW), key=lambda label: (counts[label], label))
    if not few:
        return []
    named = ", ".join(f"{label!r} ({counts[label]})" for label in few[:SHOWN])
    named += f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
    verb = "has" if len(few) == 1 else "have"
    what = f"{count(len(few), 'label')} {verb} fewer than {FEW} rows in train: {named}."
    level = "warning" if split and counts[few[0]] < 3 else "note"
    rows = (row for row, names in enumerate(shown) if any(counts[name] < FEW for name in names))
    return [Finding("rare_label", level, what, places(train, rows))]


def variants(tables: dict[str, Table], roles: Roles) -> list[Finding]:
    """Labels that differ only in case or blanks, and are most likely meant as one."""
    first: dict[str, str] = {}
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for table in tables.values():
        for row, names in enumerate(classes.shown(table, roles.task)):
            for name in names:
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
            findings.append(Finding("label_variants", "warning", what, tuple(where)))
    return findings


def unseen(tables: dict[str, Table], roles: Roles) -> list[Finding]:
    """Labels of valid and test that train does not have, where a row has several: they are missed, or not scored."""
    known = {name for names in classes.shown(tables["train"], roles.task) for name in names}
    findings = []
    for split, table in tables.items():
        shown = classes.shown(table, roles.task)
        counts = Counter(name for names in shown for name in names if name not in known)
        if counts:
            rows = (row for row, names in enumerate(shown) if not known.issuperset(names))
            verb = "does" if len(counts) == 1 else "do"
            so = "cannot be scored" if roles.task == "multilabel" else "can only be missed"
            what = f"{count(len(counts), 'label')} of {split} {verb} not occur in train and {so}: "
            what += f"{some([name for name, _ in counts.most_common()])}."
            findings.append(Finding("unseen", "warning", what, places(table, rows)))
    return findings


def repeated(table: Table, roles: Roles, *, split: str) -> list[Finding]:
    """Rows of one split with the same text: repeated, or with labels that contradict each other."""
    noun = "pair" if "pair" in table.columns else "text"
    groups = numbered(" ".join(text.split()) for text in texts(table))
    order, sizes = np.argsort(groups, kind="stable"), np.bincount(groups)
    ends = np.cumsum(sizes)
    several = [order[ends[at] - sizes[at] : ends[at]].tolist() for at in np.flatnonzero(sizes > 1)]
    again = sorted(row for rows in several for row in rows[1:])
    findings = []
    if again:
        verb, stay = ("repeats", "it stays") if len(again) == 1 else ("repeat", "they stay")
        what = f"{count(len(again), 'row')} of {split} {verb} an earlier {noun} word for word, and {stay}."
        findings.append(Finding("duplicates", "note", what, places(table, again)))
    if not roles.label:
        return findings
    same, say = SAME[roles.task]
    labels = table.column("label")
    torn = [rows for rows in several if len({same(labels[row]) for row in rows}) > 1]
    if torn:
        verb = "stands" if len(torn) == 1 else "stand"
        what = f"{count(len(torn), noun)} {verb} in {split} {say}."
        where = (f"{table.place(row)}{_beside(labels[row])}" for rows in torn for row in rows)
        findings.append(Finding("conflicts", "warning", what, tuple(where)))
    return findings


def _beside(label: Any) -> str:
    """` (pos)`: a short label, to stand beside a place."""
    name = label if isinstance(label, str) else f"{label:g}" if isinstance(label, float) else ""
    return f" ({name})" if name and len(name) <= MOST_PLACE else ""


def leaks(tables: dict[str, Table], roles: Roles, groups: np.ndarray | None = None) -> list[Finding]:
    """Texts of one split that another has too, word for word or nearly.

    A question leaks already when its context does.

    Args:
        tables: canonical rows by split.
        roles: of their columns.
        groups: [N] the near-duplicates among all rows, split by split, where they are known.
    """
    if len(tables) < 2:
        return []
    if groups is None:
        of_row = (lambda table: table.column("pair")) if roles.task == "qa" else _in_any_order
        groups = group_near_duplicates(text for table in tables.values() for text in of_row(table))
    parts = np.split(groups, np.cumsum([len(table) for table in tables.values()])[:-1])
    findings = _halves(tables, parts) if "pair" in tables["train"].columns and roles.task != "qa" else []
    splits_of = np.zeros(groups.max(initial=0) + 1, np.int64)
    for part in parts:
        splits_of[np.unique(part)] += 1
    several = [np.flatnonzero(splits_of[part] > 1).tolist() for part in parts]
    seen: dict[int, tuple[str, int]] = {}  # of groups in several splits: where each stood first
    for (split, table), part, rows in zip(tables.items(), parts, several, strict=True):
        leaked = [row for row in rows if int(part[row]) in seen]
        if leaked:
            share = f"{count(len(leaked), 'row')} of {split} ({len(leaked) / len(part):.1%})"
            verb = ("stands" if len(leaked) == 1 else "stand") + ", word for word or nearly,"
            if roles.task == "qa":
                verb = ("asks" if len(leaked) == 1 else "ask") + " about a context that stands"
            firsts = [seen[int(part[row])] for row in leaked]
            stand = " or ".join(name for name in tables if any(name == first for first, _ in firsts))
            what = f"{share} {verb} in {stand} too: scores on {split} are flattered."
            where = tuple(
                f"{table.place(row)} = {tables[name].place(first)}"
                for row, (name, first) in zip(leaked, firsts, strict=True)
            )
            findings.append(Finding("leaks", "warning", what, where))
        for row in rows:
            seen.setdefault(int(part[row]), (split, row))
    return findings


def _halves(tables: dict[str, Table], whole: Sequence[np.ndarray]) -> list[Finding]:
    """Pairs of valid and test of which one text stands in train, with another one beside it there.

    Args:
        tables: by split.
        whole: of each split the groups of its rows as pairs, [N].
    """
    held = (text for table in tables.values() for name in ("text", "pair") for text in table.column(name))
    ends = np.cumsum([2 * len(table) for table in tables.values()])[:-1]
    texts_of = [part.reshape(2, -1).T for part in np.split(group_near_duplicates(held), ends)]
    known, pairs = np.unique(texts_of[0]), np.unique(whole[0])
    found = []
    for split, table, both, part in list(zip(tables, tables.values(), texts_of, whole, strict=True))[1:]:
        rows = np.flatnonzero(np.isin(both, known).any(1) & ~np.isin(part, pairs))
        if len(rows):
            share = f"{count(len(rows), 'pair')} of {split} ({len(rows) / len(table):.1%})"
            what = (
                f"{share} {'shares' if len(rows) == 1 else 'share'} a text with train, in another pair there."
            )
            found.append(Finding("shared_texts", "note", what, places(table, rows[:SHOWN])))
    return found


def _in_any_order(table: Table) -> Iterator[str]:
    """What each row says, the same for a pair and for the same two texts the other way round."""
    if "pair" not in table.columns:
        yield from table.column("text")
        return
    for both in zip(table.column("text"), table.column("pair"), strict=True):
        yield "\n".join(sorted(both, key=normalised))


def left_out(check: str, table: Table, *, rows: list[int], why: str) -> Finding:
    """Says which rows are not used and why."""
    return Finding(check, "warning", f"{count(len(rows), 'row')} {why}", places(table, rows))


def unlabelled(split: str, table: Table) -> Finding:
    """Says that a split cannot be scored, as in tests whose labels are kept back."""
    what = (
        f"No row of {split} has a label, so it cannot score anything and is not used ({some([table.path])})."
    )
    return Finding("unlabelled", "warning", what, places(table, range(len(table))))
