"""How far a score can be trusted: bootstrap intervals, and paired comparisons of two sets of answers.

Letters: S samples, N rows, C classes, K cells of rows that agree in truth and in both answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attune.metrics import calibration, labels
from attune.metrics.labels import COUNTED, Tally

CELLS_AT_ONCE = 2**20  # bounds the memory of one stretch of samples: a few arrays of 8 MiB
ALPHA = 0.05
WORDS = {
    "accuracy": "accuracy",
    "f1_macro": "macro-F1",
    "f1_micro": "micro-F1",
    "f1_weighted": "weighted F1",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "matthews_correlation": "Matthews correlation",
}


@dataclass(frozen=True)
class Interval:
    """A score of n rows, and the bounds that resampling the rows puts on it."""

    value: float
    low: float
    high: float
    n: int


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


def bootstrap(
    gold: np.ndarray,
    probabilities: np.ndarray,
    classes: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Percentile intervals over resampled rows, for every metric of `labels.score` (Efron 1979).

    Do not read the interval of `ece` as holding the true error: chance only adds to `ece`, resampling
    adds it once more, and for a well calibrated model the whole interval lies above the truth. Where
    resampling moves all of an interval away from its value, it is widened to reach it. Nor can it show
    what the rows do not: without a single mistake the interval of accuracy has no width.
    """
    _check_draws(samples, level)
    values = labels.score(gold, probabilities, classes)
    rows = _Rows.of(*labels.checked(gold, probabilities, classes), ranked="roc_auc" in values)
    rng = np.random.default_rng(seed)
    n = len(rows.gold)
    stretches = [
        rows.scores(rng.integers(n, size=(size, n)), classes) for size in _stretches(samples, max(n, classes))
    ]
    drawn = {name: np.concatenate([stretch[name] for stretch in stretches]) for name in values}
    return {name: Interval(value, *_bounds(drawn[name], value, level), n=n) for name, value in values.items()}


def paired(
    gold: np.ndarray,
    probabilities_a: np.ndarray,
    probabilities_b: np.ndarray,
    classes: int,
    *,
    metric: str,
    samples: int = 1000,
    seed: int = 0,
) -> Difference:
    """The difference a - b of a metric that counts labels, and whether it can be chance.

    The interval is that of the paired bootstrap. p is by approximate randomisation (Noreen 1989): how
    often a difference as large appears when each row swaps its two answers by the toss of a coin.
    """
    _check_draws(samples, 1 - ALPHA)
    if metric not in COUNTED:
        raise ValueError(f"paired compares {', '.join(COUNTED)}; found '{metric}'")
    gold, probabilities_a = labels.checked(gold, probabilities_a, classes)
    probabilities_b = labels.checked(gold, probabilities_b, classes)[1]
    cells = _Cells.of(gold, probabilities_a.argmax(1), probabilities_b.argmax(1), classes)
    value = float(cells.difference(metric, cells.n[None], np.zeros((1, len(cells.n))))[0])
    resampling, swapping = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    low, high = _bounds(cells.resampled(metric, samples, resampling), value, 1 - ALPHA)
    extreme = np.abs(cells.swapped(metric, samples, swapping)) >= abs(value) - 1e-12  # ties, as rounded
    return Difference(metric, value, low, high, float((1 + extreme.sum()) / (1 + samples)), len(gold))


def sentence(difference: Difference, other: str) -> str:
    """The difference in plain words and points (hundredths), as said of the first answers.

    It is a better or a worse only if the interval leaves out 0 and p is below 0.05.
    """
    d = difference
    told = d.p < ALPHA and (d.low > 0 or d.high < 0)
    values = (d.difference, d.low, d.high) if not told or d.low > 0 else (-d.difference, -d.high, -d.low)
    points, low, high = (f"{round(100 * value, 1) + 0.0:.1f}" for value in values)  # + 0.0: no "-0.0"
    size = f"{points} points [{low}, {high}] in {WORDS[d.metric]} ({_chance(d.p)})"
    if told:
        return f"{'better' if d.low > 0 else 'worse'} than {other} by {size}"
    rows = "1 row" if d.n == 1 else f"{d.n:,} rows"
    return f"the test set ({rows}) cannot tell it from {other}: difference {size}"


@dataclass(frozen=True)
class _Rows:
    """What each row adds to each metric, so that a sample of rows is scored by counting."""

    gold: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray
    bins: np.ndarray
    gaps: np.ndarray  # rightness less confidence
    ranks: np.ndarray | None  # of the probability of class 1, where there are two

    @classmethod
    def of(cls, gold: np.ndarray, probabilities: np.ndarray, *, ranked: bool) -> _Rows:
        bins, confidence, right = calibration.binned(gold, probabilities)
        return cls(
            gold,
            probabilities.argmax(1),
            labels.losses(gold, probabilities),
            bins,
            right - confidence,
            labels.ranks(probabilities[:, 1]) if ranked else None,
        )

    def scores(self, index: np.ndarray, classes: int) -> dict[str, np.ndarray]:
        """Every metric of each of S samples of row numbers [S, N]."""
        missed = np.where(self.gold == self.predicted, self.gold, classes)
        counted = Tally(
            hits=_counts(missed[index], classes + 1)[:, :classes],
            support=_counts(self.gold[index], classes),
            guessed=_counts(self.predicted[index], classes),
        )
        scores = {name: metric(counted) for name, metric in COUNTED.items()}
        scores["log_loss"] = self.losses[index].mean(1)
        gaps = _counts(self.bins[index], calibration.BINS, self.gaps[index])
        scores["ece"] = np.abs(gaps).sum(1) / index.shape[1]
        if self.ranks is not None:
            places = int(self.ranks.max()) + 1
            ranked = _counts((2 * self.ranks + self.gold)[index], 2 * places).reshape(-1, places, 2)
            scores["roc_auc"] = labels.ranked_auc(ranked)
            scores["average_precision"] = labels.ranked_precision(ranked)
        return scores


@dataclass(frozen=True)
class _Cells:
    """Rows that agree in truth and in both answers, counted; one-hot tables turn counts into tallies.

    Counting them by cells is the same as drawing or swapping the rows, and costs K instead of N a sample.
    """

    n: np.ndarray  # [K]
    gold: np.ndarray  # [K, C] one-hot
    a: np.ndarray  # [K, C] one-hot
    b: np.ndarray  # [K, C] one-hot

    @classmethod
    def of(cls, gold: np.ndarray, a: np.ndarray, b: np.ndarray, classes: int) -> _Cells:
        _, first, n = np.unique((gold * classes + a) * classes + b, return_index=True, return_counts=True)
        order = np.argsort(first)  # in the order of the rows, so that a against b draws as b against a
        rows, hot = first[order], np.eye(classes)
        return cls(n[order].astype(np.float64), hot[gold[rows]], hot[a[rows]], hot[b[rows]])

    def difference(self, metric: str, kept: np.ndarray, swapped: np.ndarray) -> np.ndarray:
        """[S] differences, where of each cell some rows keep their answers and some swap them, [S, K]."""
        return np.asarray(self._score(metric, kept, swapped) - self._score(metric, swapped, kept))

    def _score(self, metric: str, by_a: np.ndarray, by_b: np.ndarray) -> np.ndarray:
        # sums of whole numbers are exact in any order, so the threads of BLAS cannot change a bit
        return COUNTED[metric](
            Tally(
                hits=by_a @ (self.a * self.gold) + by_b @ (self.b * self.gold),
                support=(by_a + by_b) @ self.gold,
                guessed=by_a @ self.a + by_b @ self.b,
            )
        )

    def resampled(self, metric: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """[S] differences of rows drawn with replacement."""
        drawn = []
        for size in _stretches(samples, max(self.a.shape)):
            kept = rng.multinomial(int(self.n.sum()), self.n / self.n.sum(), size=size).astype(np.float64)
            drawn.append(self.difference(metric, kept, np.zeros_like(kept)))
        return np.concatenate(drawn)

    def swapped(self, metric: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """[S] differences of rows whose two answers changed places with probability 1/2."""
        drawn = []
        for size in _stretches(samples, max(self.a.shape)):
            swapped = rng.binomial(self.n.astype(np.int64), 0.5, size=(size, len(self.n))).astype(np.float64)
            drawn.append(self.difference(metric, self.n - swapped, swapped))
        return np.concatenate(drawn)


def _counts(keys: np.ndarray, kinds: int, weights: np.ndarray | None = None) -> np.ndarray:
    """[S, kinds] how often each key (or how much weight) stands in each row of keys [S, N]."""
    size = len(keys)
    flat = (keys + kinds * np.arange(size)[:, None]).reshape(-1)
    weights = None if weights is None else weights.reshape(-1)
    return np.bincount(flat, weights, minlength=size * kinds).reshape(size, kinds).astype(np.float64)


def _stretches(samples: int, width: int) -> Iterator[int]:
    """Numbers of samples to draw at once, so that memory does not grow with their number."""
    most = max(1, CELLS_AT_ONCE // width)
    for start in range(0, samples, most):
        yield min(most, samples - start)


def _bounds(drawn: np.ndarray, value: float, level: float) -> tuple[float, float]:
    known = drawn[np.isfinite(drawn)]  # a sample of one class has no roc_auc
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else (value, value)
    return min(float(low), value), max(float(high), value)


def _check_draws(samples: int, level: float) -> None:
    if samples < 1:
        raise ValueError(f"resampling needs at least one sample; found {samples}")
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1; found {level}")


def _chance(p: float) -> str:
    if p < 0.0005:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.01 else f"p = {p:.2g}"
