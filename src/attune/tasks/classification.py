"""Classification of texts into one of several labels: topic, intent, spam, sentiment.

The head reads the first position, as BERT's does (Devlin et al. 2019); the loss is the cross entropy of the
label. A text read through several windows counts once: its windows share its weight, and its prediction is
the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from attune.data.table import Table
from attune.metrics import labels as metrics
from attune.models.backbone import Backbone
from attune.models.tokens import TextEncoder
from attune.tasks import base


class Options(base.Options):
    """What only classification knows."""

    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: each label weighs the same in the loss, however rare it is"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each target spread over all labels")


class Classification(base.Task[Options]):
    """One label for each text."""

    name = "classification"
    head = "classification"
    main_metric = "f1_macro"
    Options = Options

    def learn(self, rows: Table, column: str) -> None:
        """Takes the labels of the rows, sorted by name (by value where all are whole numbers)."""
        names = sorted({label_name(value) for value in rows.column(column)})
        if all(name.lstrip("-").isdigit() for name in names):
            names.sort(key=int)
        self.labels = tuple(names)

    def gold(self, rows: Table, column: str) -> np.ndarray:
        """The index of each row's label, [N] int64."""
        index = {name: place for place, name in enumerate(self.labels)}
        return np.asarray([index[label_name(value)] for value in rows.column(column)], dtype=np.int64)

    def encode(
        self, texts: Sequence[str], encoder: TextEncoder, gold: np.ndarray | None = None
    ) -> base.Features:
        """One feature for each text or window; the first position is wanted."""
        sequences = encoder.encode(texts)
        windows = np.bincount(sequences.rows, minlength=len(texts))
        targets = np.full(len(sequences), -1) if gold is None else gold[sequences.rows]
        weights = 1.0 / windows[sequences.rows]
        if gold is not None and self.options.class_weights == "balanced":
            counts = np.bincount(gold, minlength=len(self.labels))
            weights *= (len(gold) / (len(self.labels) * np.maximum(counts, 1)))[targets]
        return base.Features(
            sequences,
            wanted=np.zeros(len(sequences), np.int64),
            wanted_offsets=np.arange(len(sequences) + 1),
            targets=targets.astype(np.int64),
            weights=weights,
        )

    def logits(self, model: Backbone, batch: base.Batch) -> Tensor:
        """The classification head's logits, [B, C]: the family knows which positions it reads."""
        return model.classify(batch.stream)

    def loss(self, logits: Tensor, batch: base.Batch) -> Tensor:
        """The weighted sum of the cross entropies."""
        each = functional.cross_entropy(
            logits, batch.targets, reduction="none", label_smoothing=self.options.label_smoothing
        )
        return (each * batch.weights).sum()

    def predict(self, logits: Tensor) -> np.ndarray:
        """Probabilities, [W, C]."""
        return np.asarray(logits.double().softmax(dim=-1).numpy())

    def join(self, pieces: np.ndarray, features: base.Features) -> np.ndarray:
        """The mean over each row's windows, [N, C]."""
        rows = features.sequences.rows
        total = np.zeros((len(features.sequences.whole), pieces.shape[1]))
        np.add.at(total, rows, pieces)
        return np.asarray(total / np.bincount(rows, minlength=len(total))[:, None])

    def score(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
        """The metrics of `metrics.labels.score`."""
        return metrics.score(gold, predictions, len(self.labels))

    def examples(self) -> dict[str, Any]:
        """Ragged rows: one word, many, none, punctuation, more words than a short model can read."""
        return {
            "texts": [
                "good",
                "not good at all , it broke",
                "",
                "...",
                "so so " * 30,
                "very very good good",
                "bad",
            ],
            "labels": ["yes", "no", "maybe", "no", "maybe", "yes", "no"],
        }


def label_name(value: Any) -> str:
    """The name of a label cell: text as it stands, true and false as JSON writes them, numbers plainly."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
