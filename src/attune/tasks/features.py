"""What rows become before the model sees them: features, and batches of features as one stream.

N rows, F features (sequences), U units (what is asked of a feature: one label, the tag of one word, ...),
B sequences of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attune.models.place import there
from attune.models.stream import Stream, ranges
from attune.models.tokens import Sequences
from attune.tasks import linear


@dataclass(frozen=True)
class Features:
    """The inputs that rows became, with what is asked of them."""

    sequences: Sequences
    wanted: np.ndarray  # [U] position of each unit inside its sequence, feature by feature
    wanted_offsets: np.ndarray  # [F + 1]: feature f asks at wanted[wanted_offsets[f] : wanted_offsets[f + 1]]
    targets: np.ndarray  # [U, ...] one for each unit; -1 where a row has no label
    weights: np.ndarray  # [U] they add up to 1 for each supervised target of a row
    private: Any = None  # what only the task's own `loss`, `predict` and `join` need

    def __len__(self) -> int:
        return len(self.sequences)

    def units(self, features: np.ndarray) -> np.ndarray:
        """The numbers of all units of these features, feature by feature."""
        return ranges(self.wanted_offsets[features], self.asked(features))

    def asked(self, features: np.ndarray) -> np.ndarray:
        """How many units each of these features has."""
        return np.asarray(self.wanted_offsets[features + 1] - self.wanted_offsets[features])

    def count(self, features: np.ndarray) -> float:
        """How many targets these features hold together."""
        return float(self.weights[self.units(features)].sum())


@dataclass(frozen=True)
class Batch:
    """Some features as one stream, longest first."""

    source: Features
    features: np.ndarray  # [B] which ones, in the stream's order
    stream: Stream
    units: np.ndarray  # [U] which units of the source, in the stream's order
    wanted: Tensor  # [U] positions in the stream, ascending; on the host
    targets: Tensor  # [U, ...]
    weights: Tensor  # [U] float32
    count: float  # targets in it: the sum of the weights

    def on(self, device: torch.device) -> Batch:
        """The same batch on a device; `wanted` stays on the host, where plans are made."""
        if self.stream.tokens.device == device:
            return self
        targets, weights = there(self.targets, device), there(self.weights, device)
        return replace(self, stream=self.stream.on(device), targets=targets, weights=weights)

    @property
    def asked(self) -> list[int]:
        """[B] how many units each feature has."""
        return [int(count) for count in self.source.asked(self.features)]


def one_each(sequences: Sequences, targets: np.ndarray, weights: np.ndarray, private: Any = None) -> Features:
    """Features of which each is asked one thing as a whole (a label, a number, a span)."""
    size = len(sequences)
    return Features(
        sequences, np.zeros(size, np.int64), np.arange(size + 1), targets, weights.astype(np.float64), private
    )


def teaching(features: Features, labels: int, *, epochs: float, seed: int) -> np.ndarray:
    """The features that teach a new head of so many labels where to begin; none where too few may be read."""
    sequences = features.sequences
    chosen = linear.drawn(sequences.lengths, epochs=epochs, seed=seed)
    return chosen if linear.enough(len(np.unique(sequences.rows[chosen])), labels) else chosen[:0]


def batch_of(features: Features, chosen: np.ndarray) -> Batch:
    """The batch of the chosen features."""
    order = chosen[np.argsort(-features.sequences.sizes(chosen), kind="stable")]
    stream, units = features.sequences.stream(order), features.units(order)
    places = np.repeat(stream.starts, features.asked(order)) + features.wanted[units]
    weights = features.weights[units]
    return Batch(
        features,
        order,
        stream,
        units,
        torch.from_numpy(places.astype(np.int64)),
        torch.from_numpy(features.targets[units]),
        torch.from_numpy(weights.astype(np.float32)),
        float(weights.sum()),
    )
