"""Classification of texts, or pairs of texts, into one of several labels: topic, intent, spam, entailment.

The head is transformers' own and reads where its family does (first token, last token, end of sequence); the
loss is the cross entropy of the label. Sentiment is this task under its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from attune.data.table import Table
from attune.metrics import calibration, intervals
from attune.metrics import labels as metrics
from attune.models.backbone import Backbone
from attune.models.tokens import TextEncoder
from attune.tasks import base, linear, texts
from attune.tasks.features import Batch, Features


class Options(base.Options):
    """What only classification knows."""

    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: each label weighs the same in the loss, however rare it is"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each target spread over all labels")


@dataclass(frozen=True)
class Classified:
    """The label of a text, and how probable each is."""

    label: str
    probability: float
    probabilities: dict[str, float]


class Classification(base.Task[Options]):
    """One label for each text."""

    name = "classification"
    head = "classification"
    problem = "single_label_classification"
    main_metric = "f1_macro"
    shown = ("f1_macro", "accuracy", "matthews_correlation", "log_loss", "ece")
    Options = Options

    def learn(self, rows: Table) -> None:
        """Takes the labels of the rows, sorted by name (by value where all are whole numbers)."""
        self.labels = texts.ordered(set(rows.column("label")))

    def gold(self, rows: Table) -> np.ndarray:
        """The index of each row's label, [N] int64."""
        index = {name: place for place, name in enumerate(self.labels)}
        return np.asarray([index[name] for name in rows.column("label")], dtype=np.int64)

    def counts(self, gold: np.ndarray) -> dict[str, int]:
        """Rows of each label."""
        counted = np.bincount(gold, minlength=len(self.labels))
        return {name: int(n) for name, n in zip(self.labels, counted, strict=True) if n}

    def encode(self, rows: Table, encoder: TextEncoder, gold: np.ndarray | None = None) -> Features:
        """One feature for each text or window."""
        weights = None
        if gold is not None and self.options.class_weights == "balanced":
            counts = np.bincount(gold, minlength=len(self.labels))
            weights = (len(gold) / (len(self.labels) * np.maximum(counts, 1)))[gold]
        return texts.encode(rows, encoder, gold, weights)

    def begun(self, rows: linear.Rows, *, bias: bool, length: float) -> linear.Linear:
        """A logistic regression of the labels."""
        return linear.fitted(rows, len(self.labels), bias=bias, length=length)

    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The classification head's logits, [B, C]."""
        return model.classify(batch.stream)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The weighted sum of the cross entropies."""
        smoothing = self.options.label_smoothing
        each = functional.cross_entropy(logits, batch.targets, reduction="none", label_smoothing=smoothing)
        return (each * batch.weights).sum()

    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The probabilities [C] of each feature."""
        return list(logits.double().softmax(dim=-1).numpy())

    def join(self, pieces: Sequence[Any], features: Features) -> np.ndarray:
        """The mean over each row's windows, [N, C]."""
        return texts.mean_of_windows(pieces, features)

    def answer(self, prediction: np.ndarray, row: dict[str, Any]) -> Classified:
        """The most probable label."""
        best = int(prediction.argmax())
        held = {name: round(float(p), 6) for name, p in zip(self.labels, prediction, strict=True)}
        return Classified(self.labels[best], held[self.labels[best]], held)

    def told(self, gold: Any, row: dict[str, Any]) -> str:
        """The label's name."""
        return self.labels[int(gold)]

    def certain(self, gold: np.ndarray) -> np.ndarray:
        """Probability 1 for these labels, [N, C]."""
        return np.asarray(np.eye(len(self.labels))[gold])

    def statistics(self, gold: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """[N, 3 C] whether each row is a hit, of, and taken for each label."""
        truth, told = (np.eye(len(self.labels))[of] for of in (gold, predictions.argmax(1)))
        return np.concatenate([truth * told, truth, told], axis=1)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """The metrics that count labels."""
        counted = metrics.Tally(*np.split(np.asarray(totals), 3, axis=-1))
        return {name: metric(counted) for name, metric in metrics.COUNTED.items()}

    def score(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
        """The metrics of `metrics.labels.score`, those of the probabilities among them."""
        return metrics.score(gold, predictions, len(self.labels))

    def measured(
        self, gold: np.ndarray, predictions: np.ndarray, *, seed: int
    ) -> dict[str, intervals.Interval]:
        """Every metric with its interval."""
        return intervals.bootstrap(gold, predictions, len(self.labels), seed=seed)

    def compared(
        self, gold: np.ndarray, ours: np.ndarray, theirs: np.ndarray, *, metric: str, seed: int
    ) -> intervals.Difference:
        """The paired comparison, by cells of rows that agree."""
        return intervals.paired(gold, ours, theirs, len(self.labels), metric=metric, seed=seed)

    def severity(self, gold: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """How sure the model was of its wrong label."""
        return np.where(predictions.argmax(1) == gold, 0.0, predictions.max(1))

    @property
    def judged_by(self) -> tuple[str, ...]:
        """Macro-F1, and accuracy, which everyone understands."""
        return ("f1_macro", "accuracy")

    def explained(self, prediction: np.ndarray) -> int:
        """The predicted class."""
        return int(prediction.argmax())

    def details(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
        """Scores of each label, confusion, calibration, and the curves where there are two labels."""
        matrix = metrics.confusion(gold, predictions.argmax(1), len(self.labels))
        two = len(self.labels) == 2
        return {
            "per_class": metrics.per_class(matrix, self.labels),
            "confusion": matrix.tolist(),
            "calibration": calibration.reliability(gold, predictions),
            "roc": metrics.roc_curve(gold, predictions[:, 1]) if two else None,
            "pr": metrics.precision_recall_curve(gold, predictions[:, 1]) if two else None,
        }

    def examples(self) -> dict[str, Any]:
        """Ragged rows: one word, many, none, punctuation, more words than a short model can read."""
        return {
            "text": [
                "good",
                "not good at all , it broke",
                "",
                "...",
                "so so " * 30,
                "very very good good",
                "bad",
            ],
            "label": ["yes", "no", "maybe", "no", "maybe", "yes", "no"],
        }


class Sentiment(Classification):
    """Classification whose labels are moods; the report speaks of them as such."""

    name = "sentiment"
