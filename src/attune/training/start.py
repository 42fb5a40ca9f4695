"""Where a new head begins: at a linear model of what it reads, which some of the training rows teach.

From random weights a head first has to find out which of its inputs tell anything, and meanwhile it pulls the layers
below towards nothing in particular: linear probing, then fine-tuning (Kumar et al. 2022, "Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution"). The rows are read once, without dropout, before the first
step, which costs a ninth of an epoch at the most.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attune.models.backbone import Backbone
from attune.tasks.base import Task
from attune.tasks.features import Features, batch_of
from attune.tasks.linear import EVERY, Rows
from attune.training import batches
from attune.training.update import logits_of

ROWS = 1024  # features that are read, at most
TOKENS = 16384  # of them together
SHARE = 1 / 3  # of an epoch's tokens; reading them costs a third of training on them


class HeadStart:
    """The start of a model's new head."""

    def __init__(self, task: Task[Any], model: Backbone) -> None:
        self.task, self.model = task, model

    def take(self, features: Features, seed: int) -> Iterator[float]:
        """Puts the weights into the head's last layer; leaves them at random where the task or the head has no such.

        Yields:
            The share of the rows that was read.
        """
        layers = self.model.projections(len(self.task.labels))
        if not layers or type(self.task).begun is Task.begun:
            return
        chosen, read = _chosen(features, seed), list[tuple[nn.Linear, Rows]]()
        parts = list(batches.micro_batches(features, chosen, tokens=self.model.place.tokens))
        self.model.model.eval()
        for number, part in enumerate(parts, start=1):
            found = self._read(features, part, layers)
            if found is None:
                return
            read.append(found)
            yield number / len(parts)
        last = read[-1][0]
        known = Rows.joined([rows for _, rows in read])
        known = known.at(known.weights > 0)
        if len(known) >= 2 * EVERY:
            self._begin(layers, last, known)

    def _read(
        self, features: Features, part: np.ndarray, layers: list[nn.Linear]
    ) -> tuple[nn.Linear, Rows] | None:
        """The layer that answered a batch, and what it read for each unit; None where that is not one row a unit."""
        batch = batch_of(features, part)
        with torch.no_grad(), _watched(layers) as seen:
            logits_of(self.task, self.model, batch.on(self.model.place.device))
        if not seen or seen[-1][1].shape != (len(batch.units), seen[-1][0].in_features):
            return None
        layer, inputs = seen[-1]
        return layer, Rows(inputs.float().cpu().numpy(), batch.targets.numpy(), batch.weights.numpy())

    def _begin(self, layers: list[nn.Linear], last: nn.Linear, rows: Rows) -> None:
        """Gives the weights to the layer that answers, and to what is a copy of it, as PEFT keeps one."""
        made = self.task.begun(rows, bias=last.bias is not None)
        assert made is not None, "the task said that it has a start"
        weight, bias = (torch.from_numpy(each).to(last.weight) for each in made)
        drawn = last.weight.detach().clone()
        with torch.no_grad():
            for layer in layers:
                if torch.equal(layer.weight, drawn):
                    layer.weight.copy_(weight)
                    if layer.bias is not None:
                        layer.bias.copy_(bias)


def _chosen(features: Features, seed: int) -> np.ndarray:
    """Some features, drawn evenly, until they are as many rows or tokens as may be read."""
    order = np.random.default_rng([seed, len(features)]).permutation(len(features))[:ROWS]
    lengths = features.sequences.lengths
    read = np.cumsum(lengths[order])
    return order[: max(1, int(np.searchsorted(read, min(TOKENS, SHARE * lengths.sum()), side="right")))]


@contextmanager
def _watched(layers: list[nn.Linear]) -> Iterator[list[tuple[nn.Linear, Tensor]]]:
    """Within it, what these layers read is written down, call by call."""
    seen: list[tuple[nn.Linear, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda asked, given: seen.append((asked, given[0])))
        for layer in layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
