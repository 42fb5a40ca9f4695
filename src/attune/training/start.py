"""Where a new head begins: at a linear model of what it reads, which some of the training rows teach.

From random weights a head first has to find out which of its inputs tell anything, and meanwhile it pulls the layers
below towards nothing in particular: linear probing, then fine-tuning (Kumar et al. 2022, "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution"). The rows are read once, without dropout, before the first
step: a ninth of what training computes at the most, and the fitting of a thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from attune.models.backbone import Backbone
from attune.tasks import linear
from attune.tasks.base import Task
from attune.tasks.features import Features, batch_of, teaching
from attune.tasks.linear import Linear, Rows
from attune.training import batches
from attune.training.events import Event, Started, Starting
from attune.training.update import logits_of

KNOWS = 0.25  # share of the loss of knowing nothing that a linear model has to save to be a start


class HeadStart:
    """The start of a model's new head."""

    def __init__(self, task: Task[Any], model: Backbone) -> None:
        self.task, self.model = task, model

    def take(self, features: Features, *, epochs: float, seed: int) -> Iterator[Event]:
        """Puts the weights into the head's last layer; leaves them at random where the model knows too little.

        Args:
            features: of the training rows.
            epochs: how often training will read them.
            seed: of the choice of rows.

        Yields:
            Starting after each batch, and Started at the end; nothing where the task or the head has no start, or too
            few rows may be read.
        """
        layer = _answering(self.model, len(self.task.labels))
        if layer is None or not self.task.starts:
            return
        chosen = teaching(features, len(self.task.labels), epochs=epochs, seed=seed)
        if len(chosen) == 0:
            return
        parts = list(batches.micro_batches(features, chosen, tokens=self.model.place.tokens))
        read: list[Rows] = []
        self.model.model.eval()
        for number, part in enumerate(parts, start=1):
            read.append(self._read(features, part, layer))
            yield Starting(0, number / len(parts))
        rows = Rows.joined(read)
        rows = rows.at(rows.weights > 0)
        made = self._learned(layer, rows)
        begins = made is not None and made.knows >= KNOWS
        if made is not None and begins:
            _put(layer, made)
        yield Started(0, begins, len(rows), made.knows if made is not None else None)

    def _read(self, features: Features, part: np.ndarray, layer: nn.Linear) -> Rows:
        """What the head's last layer reads for each unit of a batch."""
        batch = batch_of(features, part)
        with torch.no_grad(), _open(layer):
            inputs = logits_of(self.task, self.model, batch.on(self.model.place.device))
        texts = features.sequences.rows[batch.features]
        return Rows(inputs.cpu().numpy(), batch.targets.numpy(), batch.weights.numpy(), texts)

    def _learned(self, layer: nn.Linear, rows: Rows) -> Linear | None:
        """The linear model; None of too few rows, and of states that are not finite, as the first step will say."""
        enough = linear.enough(len(np.unique(rows.texts)), len(self.task.labels))
        # a head that does something to what its last layer gives would do it to what is read, too
        altered = rows.inputs.shape[1] != layer.in_features
        if not enough or altered or not np.isfinite(rows.inputs).all():
            return None
        length = float(layer.weight.detach().norm())
        return self.task.begun(rows, bias=layer.bias is not None, length=length)


def _put(layer: nn.Linear, made: Linear) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(made.weight))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(made.bias))


def _answering(model: Backbone, labels: int) -> nn.Linear | None:
    """The head's last layer; not the copy that PEFT keeps of it, which is as it came and stays so."""
    trained = [layer for layer in model.projections(labels) if layer.weight.requires_grad]
    return trained[-1] if trained else None


@contextmanager
def _open(layer: nn.Linear) -> Iterator[None]:
    """Within it the layer lets through what it reads, so that it comes out where logits would."""
    layer.forward = lambda inputs: inputs  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        del layer.forward
