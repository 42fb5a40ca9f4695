"""Intervals and paired comparisons of every score that is a function of sums over rows.

A metric gives `statistics` [N, K], what each row adds to each of K sums, and `scores`, a function of sums
[..., K]; nothing else is needed to resample it. Scores are means of a kind: of twice the sums they are the
same. Letters: S samples, N rows, K sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from attune.metrics import resampling
from attune.metrics.resampling import Interval
from attune.metrics.scales import scale

ALPHA = 0.05
Scores = Callable[[np.ndarray], dict[str, np.ndarray]]  # of sums [..., K], or of weights of rows [S, N]


@dataclass(frozen=True)
class Difference:
    """How much higher the first answers score than the second ones on the same n rows.

    `low` and `high` bound it with a level of 0.95; `p` is two-sided.
    """

    metric: str
    difference: float
    low: float
    high: float
    p: float
    n: int


def of_sums(
    statistics: np.ndarray, scores: Scores, *, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """The bootstrap interval of every score; one that is nan on all rows together does not exist."""
    statistics = _checked(statistics)
    return of_weights(
        len(statistics),
        lambda weights: scores(weights @ statistics),
        samples=samples,
        seed=seed,
        level=level,
        width=statistics.shape[1],
    )


def of_weights(
    n: int,
    scores: Scores,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    width: int = 1,
    values: Mapping[str, float] | None = None,
) -> dict[str, Interval]:
    """The bootstrap interval of every score of n rows, from a function of the weights [S, N] of the rows.

    `width` is how many numbers a sample needs on the way, if more than n; `values` are the scores of the
    rows themselves, where they are known to the last bit.
    """
    resampling.check_draws(samples, level)
    if values is None:
        values = {name: float(score[0]) for name, score in scores(np.ones((1, n))).items()}
    total, drawn = np.zeros(n), []
    for weights in resampling.weights(n, samples, np.random.default_rng(seed), width):
        total += weights.sum(0)
        drawn.append(scores(weights))
    middle = scores(total[None])  # whole numbers, so that what cancels does so exactly
    return {
        name: resampling.interval(
            np.concatenate([stretch[name] for stretch in drawn]),
            value,
            float(middle[name][0]),
            n=n,
            level=level,
            scale=scale(name),
        )
        for name, value in values.items()
        if not np.isnan(value)
    }


def paired_sums(
    a: np.ndarray, b: np.ndarray, scores: Scores, *, metric: str, samples: int = 1000, seed: int = 0
) -> Difference:
    """The difference a - b of a score of statistics [N, K] of the same rows, and whether it can be chance.

    The interval is that of the paired bootstrap. p is by approximate randomisation (Noreen 1989): how
    often a difference as large appears when each row swaps its two answers by the toss of a coin.
    """
    resampling.check_draws(samples, 1 - ALPHA)
    a, b = _checked(a), _checked(b)
    if a.shape != b.shape:
        raise ValueError(
            f"answers on the same rows have statistics of one shape; found {a.shape} and {b.shape}"
        )

    def difference(of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        return np.asarray(scores(of_a)[metric] - scores(of_b)[metric])

    n = len(a)
    value = float(difference(a.sum(0), b.sum(0)))
    kept, swapped = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    total, drawn = np.zeros(n), []
    for weights in resampling.weights(n, samples, kept):
        total += weights.sum(0)
        drawn.append(difference(weights @ a, weights @ b))
    middle = float(difference(total @ a, total @ b))
    low, high = resampling.bounds(np.concatenate(drawn), value, middle, 1 - ALPHA)
    swaps = [difference(*_swap(coins, a, b)) for coins in _coins(n, samples, swapped)]
    return Difference(metric, value, low, high, chance(np.concatenate(swaps), value), n)


def chance(swapped: np.ndarray, value: float) -> float:
    """The share of S differences, and of the one that was found, that are at least as large as it.

    A difference that does not exist counts as large, so that p is never too small.
    """
    smaller = np.abs(swapped) < abs(value) * (1 - 1e-9) - resampling.SAME  # ties are ties, as rounded
    return float((1 + (~smaller).sum()) / (1 + len(swapped)))


def _swap(coins: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (1 - coins) @ a + coins @ b, coins @ a + (1 - coins) @ b


def _coins(n: int, samples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for size in resampling.stretches(samples, n):
        yield rng.integers(2, size=(size, n)).astype(np.float64)


def _checked(statistics: np.ndarray) -> np.ndarray:
    statistics = np.asarray(statistics, dtype=np.float64)
    if statistics.ndim != 2 or not len(statistics):
        raise ValueError(
            f"statistics are a table [rows, sums] of at least one row; found shape {statistics.shape}"
        )
    if not np.isfinite(statistics).all():
        raise ValueError("some statistics are not finite numbers")
    return statistics
