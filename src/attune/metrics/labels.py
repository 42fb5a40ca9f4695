"""Scores of one label per row; equal to scikit-learn's on the same input, zero where a share is of nothing.

Letters: N rows, C classes, G distinct scores. Truth is `gold` [N], class indices from 0 to C - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attune.metrics.calibration import ece

CURVE_POINTS = 200  # more cannot be seen in a plot


@dataclass(frozen=True)
class Tally:
    """All that the scores need of a confusion matrix; each field is [..., C], counts as float64."""

    hits: np.ndarray  # rows of the class that were recognised
    support: np.ndarray  # rows of the class
    guessed: np.ndarray  # rows that were taken for the class


Counts = np.ndarray | Tally  # confusion matrices [..., C, C], or what was counted of them


def confusion(gold: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Confusion matrix [C, C] of counts: the row is the true class, the column the predicted one."""
    cells = np.asarray(gold, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def tally(counts: Counts) -> Tally:
    """Hits, support and guesses of each class of confusion matrices [..., C, C]."""
    if isinstance(counts, Tally):
        return counts
    counts = np.asarray(counts, dtype=np.float64)
    return Tally(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2))


def precision(counts: Counts) -> np.ndarray:
    """[..., C] share of the rows taken for a class that are of it."""
    t = tally(counts)
    return share(t.hits, t.guessed)


def recall(counts: Counts) -> np.ndarray:
    """[..., C] share of the rows of a class that were taken for it."""
    t = tally(counts)
    return share(t.hits, t.support)


def f1(counts: Counts) -> np.ndarray:
    """[..., C] harmonic mean of precision and recall."""
    t = tally(counts)
    return share(2 * t.hits, t.support + t.guessed)


def accuracy(counts: Counts) -> np.ndarray:
    """[...] share of the rows whose label is right."""
    t = tally(counts)
    return share(t.hits.sum(-1), t.support.sum(-1))


def f1_micro(counts: Counts) -> np.ndarray:
    """[...] F1 of all decisions together; with one label per row the same number as accuracy."""
    return accuracy(counts)


def f1_macro(counts: Counts) -> np.ndarray:
    """[...] mean F1 of the classes that occur in gold or predicted (scikit-learn's `labels=None`)."""
    return macro(f1(counts), tally(counts))


def precision_macro(counts: Counts) -> np.ndarray:
    """[...] mean precision of the classes that occur in gold or predicted."""
    return macro(precision(counts), tally(counts))


def recall_macro(counts: Counts) -> np.ndarray:
    """[...] mean recall of the classes that occur in gold or predicted."""
    return macro(recall(counts), tally(counts))


def f1_weighted(counts: Counts) -> np.ndarray:
    """[...] mean F1, each class weighing as many rows as are of it."""
    t = tally(counts)
    return share((f1(t) * t.support).sum(-1), t.support.sum(-1))


def matthews_correlation(counts: Counts) -> np.ndarray:
    """[...] correlation of truth and prediction in [-1, 1] (Gorodkin 2004); 0 if either is constant."""
    t = tally(counts)
    n = t.support.sum(-1)
    both = t.hits.sum(-1) * n - (t.support * t.guessed).sum(-1)
    spread = (n**2 - (t.guessed**2).sum(-1)) * (n**2 - (t.support**2).sum(-1))
    return share(both, np.sqrt(spread))


COUNTED: dict[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": accuracy,
    "f1_macro": f1_macro,
    "f1_micro": f1_micro,
    "f1_weighted": f1_weighted,
    "precision_macro": precision_macro,
    "recall_macro": recall_macro,
    "matthews_correlation": matthews_correlation,
}


def per_class(counts: Counts, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of true rows of every label, in the order of the labels."""
    t = tally(counts)
    rows = zip(labels, precision(t), recall(t), f1(t), t.support, strict=True)
    return [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for label, p, r, f, n in rows
    ]


def losses(gold: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """[N] negative log probability of the truth, in nats.

    Probabilities are clipped by the resolution of their own type, so that one certain mistake costs
    36 nats in float64 and 16 in float32, and never infinity.
    """
    kind = probabilities.dtype if probabilities.dtype.kind == "f" else np.dtype(np.float64)
    eps = np.finfo(kind).eps
    true = probabilities[np.arange(len(gold)), gold].astype(kind)
    return np.asarray(-np.log(np.clip(true, eps, 1 - eps).astype(np.float64)))


def log_loss(gold: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log probability of the truth, in nats."""
    return float(losses(gold, probabilities).mean())


def ranks(scores: np.ndarray) -> np.ndarray:
    """[N] place of each row among the distinct scores, 0 the highest; ties share a place."""
    return np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)[1].reshape(-1)


def ranked_auc(ranked: np.ndarray) -> np.ndarray:
    """[...] area under the ROC curve of counts [..., G, 2] (negatives, positives); nan if one is missing."""
    negatives, positives = ranked[..., 0], ranked[..., 1]
    above = np.cumsum(positives, axis=-1) - 0.5 * positives  # a tie is half a win
    pairs = negatives.sum(-1) * positives.sum(-1)
    return np.where(pairs > 0, share((negatives * above).sum(-1), pairs), np.nan)


def ranked_precision(ranked: np.ndarray) -> np.ndarray:
    """[...] average precision of counts [..., G, 2] (negatives, positives); 0 without a positive."""
    positives = ranked[..., 1]
    precise = share(np.cumsum(positives, axis=-1), np.cumsum(ranked.sum(-1), axis=-1))
    return share((positives * precise).sum(-1), positives.sum(-1))


def roc_auc(gold: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a positive row (gold 1) scores above a negative one (0); nan if there is only one kind."""
    return float(ranked_auc(_ranked(gold, scores)))


def average_precision(gold: np.ndarray, scores: np.ndarray) -> float:
    """Mean precision at the score of each positive row, without interpolation; 0 without a positive."""
    return float(ranked_precision(_ranked(gold, scores)))


def roc_curve(gold: np.ndarray, scores: np.ndarray) -> list[list[float]] | None:
    """At most 200 points [false positive rate, true positive rate]; None if there is only one kind."""
    reached = np.cumsum(_ranked(gold, scores), axis=0)
    if not reached[-1].all():
        return None
    return _thinned(np.vstack([np.zeros(2), reached / reached[-1]]))


def precision_recall_curve(gold: np.ndarray, scores: np.ndarray) -> list[list[float]] | None:
    """At most 200 points [recall, precision] by rising recall, from [0, 1]; None without a positive."""
    reached = np.cumsum(_ranked(gold, scores), axis=0)
    found = reached[:, 1]
    if not found[-1]:
        return None
    return _thinned(np.vstack([[0.0, 1.0], np.stack([found / found[-1], found / reached.sum(1)], axis=1)]))


def score(gold: np.ndarray, probabilities: np.ndarray, classes: int) -> dict[str, float]:
    """Every metric of probabilities [N, C] by its name; the predicted label is the most probable one.

    `roc_auc` and `average_precision` (of class 1) are there if C is 2 and the truth has both classes:
    a ranking of one class cannot be right or wrong.
    """
    gold, probabilities = checked(gold, probabilities, classes)
    t = tally(confusion(gold, probabilities.argmax(1), classes))
    scores = {name: float(metric(t)) for name, metric in COUNTED.items()}
    scores |= {"log_loss": log_loss(gold, probabilities), "ece": ece(gold, probabilities)}
    if classes == 2 and 0 < gold.sum() < len(gold):
        scores["roc_auc"] = roc_auc(gold, probabilities[:, 1])
        scores["average_precision"] = average_precision(gold, probabilities[:, 1])
    return scores


def checked(gold: np.ndarray, probabilities: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth [N] and probabilities [N, C] as arrays that fit each other; ValueError says what does not."""
    gold, probabilities = np.asarray(gold), np.asarray(probabilities)
    if len(gold) == 0:
        raise ValueError("there are no rows to score")
    if probabilities.shape != (len(gold), classes):
        raise ValueError(
            f"{len(gold)} rows of {classes} classes need probabilities of shape "
            f"({len(gold)}, {classes}); found {probabilities.shape}"
        )
    if gold.dtype.kind not in "iub" or gold.min() < 0 or gold.max() >= classes:
        raise ValueError(f"the truth must be whole numbers from 0 to {classes - 1}")
    if not np.isfinite(probabilities).all():
        raise ValueError("some probabilities are not finite numbers")
    return gold.astype(np.int64), probabilities


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[...] part / whole; 0 where the whole is nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0))


def macro(values: np.ndarray, t: Tally) -> np.ndarray:
    """[...] mean of the values [..., C] of the classes that occur in gold or predicted."""
    present = t.support + t.guessed > 0  # an absent class has value 0 and adds nothing
    return share(values.sum(-1), present.sum(-1))


def _ranked(gold: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """[G, 2] negatives and positives at each distinct score, the highest first."""
    if len(gold) == 0:
        raise ValueError("there are no rows to score")
    cells = ranks(scores) * 2 + np.asarray(gold, dtype=np.int64)
    return np.bincount(cells, minlength=int(cells.max() // 2 + 1) * 2).reshape(-1, 2).astype(np.float64)


def _thinned(points: np.ndarray) -> list[list[float]]:
    kept = np.unique(np.linspace(0, len(points) - 1, CURVE_POINTS).round().astype(np.int64))
    return [[float(x), float(y)] for x, y in points[kept]]
