"""A checkpoint that runs on token streams and answers only what is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from attune.models.families import FAMILIES, Family
from attune.models.stream import Stream, plan


class Backbone:
    """A transformers model with its head, computed over streams.

    The model itself stays a plain transformers model: its weights are trained in place and saved as they are.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.family: Family = FAMILIES[model.config.model_type]
        self.base: Any = model.base_model
        blocks = [self.family.block(layer) for layer in self.family.layers(self.base)]
        self.layers, self.last = blocks[:-1], blocks[-1]

    @property
    def positions(self) -> int:
        """The longest sequence that the position embeddings admit, in tokens."""
        config = self.base.config
        return int(config.max_position_embeddings) - self.family.first_position(config)

    def hidden(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The last hidden states [W, H] at the wanted positions of the stream, ascending.

        Args:
            stream: the tokens.
            wanted: [W] int64.
            vectors: word vectors [T, E] to use in place of the tokens' own (for attribution).
        """
        states = self.family.start(self.base, stream, vectors)[0]
        everywhere = plan(stream.lengths, device=states.device)
        for layer in self.layers:
            states = layer(states, everywhere)
        asked = plan(stream.lengths, np.asarray(wanted.cpu()), device=states.device)
        return self.last.at(states, wanted, asked)

    def classify(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The logits [W, C] of the classification head at the wanted positions."""
        return self.family.classify(self.model, self.hidden(stream, wanted, vectors))

    def word_vectors(self, stream: Stream) -> Tensor:
        """The word vectors [T, E] of the stream's tokens."""
        vectors: Tensor = self.base.get_input_embeddings()(stream.tokens)
        return vectors

    @property
    def width(self) -> int:
        """Units of the hidden states."""
        return int(self.last.query.in_features)

    def parameters(self) -> int:
        """How many weights there are."""
        return sum(parameter.numel() for parameter in self.model.parameters())
