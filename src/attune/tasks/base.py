"""The contract of a task, and the types that flow through it.

    Table -> Features -> Batch -> logits -> loss            (training)
                          Batch -> logits -> pieces -> predictions -> {metric: value}

One row may make several features (windows of a long text), so `predict` answers for features and `join`
brings the answers back to rows. A batch knows its number of targets before any forward pass, and a loss is a
SUM over targets: the loop divides once, by the targets of the whole optimizer step, so that the gradient
cannot depend on how a step is cut.

N rows, F features, W wanted positions of a batch, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from attune.data.table import Table
from attune.models.backbone import Backbone
from attune.models.stream import Stream
from attune.models.tokens import Sequences, TextEncoder


class Options(BaseModel):
    """What only one task knows; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


O = TypeVar("O", bound=Options)  # noqa: E741 - the one letter type of the options


@dataclass(frozen=True)
class Features:
    """The inputs that rows became, with what is asked of them."""

    sequences: Sequences
    wanted: np.ndarray  # positions inside each sequence, feature by feature
    wanted_offsets: np.ndarray  # [F + 1]: feature f asks at wanted[wanted_offsets[f] : wanted_offsets[f + 1]]
    targets: np.ndarray  # one for each wanted position; -1 where a row has no label
    weights: np.ndarray  # one for each wanted position; they add up to 1 for each supervised target of a row

    def __len__(self) -> int:
        return len(self.sequences)

    def count(self, features: np.ndarray) -> float:
        """How many targets these features hold together."""
        return float(
            sum(self.weights[self.wanted_offsets[f] : self.wanted_offsets[f + 1]].sum() for f in features)
        )


@dataclass(frozen=True)
class Batch:
    """Some features as one stream, longest first."""

    features: np.ndarray  # [B] which ones, in the stream's order
    stream: Stream
    wanted: Tensor  # [W] positions in the stream, ascending
    targets: Tensor  # [W]
    weights: Tensor  # [W] float32
    count: float  # targets in it: the sum of the weights


def batch_of(features: Features, chosen: np.ndarray) -> Batch:
    """The batch of the chosen features."""
    order = chosen[np.argsort(-features.sequences.lengths[chosen], kind="stable")]
    stream = Stream.of([features.sequences[f] for f in order])
    spans = [np.arange(features.wanted_offsets[f], features.wanted_offsets[f + 1]) for f in order]
    flat = np.concatenate(spans)
    places = np.concatenate(
        [start + features.wanted[span] for start, span in zip(stream.starts, spans, strict=True)]
    )
    weights = features.weights[flat]
    return Batch(
        order,
        stream,
        torch.from_numpy(places.astype(np.int64)),
        torch.from_numpy(features.targets[flat]),
        torch.from_numpy(weights.astype(np.float32)),
        float(weights.sum()),
    )


class Task(ABC, Generic[O]):
    """A task: options, label set, encoding, loss, predictions, score; read top to bottom in its file."""

    name: ClassVar[str]
    head: ClassVar[str]  # the key of models.load.HEADS: a transformers class that anyone can load
    main_metric: ClassVar[str]  # higher is better, always
    labels: tuple[str, ...] = ()

    def __init__(self, options: O) -> None:
        self.options = options

    @abstractmethod
    def learn(self, rows: Table, column: str) -> None:
        """Takes the label set from the training rows."""

    @abstractmethod
    def gold(self, rows: Table, column: str) -> np.ndarray:
        """What the rows' labels are as targets."""

    @abstractmethod
    def encode(self, texts: Sequence[str], encoder: TextEncoder, gold: np.ndarray | None = None) -> Features:
        """The features of these texts, with their targets where they are known."""

    @abstractmethod
    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The head's answers [W, C] at the wanted positions."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The summed loss over the batch's targets, a scalar."""

    @abstractmethod
    def predict(self, logits: Tensor) -> np.ndarray:
        """The answers for the batch's features, one row each, float64."""

    @abstractmethod
    def join(self, pieces: np.ndarray, features: Features) -> np.ndarray:
        """The predictions for rows, from the answers for features."""

    @abstractmethod
    def score(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
        """Every metric of these predictions, `main_metric` and `loss`-like ones among them."""

    @abstractmethod
    def examples(self) -> dict[str, Any]:
        """Awkward rows for the conformance suite: `{"texts": [...], "labels": [...]}`."""
