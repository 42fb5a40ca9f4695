"""Splits by a seed: near-identical texts stay together, every label keeps its share in every split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attune.data import classes
from attune.data.duplicates import (
    group_near_duplicates,
    letters,
    numbered,
    renumbered,
    tied_together,
)
from attune.data.findings import texts
from attune.data.table import Table

FEW = 10  # rows that texts which some of them share may put into one group whatever share they are
MOST_TIED = 0.05  # of all rows, that texts which some of them share may put into one group
MOST_ALIKE = 0.5  # of all rows, that may be kept together because one is nearly the next, as forms are
BINS = 5  # parts of equal size into which numbers fall, so that every split has high and low ones


def groups(table: Table, task: str = "", alike: np.ndarray | None = None) -> np.ndarray:
    """The group of each canonical row, [N] int64, that no split may part.

    Rows of one `group` where there is that column (questions on one article), else rows whose texts say the same,
    to the letter where most rows are nearly one another (`alike`: their near-duplicates, where they are known);
    and, of pairs and groups, rows one of whose texts says the same (a premise, a context), unless that would tie
    more than MOST_TIED of all rows together.
    """
    if "group" in table.columns:
        found = numbered(table.column("group"))
    else:
        found = group_near_duplicates(texts(table)) if alike is None else alike
        if np.bincount(found).max(initial=0) > MOST_ALIKE * len(found):
            found = numbered(map(letters, texts(table)))
        if "pair" not in table.columns:
            return found
    both = ("pair",) if task == "qa" else ("text", "pair")  # a question may be asked of any context
    shared = [name for name in both if name in table.columns]
    each = group_near_duplicates(text for name in shared for text in table.column(name))
    columns = np.split(each, len(shared))
    # whichever of a row's texts it is; where that ties too many, a first text with first ones, a second with second
    for others in (columns, *([column] for column in columns)):
        tied = tied_together(np.tile(found, len(others)), np.concatenate(others))[: len(found)]
        most = max(np.bincount(found).max(initial=0), MOST_TIED * len(found), FEW)
        found = tied if np.bincount(tied).max(initial=0) <= most else found
    return renumbered(found) if len(found) else found


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
    members, codes = _sorted(np.asarray(groups), labels)
    order = np.random.default_rng(seed).permutation(len(members))
    dealt = _Dealt({name: share for name, share in shares.items() if share > 0}, members, codes)
    # Groups of several labels first, then large ones: what comes last, single rows, evens the shares out.
    order = order[np.lexsort((-members.sizes[order], members.alike[order]))]
    names = list(shares)
    parts = np.zeros(len(members), np.int64)  # of each group
    for group in order.tolist():
        parts[group] = names.index(dealt.deal(Counter(codes[members.rows(group)].tolist())))
    of_row = np.repeat(parts, members.sizes)
    return {name: np.sort(members.order[of_row == part]) for part, name in enumerate(names)}


@dataclass(frozen=True)
class _Members:
    """The rows of each of G groups, numbered by their first rows."""

    order: np.ndarray  # [N] rows, group by group
    starts: np.ndarray  # [G + 1]
    alike: np.ndarray  # [G] whether all rows of a group have one label

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows(self, group: int) -> np.ndarray:
        return self.order[self.starts[group] : self.starts[group + 1]]


def _sorted(groups: np.ndarray, labels: Sequence[str]) -> tuple[_Members, np.ndarray]:
    """(the groups, the number of each row's label [N])."""
    index = {name: number for number, name in enumerate(dict.fromkeys(labels))}
    codes = np.fromiter((index[label] for label in labels), np.int64, len(labels))
    numbers = renumbered(groups) if len(groups) else groups
    order = np.argsort(numbers, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(numbers))]).astype(np.int64)
    held = codes[order]
    alike = np.ones(0, bool)
    if len(held):
        alike = np.minimum.reduceat(held, starts[:-1]) == np.maximum.reduceat(held, starts[:-1])
    return _Members(order, starts, alike), codes


class _Dealt:
    """How many rows of each label every split still lacks, and which labels it has not got at all."""

    def __init__(self, shares: dict[str, float], members: _Members, codes: np.ndarray) -> None:
        self.shares = shares
        self.lacking: list[dict[str, float]] = []  # by label
        self.without: list[list[str]] = []
        totals = np.bincount(codes)
        firsts = codes[members.order[members.starts[:-1]]]
        # groups of one label that are not dealt yet
        self.waiting: list[int] = np.bincount(firsts[members.alike], minlength=len(totals)).tolist()
        for total, waiting in zip(totals.tolist(), self.waiting, strict=True):
            targets = {name: share * total for name, share in shares.items()}
            enough = waiting >= len(targets)
            self.lacking.append(_at_least_one(targets) if enough else targets)
            self.without.append(list(targets) if enough else [])

    def deal(self, content: Counter[int]) -> str:
        """The split that a group with so many rows of each label goes to."""
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
