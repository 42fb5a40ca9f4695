"""Classification of texts into any number of labels: emotions, tags, kinds of abuse.

Each label is a yes or no of its own (binary cross entropy); from which probability on it is a yes is decided
for each label on the validation rows (`metrics.multilabel.thresholds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attune.data.table import Table
from attune.metrics import intervals, sums
from attune.metrics import multilabel as metrics
from attune.models.backbone import Backbone
from attune.models.tokens import TextEncoder
from attune.tasks import base, texts
from attune.tasks.features import Batch, Features


class Options(base.Options):
    """Multi-label classification has no options of its own."""


@dataclass(frozen=True)
class Labelled:
    """The labels of a text, and how probable each of all is."""

    label: list[str]
    probabilities: dict[str, float]


class Multilabel(base.Task[Options]):
    """Any number of labels for each text."""

    name = "multilabel"
    head = "classification"
    problem = "multi_label_classification"
    main_metric = "f1_macro"
    shown = ("f1_macro", "f1_micro", "subset_accuracy", "hamming_loss", "average_precision")
    Options = Options

    thresholds: np.ndarray | None = None  # [C], decided on the validation rows
    log_odds: np.ndarray = np.zeros(0)  # [C], of having each label, among the training rows

    def learn(self, rows: Table) -> None:
        """Takes every label that a row has, sorted by name (by value where all are whole numbers)."""
        self.labels = texts.ordered({name for cell in rows.column("label") for name in cell})
        have = self.gold(rows).sum(0) + 0.5  # half a row more, so that a label of every row has finite odds
        self.log_odds = np.log(have / (len(rows) + 1 - have))

    def equip(self, model: Backbone) -> None:
        """Begins a new head at how common each label is (Lin et al. 2017, "Focal Loss", 3.3).

        Labels are rare: from even odds the first steps would push all logits down at once, and do it through the
        encoder, which then tells no text from another for hundreds of steps.
        """
        for layer in model.projections(len(self.labels)):
            if layer.bias is not None and not layer.bias.any():
                with torch.no_grad():
                    layer.bias.copy_(torch.from_numpy(self.log_odds))

    def gold(self, rows: Table) -> np.ndarray:
        """Which labels each row has, [N, C] of 0 and 1, int64; one that train does not have is not scored."""
        index = {name: place for place, name in enumerate(self.labels)}
        found = np.zeros((len(rows), len(self.labels)), np.int64)
        for row, names in enumerate(rows.column("label")):
            found[row, [index[name] for name in names if name in index]] = 1
        return found

    def counts(self, gold: np.ndarray) -> dict[str, int]:
        """Rows that have each label."""
        return {name: int(n) for name, n in zip(self.labels, gold.sum(0), strict=True)}

    def encode(self, rows: Table, encoder: TextEncoder, gold: np.ndarray | None = None) -> Features:
        """One feature for each text or window."""
        return texts.encode(rows, encoder, gold)

    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The classification head's logits, [B, C]."""
        return model.classify(batch.stream)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The mean binary cross entropy over the labels, summed over the rows."""
        truth = batch.targets.to(logits.dtype)
        each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return (each.mean(-1) * batch.weights).sum()

    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The probabilities [C] of each feature."""
        return list(logits.double().sigmoid().numpy())

    def join(self, pieces: Sequence[Any], features: Features) -> np.ndarray:
        """The mean over each row's windows, [N, C]."""
        return texts.mean_of_windows(pieces, features)

    def answer(self, prediction: np.ndarray, row: dict[str, Any]) -> Labelled:
        """The labels over their thresholds."""
        told = self.decided(prediction[None])[0]
        names = [name for name, yes in zip(self.labels, told, strict=True) if yes]
        held = {name: round(float(p), 6) for name, p in zip(self.labels, prediction, strict=True)}
        return Labelled(names, held)

    def told(self, gold: Any, row: dict[str, Any]) -> list[str]:
        """The names of the labels."""
        return [name for name, yes in zip(self.labels, gold, strict=True) if yes]

    def certain(self, gold: np.ndarray) -> np.ndarray:
        """Probability 1 for these labels, [N, C]."""
        return gold.astype(np.float64)

    def seen_as(self, other: Multilabel, predictions: np.ndarray) -> np.ndarray:
        """Another's predictions, moved so that these thresholds decide as its own do; their order stays."""
        half = np.full(len(self.labels), 0.5)
        own, its = (half if held is None else held for held in (self.thresholds, other.thresholds))
        below = predictions / np.maximum(its, 1e-12) * own * (1 - 1e-9)
        above = own + (predictions - its) / np.maximum(1 - its, 1e-12) * (1 - own)
        return np.asarray(np.where(other.decided(predictions) > 0, np.maximum(above, own), below))

    def settle(self, gold: np.ndarray, predictions: np.ndarray) -> None:
        """Chooses the thresholds."""
        self.thresholds = metrics.thresholds(gold, predictions)

    def state(self) -> dict[str, Any]:
        """Labels and thresholds."""
        return {
            **super().state(),
            "thresholds": None if self.thresholds is None else self.thresholds.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        super().restore(state)
        held = state["thresholds"]
        self.thresholds = None if held is None else np.asarray(held, np.float64)

    def decided(self, predictions: np.ndarray) -> np.ndarray:
        """[N, C] of bools: what reaches its threshold."""
        thresholds = np.full(len(self.labels), 0.5) if self.thresholds is None else self.thresholds
        return np.asarray(predictions >= thresholds)

    def statistics(self, gold: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """What `metrics.multilabel.statistics` counts."""
        return metrics.statistics(gold, self.decided(predictions))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """The metrics that count labels."""
        return metrics.scores(totals)

    def score(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
        """The metrics that count labels, and the average precision, which needs no thresholds."""
        found = super().score(gold, predictions)
        return {**found, "average_precision": metrics.average_precision(gold, predictions)}

    def measured(
        self, gold: np.ndarray, predictions: np.ndarray, *, seed: int
    ) -> dict[str, intervals.Interval]:
        """Every metric with its interval."""
        ranking = sums.of_weights(len(gold), metrics.ranking(gold, predictions), seed=seed)
        return {**super().measured(gold, predictions, seed=seed), **ranking}

    def severity(self, gold: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """How far off the probabilities of the wrong decisions are, summed over them."""
        wrong = self.decided(predictions) != gold.astype(bool)
        return np.asarray((np.abs(predictions - gold) * wrong).sum(1))

    def details(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
        """Scores of each label."""
        thresholds = [] if self.thresholds is None else self.thresholds.tolist()
        return {
            "per_class": metrics.per_label(self.statistics(gold, predictions).sum(0), self.labels),
            "thresholds": dict(zip(self.labels, thresholds, strict=False)),
        }

    def examples(self) -> dict[str, Any]:
        """Ragged rows, with no label, one, and all of them."""
        return {
            "text": ["good", "not good , broke", "", "...", "so so " * 30, "very very good good", "bad"],
            "label": [["a"], ["b", "c"], [], ["c"], ["a", "b", "c"], ["a"], ["b"]],
        }
