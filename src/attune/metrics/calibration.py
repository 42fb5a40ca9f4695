"""Whether a model that is 80 % sure is right 80 % of the time, for the label it finds most probable."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

BINS = 15  # Guo et al. 2017


def ece(gold: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error in [0, 1], over bins of equal width (Guo et al. 2017)."""
    bin_of, confidence, right = binned(gold, probabilities, bins)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(bin_of))


def ece_bounds(
    gold: np.ndarray, probabilities: np.ndarray, level: float = 0.95, bins: int = BINS
) -> tuple[float, float]:
    """Bounds of the calibration error that endless rows would show in the same bins.

    Chance only adds to `ece`, so a well calibrated model never shows 0, and resampling adds it once more:
    bootstrap intervals of `ece` lie above the truth. Here the upper bound is the error as found, which is
    too high if anything, and z standard errors. The lower one is what remains when one half of the rows
    chooses the sign of each bin's gap and the other half measures it, averaged over all halvings in their
    normal limit, less z standard errors: with a wrong sign a gap counts against the error, so that this is
    0 on average for a calibrated model, and never above the truth on average. Neither is below 0.
    """
    bin_of, confidence, right = binned(gold, probabilities, bins)
    n = np.bincount(bin_of, minlength=bins)
    gap = np.bincount(bin_of, weights=right - confidence, minlength=bins)  # summed over the rows of a bin
    z = NormalDist().inv_cdf((1 + level) / 2)
    spread = np.sqrt(_variances(bin_of, confidence, right, bins))
    total, within = np.abs(gap).sum(), (spread**2).sum()
    between = (np.divide(gap**2, n, out=np.zeros(bins), where=n > 0)).sum() - total**2 / len(bin_of)
    error = z * np.sqrt(within + max(0.0, between))
    low = (np.maximum(0.0, _halved(gap, spread).sum() - error)) / len(bin_of)
    return float(min(low, total / len(bin_of))), float(min(1.0, (total + error) / len(bin_of)))


def _variances(bin_of: np.ndarray, confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """[bins] variance of the summed gap: as found or as a calibrated model's, whichever is larger.

    A bin of 20 rows that are all right shows no spread; at a confidence of 0.9 there is some.
    """
    n = np.bincount(bin_of, minlength=bins)
    gaps = right - confidence
    sums, squares = (np.bincount(bin_of, weights=x, minlength=bins) for x in (gaps, gaps**2))
    found = squares - np.divide(sums**2, n, out=np.zeros(bins), where=n > 0)
    return np.maximum(found, np.bincount(bin_of, weights=confidence * (1 - confidence), minlength=bins))


def _halved(gap: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """[bins] sign of the gap in one half times the gap in the other, summed over both and averaged.

    The halves of a sum G with variance V are G/2 + e and G/2 - e with e normal of variance V/4, so the
    mean is sqrt(V) (u (2 Phi(u) - 1) - 2 phi(u)) with u = G / sqrt(V).
    """
    u = np.minimum(np.abs(gap) / np.maximum(spread, 1e-300), 40.0)  # beyond 40 a sign is certain in float64
    sure = np.array([math.erf(x / math.sqrt(2)) for x in u])
    return np.asarray(np.abs(gap) * sure - spread * math.sqrt(2 / math.pi) * np.exp(-(u**2) / 2))


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
