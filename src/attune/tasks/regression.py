"""Prediction of a number from a text or a pair of texts: similarity, stars, grades, readability.

The loss is the squared error on standardised targets (zero mean, unit variance over the training rows), so
that the learning rate does not depend on the unit of the numbers. Before it is stored, the head is folded
back to the numbers' own scale, where it has a bias: plain transformers then answers in it too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from attune.data.table import Table
from attune.errors import DataError, Problem
from attune.metrics import numbers as metrics
from attune.models.backbone import Backbone
from attune.models.tokens import TextEncoder
from attune.tasks import base, texts
from attune.tasks.features import Batch, Features

FARTHEST = 1e4  # spreads between the mean and zero: beyond, float32 loses the third digit of a spread


class Options(base.Options):
    """What only regression knows."""

    ordinal: bool = Field(
        False, description="the numbers are whole steps, such as stars: answers are rounded into their range"
    )


@dataclass(frozen=True)
class Number:
    """The number for a text."""

    label: float  # ordinal: int


def _told_apart(edges: np.ndarray) -> list[str]:
    """Numbers with as few digits as tell them apart."""
    digits = next((n for n in range(3, 17) if len({f"{edge:.{n}g}" for edge in edges}) == len(edges)), 17)
    return [f"{edge:.{digits}g}" for edge in edges]


class Regression(base.Task[Options]):
    """A number for each text."""

    name = "regression"
    head = "classification"
    problem = "regression"
    main_metric = "spearmanr"
    shown = ("spearmanr", "pearson", "mae", "rmse", "r2")
    labels = ("number",)
    Options = Options

    mean, scale = 0.0, 1.0  # of the training numbers, until the head holds them
    low, high = 0.0, 0.0  # their range

    def learn(self, rows: Table) -> None:
        """Takes mean, spread and range of the training numbers."""
        values = self.gold(rows)
        self.mean, self.scale = float(values.mean()), float(values.std()) or 1.0
        self.low, self.high = float(values.min()), float(values.max())

    def gold(self, rows: Table) -> np.ndarray:
        """The numbers, [N] float64.

        Raises:
            DataError: for ordinal numbers that are not whole.
        """
        values = np.asarray(rows.column("label"), np.float64)
        between = np.flatnonzero(values != np.rint(values)) if self.options.ordinal else ()
        if len(between):
            what = "ordinal numbers are whole steps (task.options.ordinal)"
            fix = "Mend the number, or leave the option out: the numbers are measurements"
            raise DataError(*(Problem(rows.place(int(n)), what, f"{values[n]:g}", fix) for n in between))
        return values

    def counts(self, gold: np.ndarray) -> dict[str, int]:
        """Rows in each of eight ranges of the training numbers; what lies outside counts with the nearest."""
        ends = (self.low, self.high) if self.high > self.low else (self.low - 0.5, self.low + 0.5)
        counted, edges = np.histogram(np.clip(gold, *ends), bins=8, range=ends)
        names = [f"{low} to {high}" for low, high in itertools.pairwise(_told_apart(edges))]
        return {name: int(n) for name, n in zip(names, counted, strict=True)}

    def encode(self, rows: Table, encoder: TextEncoder, gold: np.ndarray | None = None) -> Features:
        """One feature for each text or window."""
        targets = None if gold is None else ((gold - self.mean) / self.scale).astype(np.float32)
        return texts.encode(rows, encoder, targets)

    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The head's only answer, standardised, [B]."""
        return model.classify(batch.stream)[:, 0]

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The weighted sum of the squared errors."""
        return ((logits - batch.targets).square() * batch.weights).sum()

    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The number of each feature, in its own scale."""
        return list(logits.double().numpy() * self.scale + self.mean)

    def join(self, pieces: Sequence[Any], features: Features) -> np.ndarray:
        """The mean over each row's windows, [N]."""
        return texts.mean_of_windows(pieces, features)

    def answer(self, prediction: Any, row: dict[str, Any]) -> Number:
        """The number, rounded into the range where it is ordinal."""
        number = float(self._rounded(np.asarray(prediction)))
        return Number(int(number) if self.options.ordinal else round(number, 6))

    def told(self, gold: Any, row: dict[str, Any]) -> float:
        """The number itself."""
        return float(gold)

    def state(self) -> dict[str, Any]:
        """Mean, spread and range."""
        kept = {name: getattr(self, name) for name in ("mean", "scale", "low", "high")}
        return {**super().state(), **kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        super().restore(state)
        self.mean, self.scale, self.low, self.high = (state[n] for n in ("mean", "scale", "low", "high"))

    def finish(self, model: Backbone) -> None:
        """Folds the numbers' own scale into the head's last layer, where that has a bias that can hold the mean."""
        last = [m for m in model.model.modules() if isinstance(m, nn.Linear) and m.out_features == 1]
        if last and last[-1].bias is not None and abs(self.mean) <= FARTHEST * self.scale:
            with torch.no_grad():
                last[-1].weight.mul_(self.scale)
                last[-1].bias.mul_(self.scale).add_(self.mean)
            self.mean, self.scale = 0.0, 1.0

    def _rounded(self, predictions: np.ndarray) -> np.ndarray:
        if not self.options.ordinal:
            return predictions
        return np.asarray(np.clip(np.floor(predictions + 0.5), self.low, self.high))

    def certain(self, gold: np.ndarray) -> np.ndarray:
        """These numbers, [N]."""
        return gold.astype(np.float64)

    def statistics(self, gold: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """What `metrics.numbers.statistics` sums."""
        if not self.options.ordinal:
            return metrics.statistics(gold, predictions)
        grades = (int(min(self.low, gold.min())), int(max(self.high, gold.max())))
        return metrics.statistics(gold, self._rounded(predictions), grades=grades)

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Correlations and errors."""
        return metrics.scores(totals)

    def severity(self, gold: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """The absolute error."""
        return np.asarray(np.abs(self._rounded(predictions) - gold))

    def details(self, gold: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
        """Pairs of true and predicted numbers for a plot, 1,000 at most."""
        step = max(1, len(gold) // 1000)
        pairs = zip(gold[::step].tolist(), self._rounded(predictions)[::step].tolist(), strict=True)
        return {"scatter": [[round(a, 4), round(b, 4)] for a, b in pairs]}

    def examples(self) -> dict[str, Any]:
        """Ragged rows with numbers of both signs."""
        return {
            "text": ["good", "not good , broke", "", "...", "so so " * 30, "very very good good", "bad"],
            "label": [5.0, 1.5, -2.0, 3.0, 2.5, 4.5, 1.0],
        }
