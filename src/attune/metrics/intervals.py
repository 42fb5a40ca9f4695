"""How far a score can be trusted: bootstrap intervals, and paired comparisons of two sets of answers.

`of_sums` and `paired_sums` do for every score that is a function of sums over rows what `bootstrap` and
`paired` do for one label a row. Letters: S samples, N rows, C classes, K cells of rows that agree in truth
and in both answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from attune.metrics import calibration, labels, resampling
from attune.metrics.labels import COUNTED, Tally
from attune.metrics.resampling import Interval
from attune.metrics.scales import WORDS, scale
from attune.metrics.sums import ALPHA, Difference, chance, of_sums, of_weights, paired_sums

CARRIED = (
    "a few rows carry most of the loss: such intervals hold the truth less often than they say "
    "(in 89 % of the cases instead of 95 %), mostly because it is larger"
)
ROUNDING = 1e-9  # of a bound that is 0
CARRYING = 20  # rows that a mean must rest on at least, counted as (sum)^2 / (sum of squares)

__all__ = [
    "ALPHA",
    "WORDS",
    "Difference",
    "Interval",
    "bootstrap",
    "of_sums",
    "of_weights",
    "paired",
    "paired_sums",
    "sentence",
]


def bootstrap(
    gold: np.ndarray,
    probabilities: np.ndarray,
    classes: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Intervals over resampled rows for every metric of `labels.score`, and without them for `ece`.

    `resampling.bounds` says which bootstrap interval it is, `calibration.ece_bounds` why `ece` has another.
    """
    resampling.check_draws(samples, level)
    values = labels.score(gold, probabilities, classes)
    gold, probabilities = labels.checked(gold, probabilities, classes)
    rows = _Rows.of(gold, probabilities, classes, ranked="roc_auc" in values)
    found = of_weights(
        len(gold),
        rows.scores,
        samples=samples,
        seed=seed,
        level=level,
        width=rows.width,
        values={name: value for name, value in values.items() if name != "ece"},
    )
    if rows.losses.sum() ** 2 < CARRYING * (rows.losses**2).sum():
        found["log_loss"] = replace(found["log_loss"], note=found["log_loss"].note or CARRIED)
    low, high = calibration.ece_bounds(gold, probabilities, level)
    note = resampling.UNKNOWN if high - low <= resampling.SAME else ""
    found["ece"] = Interval(values["ece"], low, high, len(gold), note)
    return {name: found[name] for name in values}


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
    resampling.check_draws(samples, 1 - ALPHA)
    if metric not in COUNTED:
        raise ValueError(f"paired compares {', '.join(COUNTED)}; found '{metric}'")
    gold, probabilities_a = labels.checked(gold, probabilities_a, classes)
    probabilities_b = labels.checked(gold, probabilities_b, classes)[1]
    cells = _Cells.of(gold, probabilities_a.argmax(1), probabilities_b.argmax(1), classes)
    value = float(cells.difference(metric, cells.n[None], np.zeros((1, len(cells.n))))[0])
    kept, swapping = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    drawn, middle = cells.resampled(metric, samples, kept)
    low, high = resampling.bounds(drawn, value, middle, 1 - ALPHA)
    p = chance(cells.swapped(metric, samples, swapping), value)
    return Difference(metric, value, low, high, p, len(gold))


def sentence(difference: Difference, other: str) -> str:
    """The difference in plain words, as said of the first answers: in points (hundredths) for shares.

    It is a better or a worse only if the interval leaves out 0 and p is below 0.05. An error that is
    lower is better, and by a positive amount.
    """
    d, how = difference, scale(difference.metric)
    told = d.p < ALPHA and (d.low > 0 or d.high < 0)
    values = (d.difference, d.low, d.high) if not told or d.low > 0 else (-d.difference, -d.high, -d.low)
    amount, low, high = how.told(*values)
    size = f"{amount}{' points' if how.points else ''} [{low}, {high}] in {how.words} ({_likely(d.p)})"
    if told:
        return f"{'better' if (d.low > 0) != how.lower_is_better else 'worse'} than {other} by {size}"
    rows = "1 row" if d.n == 1 else f"{d.n:,} rows"
    # two methods, one of which resamples whole rows: on few rows they may disagree, and then nothing is claimed
    leaves_out = d.low > ROUNDING or d.high < -ROUNDING
    apart = "; interval and test disagree, so nothing is claimed" if leaves_out else ""
    return f"the test set ({rows}) cannot tell it from {other}: difference {size}{apart}"


@dataclass(frozen=True)
class _Rows:
    """What each row adds to each metric, so that a sample of rows is scored by counting."""

    gold: np.ndarray
    predicted: np.ndarray
    losses: np.ndarray
    classes: int
    ranks: np.ndarray | None  # of the probability of class 1, where there are two

    @classmethod
    def of(cls, gold: np.ndarray, probabilities: np.ndarray, classes: int, *, ranked: bool) -> _Rows:
        ranks = labels.ranks(probabilities[:, 1]) if ranked else None
        return cls(gold, probabilities.argmax(1), labels.losses(gold, probabilities), classes, ranks)

    @property
    def places(self) -> int:
        """The number of distinct ranks, 0 if there is no ranking."""
        return 0 if self.ranks is None else int(self.ranks.max()) + 1

    @property
    def width(self) -> int:
        """How many numbers the tables of one sample hold."""
        return max(self.classes + 1, 2 * self.places)

    def scores(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric but `ece` of each of S samples, given as weights [S, N] of the rows."""
        missed = np.where(self.gold == self.predicted, self.gold, self.classes)
        counted = Tally(
            hits=self._counted(missed, self.classes + 1, weights)[:, : self.classes],
            support=self._counted(self.gold, self.classes, weights),
            guessed=self._counted(self.predicted, self.classes, weights),
        )
        scores = {name: metric(counted) for name, metric in COUNTED.items()}
        scores["log_loss"] = (weights * self.losses).sum(1) / weights.sum(1)
        if self.ranks is not None:
            ranked = self._counted(2 * self.ranks + self.gold, 2 * self.places, weights)
            ranked = ranked.reshape(-1, self.places, 2)
            scores["roc_auc"] = labels.ranked_auc(ranked)
            scores["average_precision"] = labels.ranked_precision(ranked)
        return scores

    @staticmethod
    def _counted(keys: np.ndarray, kinds: int, weights: np.ndarray) -> np.ndarray:
        return resampling.counts(np.broadcast_to(keys, weights.shape), kinds, weights)


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

    def resampled(self, metric: str, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """[S] differences of rows drawn with replacement, and the one of all draws together."""
        drawn, total = [], np.zeros((1, len(self.n)))
        for size in resampling.stretches(samples, max(self.a.shape)):
            kept = rng.multinomial(int(self.n.sum()), self.n / self.n.sum(), size=size).astype(np.float64)
            total += kept.sum(0)
            drawn.append(self.difference(metric, kept, np.zeros_like(kept)))
        return np.concatenate(drawn), float(self.difference(metric, total, np.zeros_like(total))[0])

    def swapped(self, metric: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """[S] differences of rows whose two answers changed places with probability 1/2."""
        drawn = []
        for size in resampling.stretches(samples, max(self.a.shape)):
            swapped = rng.binomial(self.n.astype(np.int64), 0.5, size=(size, len(self.n))).astype(np.float64)
            drawn.append(self.difference(metric, self.n - swapped, swapped))
        return np.concatenate(drawn)


def _likely(p: float) -> str:
    if p < 0.0005:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.01 else f"p = {p:.2g}"
