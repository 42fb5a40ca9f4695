"""Whether a model that is 80 % sure is right 80 % of the time, for the label it finds most probable."""

from __future__ import annotations

import numpy as np

BINS = 15  # Guo et al. 2017


def ece(gold: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error in [0, 1], over bins of equal width (Guo et al. 2017)."""
    bin_of, confidence, right = binned(gold, probabilities, bins)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(bin_of))


def reliability(gold: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Mean confidence and accuracy of the n rows of each bin (low, high]; empty bins are left out."""
    bin_of, confidence, right = binned(gold, probabilities, bins)
    n = np.bincount(bin_of, minlength=bins)
    sure = np.bincount(bin_of, weights=confidence, minlength=bins)
    hits = np.bincount(bin_of, weights=right, minlength=bins)
    edges = np.linspace(0, 1, bins + 1)
    return [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "confidence": float(sure[i] / n[i]),
            "accuracy": float(hits[i] / n[i]),
            "n": int(n[i]),
        }
        for i in np.flatnonzero(n)
    ]


def binned(
    gold: np.ndarray, probabilities: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bin, the confidence and the rightness (1.0 or 0.0) of the top label of each row."""
    gold, probabilities = np.asarray(gold), np.asarray(probabilities)
    if len(gold) == 0:
        raise ValueError("there are no rows to score")
    confidence = probabilities.max(1).astype(np.float64)
    right = (probabilities.argmax(1) == gold).astype(np.float64)
    inner = np.linspace(0, 1, bins + 1)[1:-1]  # a confidence on an edge belongs below it
    return np.searchsorted(inner, confidence, side="left"), confidence, right
