"""A logistic regression of what a classifier reads: where a new head begins, instead of at random weights.

It minimises the mean cross entropy plus a penalty on its weights, over inputs of mean 0 and spread 1, by L-BFGS; how
strong the penalty is, every fifth row decides, which the others are tried on.

N rows, H inputs, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

# by how much less the penalty weighs; the first leaves hardly a weight
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
EVERY = 5  # one of so many rows is held out
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

    def __len__(self) -> int:
        return len(self.inputs)

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """All rows of these, in their order."""
        inputs, targets, weights = zip(*((r.inputs, r.targets, r.weights) for r in parts), strict=True)
        return Rows(np.concatenate(inputs), np.concatenate(targets), np.concatenate(weights))

    def at(self, chosen: np.ndarray) -> Rows:
        """The chosen rows."""
        return Rows(self.inputs[chosen], self.targets[chosen], self.weights[chosen])


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
        rows: at least `EVERY`.
        labels: C; one that no row has keeps the bias of half a row.
        bias: whether the model has biases; without one they are 0.
        length: of random weights, all together.
    """
    x = np.asarray(rows.inputs, np.float64)
    spread = np.maximum(x.std(0), TINY)
    middle = x.mean(0) if bias else np.zeros(x.shape[1])
    rows = replace(rows, inputs=(x - middle) / spread)
    counts = np.bincount(rows.targets, rows.weights, minlength=labels) + 0.5
    start = np.log(counts / counts.sum()) if bias else np.zeros(labels)
    strength, known = _strength(rows, start, bias=bias)
    weight, shift = _minimised(rows, start, strength, bias=bias)
    weight = weight / spread
    own = float(np.linalg.norm(weight))
    share = (length / own) ** (1 - known) if own > TINY else 1.0
    weight = weight * share
    return Linear(weight, start + (shift - start) * share - weight @ middle, known)


def _strength(rows: Rows, start: np.ndarray, *, bias: bool) -> tuple[float, float]:
    """Which strength is best on rows that were held out, and what share of the loss of knowing nothing it saves."""
    held = np.arange(len(rows)) % EVERY == 0
    seen, unseen = rows.at(~held), rows.at(held)

    def on_unseen(weight: np.ndarray, shift: np.ndarray) -> float:
        losses, _ = cross_entropy(unseen.inputs @ weight.T + shift, unseen.targets)
        return float(np.average(losses, weights=unseen.weights))

    tried = {each: on_unseen(*_minimised(seen, start, each, bias=bias)) for each in STRENGTHS}
    best = min(tried, key=tried.__getitem__)
    nothing = on_unseen(np.zeros((len(start), rows.inputs.shape[1])), start)
    return best, float(np.clip(1 - tried[best] / max(nothing, TINY), 0, 1))


def _minimised(
    rows: Rows, start: np.ndarray, strength: float, *, bias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The weights and biases of the least loss."""
    from scipy import optimize  # type: ignore[import-untyped]

    x, share = rows.inputs, rows.weights / rows.weights.sum()
    size = len(start), x.shape[1]

    def split(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return flat[size[0] :].reshape(size), flat[: size[0]]

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, shift = split(flat)
        losses, slope = cross_entropy(x @ weight.T + shift, rows.targets)
        slope, moved = slope * share[:, None], shift - start
        penalty = (weight**2).sum() / (2 * strength) + STEADY / 2 * (moved**2).sum()
        by_shift = slope.sum(0) + STEADY * moved if bias else np.zeros_like(shift)
        slopes = np.concatenate([by_shift, (slope.T @ x + weight / strength).ravel()])
        return float(losses @ share + penalty), slopes

    begin = np.concatenate([start, np.zeros(size[0] * size[1])])
    return split(optimize.minimize(value, begin, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)
