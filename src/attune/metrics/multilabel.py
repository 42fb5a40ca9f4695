"""Scores of rows with any number of labels, and the probabilities above which a label is given.

Equal to scikit-learn's on the same input, zero where a share is of nothing. Letters: N rows, L labels, S samples,
K = 3 L + 4 sums: rows right, of the label and given it, for each label; rows, F1 by row, exact rows, wrong decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attune.metrics import labels
from attune.metrics.labels import Tally, share

REST = 4
FEWEST = 20  # positive rows that a label needs for a threshold of its own; see `thresholds`
MIDDLE = 0.5
SAMPLES_AT_ONCE = 64  # so that the weights of a few thousand rows stay in the cache


def statistics(gold: np.ndarray, given: np.ndarray) -> np.ndarray:
    """[N, K] what each row adds to the sums of which `scores` is a function; both inputs [N, L] of 0 and 1."""
    gold, given = _checked(gold, given)
    if not np.isin(given, (0, 1)).all():
        raise ValueError("the labels given must be 0 or 1; probabilities need a threshold first")
    gold, given = gold.astype(np.float64), given.astype(np.float64)
    hits = gold * given
    by_row = share(2 * hits.sum(1), gold.sum(1) + given.sum(1))
    wrong = np.abs(gold - given).sum(1)
    rest = np.stack([np.ones(len(gold)), by_row, (wrong == 0).astype(np.float64), wrong], axis=1)
    return np.concatenate([hits, gold, given, rest], axis=1)


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of sums [..., K] but `average_precision`, all in [0, 1].

    Macro means are over all L labels, also those that never occur, as scikit-learn's over an indicator matrix.
    """
    sums = np.asarray(sums, dtype=np.float64)
    t = _tally(sums)
    rows, by_row, exact, wrong = np.moveaxis(sums[..., -REST:], -1, 0)
    hits, support, given = t.hits.sum(-1), t.support.sum(-1), t.guessed.sum(-1)
    return {
        "f1_micro": share(2 * hits, support + given),
        "f1_macro": labels.f1(t).mean(-1),
        "f1_weighted": share((labels.f1(t) * t.support).sum(-1), support),
        "f1_samples": share(by_row, rows),
        "precision_micro": share(hits, given),
        "precision_macro": labels.precision(t).mean(-1),
        "recall_micro": share(hits, support),
        "recall_macro": labels.recall(t).mean(-1),
        "subset_accuracy": share(exact, rows),
        "hamming_loss": share(wrong, rows * t.support.shape[-1]),
    }


def per_label(sums: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of true rows of every label, in the order of the names."""
    return labels.per_class(_tally(np.asarray(sums, dtype=np.float64)), names)


def ranking(gold: np.ndarray, probabilities: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function from weights of the rows [S, N] to `average_precision` [S], for `intervals.of_weights`.

    It is the mean over labels of the mean precision at the probability of each positive row, without
    interpolation; a label without a positive row counts as 0.
    """
    gold, probabilities = _checked(gold, probabilities)
    steps = [_Steps.of(*column) for column in zip(gold.T, probabilities.T, strict=True)]

    def of(weights: np.ndarray) -> dict[str, np.ndarray]:
        by_row = np.ascontiguousarray(weights.T)  # so that rows are put in order by copying whole lines
        cuts = range(0, len(weights), SAMPLES_AT_ONCE)
        found = [sum(label.average(by_row[:, at : at + SAMPLES_AT_ONCE]) for label in steps) for at in cuts]
        return {"average_precision": np.concatenate(found) / gold.shape[1]}

    return of


@dataclass(frozen=True)
class _Steps:
    """The steps in which the recall of one label grows: one for each probability that a positive row has."""

    rows: np.ndarray  # down to the last positive one, the most probable first
    begins: np.ndarray  # where in `rows` each step begins
    positive: np.ndarray  # the positive ones among them, in the same order
    grows: np.ndarray  # where in `positive` each step begins

    @classmethod
    def of(cls, gold: np.ndarray, probabilities: np.ndarray) -> _Steps:
        """Rows that tie are reached at once."""
        order = np.argsort(-probabilities, kind="stable")
        ranked, hits = probabilities[order], gold[order] == 1
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) + 1
        reached = np.cumsum(hits)[ends - 1]
        grown = np.diff(reached, prepend=0) > 0
        begins, grows = (np.append(0, places[grown]) for places in (ends, reached))
        return cls(order[: begins[-1]], begins[:-1], order[hits], grows[:-1])

    def average(self, weights: np.ndarray) -> np.ndarray:
        """[S] the mean precision at the positive rows, from weights [N, S]."""
        if not len(self.positive):
            return np.zeros(weights.shape[1])
        gained = np.add.reduceat(weights[self.positive], self.grows, axis=0)
        hits = np.cumsum(gained, axis=0)
        reached = np.cumsum(np.add.reduceat(weights[self.rows], self.begins, axis=0), axis=0)
        return share((gained * share(hits, reached)).sum(0), hits[-1])


def average_precision(gold: np.ndarray, probabilities: np.ndarray) -> float:
    """Macro average precision of N rows, in [0, 1]; see `ranking`."""
    return float(ranking(gold, probabilities)(np.ones((1, len(gold))))["average_precision"][0])


def thresholds(gold: np.ndarray, probabilities: np.ndarray, *, fewest: int = FEWEST) -> np.ndarray:
    """[L] the probability from which on each label is given, chosen on validation rows to maximise its F1.

    F1 tuned on a few positive rows is overfitted: Yang (2001, "A study of thresholding strategies for text
    categorization") and Fan and Lin (2007, "A study on threshold selection for multi-label classification")
    leave it where rare labels are concerned. So a label with fewer than `fewest` positive rows gets the one
    threshold that maximises micro-F1 over all labels and rows. In benchmarks/thresholds.py (600 rows, 8 labels)
    20 positives are about where thresholds of their own begin to pay if labels are unequally calibrated
    to a small degree; if equally, shared ones are better by 0.02 in macro-F1 there, if very unequally, worse
    by 0.08. Where several do equally well, the one
    nearest to 0.5 is taken; a threshold lies half-way between two probabilities that occurred.
    """
    gold, probabilities = _checked(gold, probabilities)
    shared = _best(gold.reshape(-1), probabilities.reshape(-1))
    columns = zip(gold.T, probabilities.T, strict=True)
    return np.array([_best(*column) if column[0].sum() >= fewest else shared for column in columns])


def _best(gold: np.ndarray, probabilities: np.ndarray) -> float:
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(gold[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    reached = 2 * hits[ends] / (ends + 1 + hits[-1])
    bounds = (ranked[ends] + np.append(ranked[ends[:-1] + 1], 0.0)) / 2
    if not hits[-1]:
        return MIDDLE
    best = np.flatnonzero(reached >= reached.max() - 1e-12)
    inside = [bound for end, bound in zip(ends[best], bounds[best], strict=True)]
    return float(min(inside, key=lambda bound: abs(bound - MIDDLE)))


def _checked(gold: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gold, given = np.asarray(gold), np.asarray(given)
    if gold.ndim != 2 or gold.shape != given.shape or not gold.size:
        raise ValueError(f"truth and answers are tables [rows, labels]; found {gold.shape} and {given.shape}")
    if not np.isin(gold, (0, 1)).all():
        raise ValueError("the truth must be 0 or 1 for every row and label")
    if not np.isfinite(given).all():
        raise ValueError("some answers are not finite numbers")
    return gold, given


def _tally(sums: np.ndarray) -> Tally:
    return Tally(*np.split(sums[..., :-REST], 3, axis=-1))
