"""A logistic regression of what a classifier reads: where a new head begins, instead of at random weights.

It minimises the mean cross entropy plus a penalty on its weights, over inputs of mean 0 and spread 1, by L-BFGS; how
strong the penalty is, the rows of every fifth text decide, which the model was not fitted to.

N rows, H inputs, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

MOST, TOKENS = 1024, 16384  # features that are read at most, and tokens of them together
LEAST, OF_EACH = 100, 4  # texts, in all and of a label in the mean, below which nothing is concluded
SHARE = 1 / 3  # of all that training reads; without gradients it costs a third

# by how much less the penalty weighs; the first leaves hardly a weight
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
EVERY = 5  # one of so many texts is held out
STEADY = 1e-3  # penalty on a bias that leaves where it began: that of a label without a row would run away
STEPS = 100  # of L-BFGS, at most
TINY = 1e-6  # spread below which an input tells nothing


@dataclass(frozen=True)
class Linear:
    """What was learned."""

    weight: np.ndarray  # [C, H] float64
    bias: np.ndarray  # [C]; 0 where a model has none
    knows: float  # share of the loss of knowing nothing that it saves on rows that were held out, in [0, 1]


@dataclass(frozen=True)
class Rows:
    """What is learned from."""

    inputs: np.ndarray  # [N, H]
    targets: np.ndarray  # [N] int64, numbers of labels
    weights: np.ndarray  # [N] how much each row counts
    texts: np.ndarray  # [N] which text each is of: windows of one are held out together

    def __len__(self) -> int:
        return len(self.inputs)

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """All rows of these, in their order."""
        columns = zip(*((r.inputs, r.targets, r.weights, r.texts) for r in parts), strict=True)
        return Rows(*map(np.concatenate, columns))

    def at(self, chosen: np.ndarray) -> Rows:
        """The chosen rows."""
        return Rows(self.inputs[chosen], self.targets[chosen], self.weights[chosen], self.texts[chosen])


def drawn(lengths: np.ndarray, *, epochs: float, seed: int) -> np.ndarray:
    """Some features, drawn evenly, until they are as many, or have as many tokens, as may be read.

    Args:
        lengths: [F] tokens of each feature.
        epochs: how often training reads all of them.
        seed: of the choice.
    """
    order = np.random.default_rng([seed, len(lengths)]).permutation(len(lengths))[:MOST]
    most = min(TOKENS, SHARE * epochs * lengths.sum())
    return np.asarray(order[: int(np.searchsorted(np.cumsum(lengths[order]), most, side="right"))])


def enough(texts: int, labels: int) -> bool:
    """Whether so many texts can tell so many labels."""
    return texts >= max(LEAST, OF_EACH * labels)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each row [N], and its derivative by the logits [N, C]."""
    shifted = logits - logits.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    slope, rows = np.exp(logs), np.arange(len(targets))
    slope[rows, targets] -= 1
    return -logs[rows, targets], slope


def fitted(rows: Rows, labels: int, *, bias: bool, length: float) -> Linear:
    """The linear model that tells the labels from the inputs, as loud as it is right.

    What lies below will be trained, too, and inputs that hardly vary now will vary more then: weights that are long
    because of it would make of each small change there a large one in what they say. So they have a length between
    that of random ones, where rows that were held out show that they know nothing, and their own, where they know
    everything.

    Args:
        rows: of `EVERY` texts at least.
        labels: C; one that no row has keeps the bias of half a row.
        bias: whether the model has biases; without one they are 0.
        length: of random weights, all together.
    """
    x = np.asarray(rows.inputs, np.float64)
    middle = x.mean(0) if bias else np.zeros(x.shape[1])  # without biases nothing can make up for a middle
    spread = np.maximum(np.sqrt(((x - middle) ** 2).mean(0)), TINY)
    rows = replace(rows, inputs=(x - middle) / spread)
    counts = np.bincount(rows.targets, rows.weights, minlength=labels) + 0.5
    usual = np.log(counts / counts.sum())  # what is known without any input
    strength, known, begin = _strength(rows, usual, bias=bias)
    weight, shift = _minimised(rows, begin, usual, strength, bias=bias)
    weight = weight / spread
    own, start = float(np.linalg.norm(weight)), usual if bias else 0 * usual
    share = min(1.0, (length / own) ** (1 - known)) if own > TINY else 1.0
    weight = weight * share
    return Linear(weight, start + (shift - start) * share - weight @ middle, known)


def _strength(rows: Rows, usual: np.ndarray, *, bias: bool) -> tuple[float, float, np.ndarray]:
    """Which strength is best on texts that were held out.

    Returns:
        It; what share of the loss of knowing nothing it saves, in [0, 1]; and the model that was found with it.
    """
    held = np.unique(rows.texts, return_inverse=True)[1] % EVERY == 0
    seen, unseen = rows.at(~held), rows.at(held)

    def on_unseen(weight: np.ndarray, shift: np.ndarray) -> float:
        losses, _ = cross_entropy(unseen.inputs @ weight.T + shift, unseen.targets)
        return float(np.average(losses, weights=unseen.weights))

    found, losses = np.zeros((len(usual), rows.inputs.shape[1] + 1)), dict[float, tuple[float, np.ndarray]]()
    found[:, -1] = usual if bias else 0
    for strength in STRENGTHS:  # each from where the stronger penalty ended, which is near
        weight, shift = _minimised(seen, found, usual, strength, bias=bias)
        found = np.column_stack([weight, shift])
        losses[strength] = (on_unseen(weight, shift), found)
    best = min(losses, key=lambda strength: losses[strength][0])
    nothing = on_unseen(np.zeros((len(usual), rows.inputs.shape[1])), usual)
    known = float(np.clip(1 - losses[best][0] / max(nothing, TINY), 0, 1))
    return best, known, losses[best][1]


def _minimised(
    rows: Rows, begin: np.ndarray, usual: np.ndarray, strength: float, *, bias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The weights and biases of the least loss, sought from `begin` [C, H + 1] on; biases are drawn to `usual`."""
    from scipy import optimize  # type: ignore[import-untyped]

    x, share = rows.inputs, rows.weights / rows.weights.sum()

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, shift = np.split(flat.reshape(begin.shape), [-1], axis=1)
        losses, slope = cross_entropy(x @ weight.T + shift[:, 0], rows.targets)
        slope, moved = slope * share[:, None], (shift[:, 0] - usual) * bias
        penalty = (weight**2).sum() / (2 * strength) + STEADY / 2 * (moved**2).sum()
        by_shift = (slope.sum(0) + STEADY * moved) * bias
        slopes = np.column_stack([slope.T @ x + weight / strength, by_shift])
        return float(losses @ share + penalty), slopes.ravel()

    knobs = {"jac": True, "method": "L-BFGS-B", "options": {"maxiter": STEPS}}
    made = optimize.minimize(value, begin.ravel(), **knobs).x.reshape(begin.shape)
    return made[:, :-1], made[:, -1]
