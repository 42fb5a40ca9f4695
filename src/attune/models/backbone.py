"""A checkpoint that runs on token streams and answers only what is asked: what tasks see of a model.

Families differ in how tokens become hidden states and in what their heads read; each is a subclass in
`models/families`. The model itself stays a plain transformers model: its weights are trained in place and
saved as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attune.models.place import Place, there
from attune.models.plans import Laid
from attune.models.stream import Stream

NOTHING = nn.Identity()  # where a family has no such part


class Backbone(ABC):
    """A transformers model with its head, computed over streams.

    B sequences, T tokens, W wanted positions, H units, C labels.
    """

    keeps: ClassVar[bool] = False  # whether a stream may bring what leaves the frozen layers
    lowest: int = (
        0  # the first layer that is trained; the words and all below it are frozen where it is not 0
    )
    awake: Sequence[nn.Module] = ()  # the only parts that are trained, where others are frozen
    wrapped: Any = None  # PEFT's view of the model, where it has added to it

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model
        self.base: Any = model.base_model
        self.place = Place()

    @abstractmethod
    def tower(self) -> list[Any]:
        """transformers' layers, from the one that is next to the words up to the one that the head reads."""

    def ends(self) -> list[nn.Module]:
        """What of the base comes after the last layer, such as a norm, and is no part of the head."""
        return []

    def head(self) -> dict[str, nn.Module]:
        """The modules of the head by name: all that has weights outside the base, and the base's pooler."""
        if self.base is self.model:
            return {}
        own = ((name, part) for name, part in self.model.named_children() if part is not self.base)
        found = {name: part for name, part in own if any(True for _ in part.parameters())}
        pooler = getattr(self.base, "pooler", None)
        return found if pooler is None else {f"{self.model.base_model_prefix}.pooler": pooler, **found}

    def projections(self, labels: int) -> list[nn.Linear]:
        """The layers of the head that end in one unit for each of so many labels."""
        inside = (layer for part in self.head().values() for layer in part.modules())
        return [layer for layer in inside if isinstance(layer, nn.Linear) and layer.out_features == labels]

    def answer_in(self, precision: str) -> bool:
        """Takes the products of answers on a CPU in float32, bfloat16 or int8 from now on; whether that can be."""
        return precision == "float32"

    @property
    def halves(self) -> bool:
        """Whether training on a CPU can take the products of its layers in bfloat16."""
        return False

    @property
    def regional(self) -> bool:
        """Whether torch can compile what stands between its products, and its passes can be recorded, on a GPU."""
        return False

    def move(self, place: Place) -> None:
        """Computes there from now on; streams that are asked about have to be there, too."""
        self.model.to(place.device)
        self.place = place

    def lay(self, stream: Stream, wanted: Tensor) -> Laid | None:
        """What has to be told of a stream before its passes can be recorded; None for families that tell more."""
        return None

    def train(self) -> None:
        """Turns dropout on, except in frozen layers: what leaves these is the same at every step."""
        self.model.train()
        if self.awake:
            self.base.eval()
            for part in self.awake:
                part.train()

    @classmethod
    def note_of(cls, kind: str) -> str:
        """A sentence for the user, where something about models of this type must be said."""
        return ""

    @classmethod
    def positions_of(cls, config: Any) -> int:
        """The longest sequence, in tokens, that a model with this configuration admits."""
        return int(config.max_position_embeddings)

    @property
    def positions(self) -> int:
        """The longest sequence that the model admits, in tokens."""
        return self.positions_of(self.base.config)

    @property
    def width(self) -> int:
        """Units of the hidden states."""
        return int(self.base.config.hidden_size)

    @abstractmethod
    def hidden(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The last hidden states [W, H] at the wanted positions of the stream, ascending.

        Args:
            stream: the tokens.
            wanted: [W] int64, on the host.
            vectors: word vectors [T, E] to use in place of the tokens' own (for attribution).
        """

    def classify(self, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The logits [B, C] of the classification head, one row for each sequence."""
        return self.score(self.hidden(stream, self.reads(stream), vectors))

    def reads(self, stream: Stream) -> Tensor:
        """The positions [B] that the classification head reads: the first of each sequence."""
        return torch.from_numpy(stream.starts)

    def score(self, read: Tensor) -> Tensor:
        """The classification head on the hidden states [B, H] that it reads."""
        raise NotImplementedError(f"{type(self).__name__} has no classification head")

    def tag(self, stream: Stream, wanted: Tensor) -> Tensor:
        """The logits [W, C] of the token classification head at the wanted positions."""
        head = self.model.classifier if hasattr(self.model, "classifier") else self.model.score
        logits: Tensor = head(self._drop(self.hidden(stream, wanted)))
        return logits

    def span(self, stream: Stream) -> Tensor:
        """The start and end logits [T, 2] of the question answering head at every position."""
        logits: Tensor = self.model.qa_outputs(self._drop(self.hidden(stream, everywhere(stream))))
        return logits

    def pooled(self, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The mean [B, H] of the last hidden states of each sequence."""
        return means(self.hidden(stream, everywhere(stream), vectors), stream.lengths)

    def word_vectors(self, stream: Stream) -> Tensor:
        """The word vectors [T, E] of the stream's tokens."""
        vectors: Tensor = self.base.get_input_embeddings()(stream.tokens)
        return vectors

    def parameters(self) -> int:
        """How many weights there are."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def _drop(self, hidden: Tensor) -> Tensor:
        """The dropout that the head applies to its input, where it has one."""
        dropped: Tensor = getattr(self.model, "dropout", NOTHING)(hidden)
        return dropped


class Layered(Backbone):
    """A backbone whose layers attune runs one by one, so that it can begin above the frozen ones."""

    keeps = True
    layers: Sequence[Any]

    def hidden(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The last hidden states [W, H]; the last layer is computed at the wanted positions only."""
        states = self.entering(stream, wanted, vectors)
        return self.through(states, stream, wanted, range(self.lowest, len(self.layers)))

    def entering(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """What the trained layers begin with: as the stream brings it, else computed and left with the stream."""
        known = stream.known
        states = None if known is None else known.states
        if states is None:
            states = self.below(stream, wanted, vectors)
            if known is not None:
                known.states = states
                known.wanted = wanted if self.lowest == len(self.layers) else None
        return states

    @property
    def leaves(self) -> int:
        """Units of what enters the first trained layer, for each token."""
        return self.width

    def below(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """What enters the first trained layer, [T, H]; the result itself, [W, H], where no layer is trained."""
        with self.following(vectors):
            return self.through(self.begin(stream, vectors), stream, wanted, range(self.lowest))

    def following(self, vectors: Tensor | None) -> torch.set_grad_enabled:
        """No gradient goes below the first trained layer, unless it is asked for at the word vectors."""
        asks = vectors is not None and vectors.requires_grad
        return torch.set_grad_enabled(torch.is_grad_enabled() and (asks or self.lowest == 0))

    @abstractmethod
    def begin(self, stream: Stream, vectors: Tensor | None) -> Tensor:
        """The states [T, H] that enter the first layer."""

    @abstractmethod
    def through(self, states: Tensor, stream: Stream, wanted: Tensor, span: range) -> Tensor:
        """What leaves these layers when `states` enter them: [T, H], after the last of all layers [W, H]."""


def everywhere(stream: Stream) -> Tensor:
    """All positions of the stream, [T]."""
    return torch.arange(len(stream.tokens))


def means(values: Tensor, lengths: Sequence[int]) -> Tensor:
    """The mean [B, H] over each sequence of `values` [T, H]; 0 of a sequence of no length."""
    sizes = there(np.asarray(lengths), values.device)
    owner = torch.repeat_interleave(sizes, output_size=len(values))
    sums = values.new_zeros(len(lengths), values.shape[1]).index_add(0, owner, values)
    return sums / sizes.clamp(min=1)[:, None]
