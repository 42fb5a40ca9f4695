"""Scores of predicted numbers: correlations, errors, and agreement on grades such as stars.

Letters: N rows, K = 13 sums: rows; moments x, y, xx, yy, xy of truth and prediction, then of their ranks; errors,
absolute and squared. Grades add 6: moments i, j, ii, jj of the grades, squared distance, rows that agree.
Values and ranks are centred on the whole data, so that the squares of large numbers do not cancel.
"""

from __future__ import annotations

import numpy as np

from attune.metrics.labels import share

PLAIN = 13


def statistics(gold: np.ndarray, said: np.ndarray, *, grades: tuple[int, int] | None = None) -> np.ndarray:
    """[N, K] what each row adds to the sums of which `scores` is a function.

    Ranks are taken once, in the whole data, and resampled with their rows: the Spearman correlation is exact
    for all rows; that of a resample is the Pearson correlation of those ranks, not of ranks taken anew.
    `grades` are the lowest and the highest grade: predictions are then also rounded, halves up, into them.
    """
    gold, said = _checked(gold), _checked(said)
    if gold.shape != said.shape:
        raise ValueError(f"{len(gold)} true numbers need as many predictions; found {len(said)}")
    columns = [np.ones(len(gold)), *_moments(gold - gold.mean(), said - said.mean())]
    x, y = (mean_ranks(values) / len(gold) for values in (gold, said))
    columns += _moments(x - x.mean(), y - y.mean())
    columns += [np.abs(said - gold), (said - gold) ** 2]
    return np.stack(columns + (_graded(gold, said, *grades) if grades else []), axis=1)


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of sums [..., K]; errors are in the unit of the numbers, `mse` in its square.

    A correlation with what does not vary is 0 (scipy: nan), as for Matthews'; `r2` is 1 minus the squared
    error over that of the true mean, and 0 for a truth that does not vary unless it is met.
    """
    sums = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    n, error, square = sums[0], sums[11], sums[12]
    around_mean = _spread(n, sums[1], sums[3]) / n  # squared distances of the truth from its mean
    found = {
        "pearson": _correlation(n, *sums[1:6]),
        "spearmanr": _correlation(n, *sums[6:11]),
        "mse": share(square, n),
        "rmse": np.sqrt(share(square, n)),
        "mae": share(error, n),
        "r2": np.where(around_mean > 0, 1 - share(square, around_mean), np.where(square > 0, 0.0, 1.0)),
    }
    if len(sums) > PLAIN:
        i, j, ii, jj, apart, same = sums[PLAIN:]
        by_chance = ii + jj - 2 * i * j / n
        found["accuracy"] = share(same, n)
        found["quadratic_weighted_kappa"] = np.where(by_chance > 0, 1 - share(apart, by_chance), 0.0)
    return found


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """[N] the rank of each value from 1 on, and the mean of their ranks for values that tie."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place.reshape(-1)])


def _moments(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    return [x, y, x * x, y * y, x * y]


def _graded(gold: np.ndarray, said: np.ndarray, low: int, high: int) -> list[np.ndarray]:
    if not (np.all(gold == np.round(gold)) and gold.min() >= low and gold.max() <= high):
        raise ValueError(f"true grades are whole numbers from {low} to {high}")
    i, j = gold - low, np.clip(np.floor(said + 0.5), low, high) - low
    return [i, j, i * i, j * j, (i - j) ** 2, (i == j).astype(np.float64)]


def _spread(n: np.ndarray, x: np.ndarray, xx: np.ndarray) -> np.ndarray:
    """[...] n times the sum of squared distances from the mean; 0 where it is rounding."""
    found = n * xx - x * x
    return np.asarray(np.where(found > 1e-12 * n * xx, found, 0.0))


def _correlation(
    n: np.ndarray, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray
) -> np.ndarray:
    spread = np.sqrt(_spread(n, x, xx)) * np.sqrt(_spread(n, y, yy))
    return np.asarray(np.clip(share(n * xy - x * y, spread), -1.0, 1.0))


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"numbers are a list of at least one; found shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("some numbers are not finite")
    return values
