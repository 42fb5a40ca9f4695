"""Forward and backward passes recorded once for each shape, and played again with the next batch of that shape.

On a GPU a small batch costs what the host takes to ask for a few hundred operations, not what they compute. A CUDA
graph is asked for at once, but it is the same operations on the same memory each time: a batch is filled up with
texts that weigh nothing until it has one of few shapes, and copied to where the recorded passes read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attune.models.backbone import Backbone
from attune.models.place import there
from attune.models.plans import Laid, Plan
from attune.models.stream import Stream
from attune.tasks.base import Task
from attune.tasks.features import Batch

LARGEST = 16384  # tokens; the operations of larger batches take longer than asking for them
LONGEST = 128  # tokens, of which the longest sequence of a shape is a multiple
MOST = 32  # shapes that are recorded; each holds its gradients' way through the model

Work = Callable[[], Tensor]
Recorder = Callable[[Work], tuple[Callable[[], None], Tensor]]  # (what plays the work again, what it makes)


@dataclass(frozen=True)
class Shape:
    """The sizes of a batch that decide which operations are asked for."""

    tokens: int
    sequences: int
    longest: int
    kinds: bool

    @staticmethod
    def of(stream: Stream) -> Shape:
        """The smallest shape with room for this stream and one sequence more."""
        real, sequences = sum(stream.lengths), rung(len(stream.lengths) + 1)
        tokens = rung(real + sequences - len(stream.lengths))
        filling = tokens - real - (sequences - len(stream.lengths) - 1)
        # attention takes it for how many blocks it may need; those behind a sequence's end leave at once
        longest = -(-max(*stream.lengths, filling) // LONGEST) * LONGEST
        return Shape(tokens, sequences, longest, stream.kinds is not None)


def rung(n: int) -> int:
    """The next of eight sizes an octave: no more than an eighth is room."""
    step = 1 << max(0, n.bit_length() - 4)
    return -(-n // step) * step


def filled(batch: Batch, shape: Shape) -> Batch:
    """The batch with sequences that weigh nothing, up to a shape; one unit for each sequence."""
    stream = batch.stream
    more = shape.sequences - len(stream.lengths)
    rest = shape.tokens - sum(stream.lengths)
    lengths = (*stream.lengths, rest - more + 1, *[1] * (more - 1))
    starts = torch.tensor([0, *lengths]).cumsum(0)[len(stream.lengths) : -1]
    # any token will do at any position, for nothing that is read sees them
    tokens = torch.cat([stream.tokens, stream.tokens[:1].expand(rest)])
    positions, kinds = (
        None if held is None else torch.cat([held, held.new_zeros(rest)])
        for held in (stream.positions, stream.kinds)
    )
    assert positions is not None
    return replace(
        batch,
        stream=Stream(tokens, positions, kinds, lengths),
        wanted=torch.cat([batch.wanted, starts]),
        targets=torch.cat([batch.targets, batch.targets[:1].expand(more, *batch.targets.shape[1:])]),
        weights=torch.cat([batch.weights, batch.weights.new_zeros(more)]),
    )


@dataclass
class Graphs:
    """The recorded passes of one training.

    Args:
        recorder: records work and tells how to play it again.
    """

    recorder: Recorder
    met: set[Shape] = field(default_factory=set)
    held: dict[Shape, _Recorded] = field(default_factory=dict)

    def loss(
        self, task: Task[Any], model: Backbone, batch: Batch, count: float, work: Passes
    ) -> Tensor | None:
        """Adds a batch's share to the gradients; its loss, or None where nothing can be recorded.

        The first batch of a shape is asked for operation by operation, filled up like those that are played: it finds
        out which weights have gradients at all, and a resumed run draws what one that goes on would draw.

        Args:
            task: one whose head answers each text once.
            model: in training mode.
            batch: on the host.
            count: targets of the whole step.
            work: from a batch and the count to its loss, whose gradient it takes.
        """
        kept = batch.stream.known is not None  # what leaves the frozen layers is not computed again
        if task.head != "classification" or kept or sum(batch.stream.lengths) > LARGEST:
            return None
        shape = Shape.of(batch.stream)
        fresh = _laid(model, filled(batch, shape), shape)
        if fresh is None:
            return None
        counted = there(np.asarray(count, np.float32), model.place.device)
        if shape not in self.held and (shape not in self.met or len(self.held) == MOST):
            self.met.add(shape)
            return work(fresh, counted)
        if shape not in self.held:
            self.held[shape] = _Recorded.of(self.recorder, fresh, counted, work)
        return self.held[shape].played(fresh, counted)


Passes = Callable[[Batch, Tensor], Tensor]


@dataclass
class _Recorded:
    """Passes over memory of their own."""

    batch: Batch
    count: Tensor
    play: Callable[[], None]
    loss: Tensor

    @staticmethod
    def of(recorder: Recorder, batch: Batch, count: Tensor, work: Passes) -> _Recorded:
        play, loss = recorder(lambda: work(batch, count))
        return _Recorded(batch, count, play, loss)

    def played(self, batch: Batch, count: Tensor) -> Tensor:
        """The loss of another batch of this shape; the gradients grow by its share."""
        for own, other in zip((*_tensors(self.batch), self.count), (*_tensors(batch), count), strict=True):
            if own is not other:
                own.copy_(other)
        self.play()
        return self.loss.clone()


def cuda_recorder() -> Recorder:
    """CUDA graphs that share one pool of memory, for they are never played at the same time."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Work) -> tuple[Callable[[], None], Tensor]:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            made = work()
        return graph.replay, made

    return record


def _laid(model: Backbone, batch: Batch, shape: Shape) -> Batch | None:
    """The batch where the model is, with what it would tell on the host; None where that is not enough."""
    if type(model).lay is Backbone.lay:
        return None
    with model.place.computing():
        moved = batch.on(model.place.device)
        laid = model.lay(moved.stream, batch.wanted)
    if laid is None or laid.whole.ragged is None or laid.asked.ragged is None:
        return None
    laid = Laid(laid.places, _as_long(laid.whole, shape), _as_long(laid.asked, shape), laid.wanted)
    # ids on the host would be those of the batch that was recorded
    return replace(moved, stream=replace(moved.stream, laid=laid, host=None))


def _as_long(plan: Plan, shape: Shape) -> Plan:
    """The plan of sequences as long as the shape admits."""
    assert plan.ragged is not None
    queries, _ = plan.ragged.longest
    longest = (1 if queries == 1 else shape.longest, shape.longest)
    return replace(plan, ragged=replace(plan.ragged, longest=longest))


def _tensors(batch: Batch) -> list[Tensor]:
    """All that recorded passes read of a batch."""
    stream, laid = batch.stream, batch.stream.laid
    assert laid is not None and laid.whole.ragged is not None and laid.asked.ragged is not None
    plans = [(plan.queries, plan.keys) for plan in (laid.whole.ragged, laid.asked.ragged)]
    kinds = [] if stream.kinds is None else [stream.kinds]
    return [
        *(stream.tokens, stream.positions, *kinds, batch.targets, batch.weights),
        *(laid.places, laid.wanted, *plans[0], *plans[1]),
    ]
