"""Splits by a seed: near-identical texts stay together, every label keeps its share in every split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from attune.data import classes
from attune.data.duplicates import group_near_duplicates, normalised
from attune.data.findings import texts
from attune.data.table import Table

__all__ = ["group_near_duplicates", "groups", "normalised", "split", "strata"]

BINS = 5  # parts of equal size into which numbers fall, so that every split has high and low ones


def groups(table: Table) -> np.ndarray:
    """The group of each canonical row, [N] int64, that no split may part.

    Rows of one `group` where there is that column (questions on one article), else rows whose texts say the
    same.
    """
    if "group" not in table.columns:
        return group_near_duplicates(texts(table))
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(name, len(numbers)) for name in table.column("group")], np.int64)


def strata(table: Table, task: str) -> list[str]:
    """What each canonical row is an example of, so that every split gets its share: a label for each row.

    Of several labels the rarest in the table; of numbers one of five parts of equal size; of questions
    whether they have an answer.
    """
    if task in classes.CLASSED:
        shown = classes.shown(table, task)
        counts = Counter(name for names in shown for name in names)
        return [min(names, key=lambda name: (counts[name], name), default="") for names in shown]
    if "label" not in table.columns or None in table.column("label"):
        return [""] * len(table)
    if task == "qa":
        return ["answer" if answers else "none" for answers in table.column("label")]
    values = np.asarray(table.column("label"), np.float64)
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return [str(part) for part in np.searchsorted(edges, values, side="right").tolist()]


def split(
    groups: np.ndarray, labels: Sequence[str], shares: Mapping[str, float], *, seed: int
) -> dict[str, np.ndarray]:
    """The rows of each split, [n] int64 ascending; every row in one of them, no group in two.

    Each split gets its share of every label to within one row, as far as the groups permit. A label with at
    least as many groups of its own as there are splits stands in all of them.

    Args:
        groups: [N] group of each row.
        labels: [N] label of each row.
        shares: share of the rows for each split, 0 or more, adding up to 1.
        seed: the same seed makes the same splits.
    """
    assert abs(sum(shares.values()) - 1) < 1e-6, "shares must add up to 1"
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(np.asarray(groups).tolist()):
        members[group].append(row)
    order = np.random.default_rng(seed).permutation(len(members))
    ids = list(members)
    dealt = _Dealt({name: share for name, share in shares.items() if share > 0})
    contents = {group: Counter(labels[row] for row in rows) for group, rows in members.items()}
    dealt.expect(list(contents.values()))
    # Groups of several labels first, then large ones: what comes last, single rows, evens the shares out.
    shuffled = [ids[i] for i in order.tolist()]
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for group in sorted(shuffled, key=lambda group: (len(contents[group]) == 1, -len(members[group]))):
        parts[dealt.deal(contents[group])].extend(members[group])
    return {name: np.asarray(sorted(rows), np.int64) for name, rows in parts.items()}


class _Dealt:
    """How many rows of each label every split still lacks, and which labels it has not got at all."""

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares = shares
        self.lacking: dict[str, dict[str, float]] = {}
        self.without: dict[str, list[str]] = {}
        self.waiting: Counter[str] = Counter()  # groups of one label that are not dealt yet

    def expect(self, contents: list[Counter[str]]) -> None:
        """Takes the labels of all groups that will be dealt, and sets what each split should get of them."""
        rows: Counter[str] = Counter()
        for content in contents:
            rows.update(content)
        self.waiting = Counter(next(iter(content)) for content in contents if len(content) == 1)
        for label, total in rows.items():
            targets = {name: share * total for name, share in self.shares.items()}
            if self.waiting[label] >= len(targets):
                targets = _at_least_one(targets)
            self.lacking[label] = targets
            self.without[label] = list(targets) if self.waiting[label] >= len(targets) else []

    def deal(self, content: Counter[str]) -> str:
        """The split that a group goes to."""
        choices = list(self.shares)
        if len(content) == 1:
            (label,) = content
            if self.waiting[label] <= len(self.without[label]):
                choices = self.without[label]  # the last groups of a label are kept for splits without it
            self.waiting[label] -= 1
        total = sum(content.values())
        chosen = max(
            choices,
            key=lambda name: sum(n * self.lacking[label][name] for label, n in content.items()) / total,
        )
        for label, n in content.items():
            self.lacking[label][chosen] -= n
            if chosen in self.without[label]:
                self.without[label] = [name for name in self.without[label] if name != chosen]
        return chosen


def _at_least_one(targets: dict[str, float]) -> dict[str, float]:
    """The targets with none below one row; what that costs is taken from the largest."""
    raised = {name: max(1.0, target) for name, target in targets.items()}
    largest = max(targets, key=lambda name: targets[name])
    raised[largest] -= sum(raised.values()) - sum(targets.values())
    return raised
