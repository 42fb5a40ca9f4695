"""A stack of layers in parts, whichever norm, rotation or window they have: the frame of most families."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from attune.models.backbone import Backbone
from attune.models.layer import Layer, Rotary, Seen
from attune.models.stream import Sight, Stream, plan


class Stack(Backbone):
    """Embeddings, layers, a norm; each layer has its own sight and rotation."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.layers = [self.parts(layer) for layer in self.stack()]
        self.sights = [self.sight(layer) for layer in self.stack()]

    @abstractmethod
    def stack(self) -> list[Any]:
        """transformers' layers, in the order of their calls."""

    @abstractmethod
    def parts(self, layer: Any) -> Layer:
        """A layer in its parts."""

    @abstractmethod
    def sight(self, layer: Any) -> Sight:
        """What a token sees in this layer."""

    @abstractmethod
    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """The first hidden states [T, H] from word vectors [T, H]."""

    @abstractmethod
    def norm(self, states: Tensor) -> Tensor:
        """The norm after the last layer."""

    def rotations(self, states: Tensor, stream: Stream) -> list[Rotary] | list[None]:
        """The rotation of the positions in each layer, where the family has one."""
        return [None] * len(self.layers)

    def hidden(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The last hidden states [W, H]; the last layer is computed at the wanted positions only."""
        states = self.embed(self.word_vectors(stream) if vectors is None else vectors, stream)
        rotations = self.rotations(states, stream)
        plans = {sight: plan(stream.lengths, None, states.device, sight) for sight in set(self.sights[:-1])}
        for layer, sight, rotary in zip(self.layers[:-1], self.sights[:-1], rotations[:-1], strict=True):
            states = layer(states, Seen(plans[sight], rotary))
        asked = plan(stream.lengths, np.asarray(wanted.cpu()), states.device, self.sights[-1])
        return self.norm(self.layers[-1](states, Seen(asked, rotations[-1]), wanted))
