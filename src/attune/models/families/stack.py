"""A stack of layers in parts, whichever norm, rotation or window they have: the frame of most families."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from attune.models.backbone import Layered
from attune.models.layer import Layer, Rotary, Seen
from attune.models.place import there
from attune.models.plans import Sight, plan
from attune.models.stream import Stream


class Stack(Layered):
    """Embeddings, layers, a norm; each layer has its own sight and rotation."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.layers = [self.parts(layer) for layer in self.tower()]
        self.sights = [self.sight(layer) for layer in self.tower()]

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

    def begin(self, stream: Stream, vectors: Tensor | None) -> Tensor:
        """The embeddings of all tokens."""
        return self.embed(self.word_vectors(stream) if vectors is None else vectors, stream)

    def through(self, states: Tensor, stream: Stream, wanted: Tensor, span: range) -> Tensor:
        """Layer by layer; the last one, and the norm after it, at the wanted positions only."""
        if not span:
            return states
        last, sights = len(self.layers) - 1, self.sights
        rotations = self.rotations(states, stream)
        inner = {sights[number] for number in span if number < last}
        plans = {sight: plan(stream.lengths, None, states.device, sight) for sight in inner}
        for number in span:
            layer, rotary = self.layers[number], rotations[number]
            if number == last:
                asked = plan(stream.lengths, wanted.numpy(), states.device, sights[last])
                states = self.norm(layer(states, Seen(asked, rotary), there(wanted, states.device)))
            else:
                states = layer(states, Seen(plans[sights[number]], rotary))
        return states
