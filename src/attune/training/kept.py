"""What leaves the frozen layers, by feature: computed once, kept as long as training goes on.

With the layers below the first trained one frozen and without dropout, the states that enter it are the same in every
epoch. They are computed in batches that do not depend on the order of the rows, so that a resumed run starts from
the same bits. Exact: no epoch sees anything but what it would have computed, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attune.models.backbone import Backbone, Layered, everywhere
from attune.models.growing import MEMORY, Growing
from attune.models.stream import Known, ranges
from attune.tasks.base import Task
from attune.tasks.features import Batch, Features, batch_of
from attune.training import batches

TOKENS = 8192  # in one forward pass


@dataclass(frozen=True)
class Held:
    """The rows of all features of a split."""

    source: Features
    rows: np.ndarray  # [N, H], [N, 2 H] inside the decoder of an encoder-decoder
    firsts: np.ndarray  # [F] where each feature's rows begin
    sizes: np.ndarray  # [F] how many it has

    def of(self, features: np.ndarray) -> np.ndarray:
        """The rows of these features, end to end."""
        return np.asarray(self.rows[ranges(self.firsts[features], self.sizes[features])])


class Kept:
    """What leaves the frozen layers of a model, for the features of one or more splits."""

    def __init__(self, task: Task[Any], model: Backbone, folder: Path) -> None:
        assert isinstance(model, Layered), "only layers that attune runs can be begun in the middle"
        self.task, self.model, self.folder = task, model, folder
        self._held: dict[int, Held] = {}

    def fill(self, *splits: tuple[Features, np.ndarray]) -> Iterator[float]:
        """Computes what is kept of the chosen features of each split; only these can be asked for then.

        Yields:
            The share that is done.
        """
        total = sum(int(features.sequences.sizes(chosen).sum()) for features, chosen in splits)
        done = 0
        self.model.model.eval()
        for features, every in splits:
            rows = Growing(self.folder, (self.model.leaves,))
            firsts, sizes = (np.zeros(len(features), np.int64) for _ in range(2))
            for chosen in batches.micro_batches(features, every, tokens=TOKENS):
                batch = batch_of(features, chosen)
                states, each = self._leaving(batch)
                sizes[batch.features] = each
                firsts[batch.features] = rows.rows + np.cumsum(each) - each
                rows.add(states)
                done += sum(batch.stream.lengths)
                yield done / total
            self._held[id(features)] = Held(features, rows.whole(), firsts, sizes)

    def _leaving(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a batch [P, *], and how many each of its sequences has."""
        model, known = self.model, Known()
        batch = batch.on(model.place.device)
        stream = batch.stream
        with torch.inference_mode(), model.place.computing():
            if model.lowest < len(model.layers):
                known.states = model.below(stream, everywhere(stream))
            else:  # the task knows which positions the head reads
                self.task.logits(model, replace(batch, stream=replace(stream, known=known)))
        assert known.states is not None, "the task asked for no hidden states"
        each = np.asarray(stream.lengths)
        if known.wanted is not None:
            bounds = np.append(stream.starts, len(stream.tokens))
            each = np.diff(np.searchsorted(known.wanted.numpy(), bounds))
        return known.states.float().cpu().numpy(), each

    def needed(self, features: Features) -> float:
        """Bytes of memory that all of these features take, told from those that are kept."""
        held = self._held[id(features)]
        tokens = features.sequences.lengths
        return min(held.rows.nbytes / int(tokens[held.sizes > 0].sum()) * int(tokens.sum()), MEMORY)

    def forget(self) -> None:
        """Gives memory and disk back; batches come without what was kept then."""
        self._held.clear()

    def batch(self, features: Features, chosen: np.ndarray) -> Batch:
        """The batch of the chosen features, with what is kept of them."""
        batch, held = batch_of(features, chosen), self._held.get(id(features))
        if held is None:
            return batch
        known = Known(torch.from_numpy(held.of(batch.features)))
        return replace(batch, stream=replace(batch.stream, known=known))
