"""What the number of each metric means: its name in words, its range, its unit, and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A metric's name in words, the range of its values and how a difference of them is told."""

    words: str
    low: float = 0.0
    high: float = 1.0
    points: float | None = 100.0  # that many points are 1; None: no points, the number as it is
    lower_is_better: bool = False

    def told(self, *values: float) -> list[str]:
        """Amounts of this metric as they stand in a sentence, without a unit."""
        if self.points is None:
            return [
                f"{round(value, 3) + 0.0:.3f}" if abs(value) < 100 else f"{value:,.0f}" for value in values
            ]
        return [f"{round(self.points * value, 1) + 0.0:.1f}" for value in values]  # + 0.0: no "-0.0"


def _percent(words: str) -> Scale:
    """A share that is already told in hundredths, as by the scripts of SQuAD."""
    return Scale(words, high=100.0, points=1.0)


def _correlation(words: str) -> Scale:
    return Scale(words, low=-1.0, points=None)


def _error(words: str) -> Scale:
    return Scale(words, high=math.inf, points=None, lower_is_better=True)


SCALES: dict[str, Scale] = {
    "accuracy": Scale("accuracy"),
    "f1_macro": Scale("macro-F1"),
    "f1_micro": Scale("micro-F1"),
    "f1_weighted": Scale("weighted F1"),
    "f1_samples": Scale("F1 by row"),
    "precision_macro": Scale("macro precision"),
    "precision_micro": Scale("micro precision"),
    "precision_weighted": Scale("weighted precision"),
    "recall_macro": Scale("macro recall"),
    "recall_micro": Scale("micro recall"),
    "recall_weighted": Scale("weighted recall"),
    "matthews_correlation": _correlation("Matthews correlation"),
    "log_loss": _error("log loss"),
    "ece": Scale("calibration error", lower_is_better=True),
    "roc_auc": Scale("ROC AUC"),
    "average_precision": Scale("average precision"),
    "subset_accuracy": Scale("exact label sets"),
    "hamming_loss": Scale("Hamming loss", lower_is_better=True),
    "overall_precision": Scale("entity precision"),
    "overall_recall": Scale("entity recall"),
    "overall_f1": Scale("entity F1"),
    "overall_accuracy": Scale("tag accuracy"),
    **{
        f"{scheme}_{measure}": Scale(f"entity {name} ({words})")
        for scheme, words in (
            ("strict", "span and type"),
            ("exact", "span alone"),
            ("partial", "overlap counts half"),
            ("type", "type, with any overlap"),
        )
        for measure, name in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
    },
    "exact_match": _percent("exact match"),
    "f1": _percent("answer F1"),
    "HasAns_exact": _percent("exact match where there is an answer"),
    "HasAns_f1": _percent("answer F1 where there is an answer"),
    "NoAns_exact": _percent("exact match where there is no answer"),
    "NoAns_f1": _percent("answer F1 where there is no answer"),
    "pearson": _correlation("Pearson correlation"),
    "spearmanr": _correlation("Spearman correlation"),
    "quadratic_weighted_kappa": _correlation("quadratic weighted kappa"),
    "r2": Scale("explained variance (R²)", low=-math.inf, points=None),
    "mse": _error("mean squared error"),
    "rmse": _error("root mean squared error"),
    "mae": _error("mean absolute error"),
    "mrr": Scale("mean reciprocal rank"),
    **{f"recall@{k}": Scale(f"recall at {k}") for k in (1, 3, 5, 10, 20, 100)},
}
WORDS = {name: scale.words for name, scale in SCALES.items()}


def scale(metric: str) -> Scale:
    """The scale of a metric; one that is not in the table has its own name and no limits."""
    unknown = Scale(metric.replace("_", " "), low=-math.inf, high=math.inf, points=None)
    return SCALES.get(metric, unknown)


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of `n` rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
