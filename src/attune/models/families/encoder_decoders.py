"""Encoder-decoders: what BART, T5 and their kin share.

`hidden` of a stream is the encoder's; given a target stream as well, it is the decoder's over that one. Their
classification and question answering heads let the decoder read the text once more, shifted by one token, as
their pre-training did. What is frozen can be kept there, too: inside the decoder, the states of both halves.
Lines are of transformers 5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from attune.errors import Problem, RecipeError
from attune.models.backbone import Layered, everywhere
from attune.models.layer import Layer, Seen
from attune.models.place import there
from attune.models.plans import Sight, across, plan
from attune.models.stream import Stream


@dataclass(frozen=True)
class Read:
    """What one half of the model reads."""

    stream: Stream
    wanted: Tensor | None = None  # [W] positions of it that are asked for, on the host; all when None
    source: Tensor | None = None  # [S, H] the encoder's states, for the decoder
    sources: Stream | None = None  # the stream they come from

    def seen(self, wanted: Tensor | None, device: torch.device, *, biased: bool) -> Seen:
        """How the wanted positions, or all, see their own sequences and the source.

        Args:
            wanted: [W], on the host.
            device: where they are computed.
            biased: whether something is added to the scores inside their own sequences.
        """
        asked = None if wanted is None else wanted.numpy()
        lengths, causal = self.stream.lengths, Sight(causal=self.source is not None)
        own = plan(lengths, asked, device, causal, biased=biased)
        if self.sources is None:
            return Seen(own)
        return Seen(own, None, self.source, across(lengths, self.sources.lengths, asked, device))


class EncoderDecoder(Layered):
    """What encoder-decoders share."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.encoder = self.stack(self.base.encoder)
        # the model of a token classification has no decoder
        self.decoder = self.stack(self.base.decoder) if hasattr(self.base, "decoder") else []
        self.layers = [*self.encoder, *self.decoder]

    @abstractmethod
    def stack(self, half: Any) -> list[Layer]:
        """The layers of the encoder or the decoder, in parts."""

    def modules(self, half: Any) -> list[Any]:
        """transformers' layers of the encoder or the decoder."""
        return list(half.layers)

    @abstractmethod
    def embed(self, half: Any, words: Tensor, stream: Stream) -> Tensor:
        """The first hidden states [T, H] of the encoder or the decoder, from word vectors [T, H]."""

    def tables(self, half: Any, longest: int) -> Sequence[Tensor | None]:
        """What each layer adds to its scores, [heads, longest, longest] by places, where the family does so."""
        return [None] * len(half.layers)

    @abstractmethod
    def norm(self, half: Any, states: Tensor) -> Tensor:
        """What follows the last layer of the encoder or the decoder."""

    @abstractmethod
    def begins(self, stream: Stream) -> Tensor:
        """The tokens [B], on the host, with which the decoder begins when it reads the text once more."""

    def tower(self) -> list[Any]:
        """The encoder's layers, and on top of them the decoder's, where there is one."""
        return [layer for half in self._halves() for layer in self.modules(half)]

    def ends(self) -> list[Any]:
        """The norm after the last layer, where there is one."""
        last = self._halves()[-1]
        return [part for name in ("layer_norm", "final_layer_norm") if (part := getattr(last, name, None))]

    def _halves(self) -> list[Any]:
        return [getattr(self.base, name) for name in ("encoder", "decoder") if hasattr(self.base, name)]

    def hidden(
        self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None, target: Stream | None = None
    ) -> Tensor:
        """The encoder's last hidden states [W, H] at the wanted positions of the stream, or the decoder's.

        Args:
            stream: the tokens that the encoder reads.
            wanted: [W] ascending positions, in the target stream where there is one.
            vectors: word vectors [T, E] to use in place of the stream's own.
            target: the tokens that the decoder reads, a sequence for each sequence of the stream.
        """
        if not self.decoder:
            return super().hidden(stream, wanted, vectors)
        whole = range(len(self.encoder))
        if target is None:
            return self._encode(self.begin(stream, vectors), stream, whole, wanted)
        source = self._encode(self.begin(stream, vectors), stream, whole)
        read = Read(target, wanted, source, stream)
        states = self.embed(self.base.decoder, self.word_vectors(target), target)
        return self._decode(states, read, range(len(self.decoder)))

    def classify(self, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The logits [B, C] of the head on what the decoder says where each text ends."""
        logits: Tensor = self.model.classification_head(self.again(stream, self.reads(stream), vectors))
        return logits

    def span(self, stream: Stream) -> Tensor:
        """The start and end logits [T, 2] of the head on what the decoder says of each token."""
        logits: Tensor = self.model.qa_outputs(self.again(stream, everywhere(stream)))
        return logits

    def again(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The decoder's last hidden states [W, H] when it reads the stream's own texts, shifted by one token."""
        layers = len(self.encoder)
        if self.lowest <= layers and vectors is None:  # both halves read them: looked up once, one gradient
            vectors = self.word_vectors(stream)
        entering = self.entering(stream, wanted, vectors)
        if self.lowest == len(self.layers):
            return entering
        if self.lowest > layers:
            source, states = entering.chunk(2, dim=-1)
        else:
            source = self._encode(entering, stream, range(self.lowest, layers))
            states = self._shifted(stream, vectors)
        above = range(max(self.lowest - layers, 0), len(self.decoder))
        return self._decode(states, Read(stream, wanted, source, stream), above)

    def below(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """What enters the first trained layer; in the decoder that are the states of both halves, [T, 2 H]."""
        layers, asked = len(self.encoder), None if self.decoder else wanted
        with self.following(vectors):
            below = range(min(self.lowest, layers))
            source = self._encode(self.begin(stream, vectors), stream, below, asked)
            if self.lowest <= layers:
                return source
            read = Read(stream, wanted, source, stream)
            states = self._decode(self._shifted(stream, vectors), read, range(self.lowest - layers))
            return states if self.lowest == len(self.layers) else torch.cat([source, states], dim=-1)

    @property
    def leaves(self) -> int:
        """Units of what enters the first trained layer: of both halves inside the decoder."""
        return self.width * (2 if len(self.encoder) < self.lowest < len(self.layers) else 1)

    def begin(self, stream: Stream, vectors: Tensor | None) -> Tensor:
        """The states that enter the encoder."""
        return self.embed(
            self.base.encoder, self.word_vectors(stream) if vectors is None else vectors, stream
        )

    def through(self, states: Tensor, stream: Stream, wanted: Tensor, span: range) -> Tensor:
        """What leaves these layers of the encoder."""
        return self._encode(states, stream, span, wanted)

    def reads(self, stream: Stream) -> Tensor:
        """The last token of each sequence that ends a text (modeling_bart.py:1039).

        Raises:
            RecipeError: when a sequence has none.
        """
        ends = stream.ids == self.model.config.eos_token_id
        last = np.maximum.reduceat(np.where(ends, np.arange(len(ends)), -1), stream.starts)
        if (last < stream.starts).any():
            what = "the head of this model reads the token that ends a text, and its tokenizer adds none"
            fix = "Use a tokenizer whose template ends with the model's eos_token, or another model"
            raise RecipeError(
                Problem("model.base", what, f"eos_token_id {self.model.config.eos_token_id}", fix)
            )
        return torch.from_numpy(last)

    def _shifted(self, stream: Stream, vectors: Tensor | None) -> Tensor:
        """The states that enter the decoder when it reads the stream's own texts, shifted by one token."""
        words = self.word_vectors(stream) if vectors is None else vectors
        starts = there(stream.starts, words.device)
        first = self.base.get_input_embeddings()(there(self.begins(stream), words.device))
        return self.embed(self.base.decoder, words.roll(1, 0).index_copy(0, starts, first), stream)

    def _encode(self, states: Tensor, stream: Stream, span: range, wanted: Tensor | None = None) -> Tensor:
        return self._through(self.base.encoder, self.encoder, states, Read(stream, wanted), span)

    def _decode(self, states: Tensor, read: Read, span: range) -> Tensor:
        return self._through(self.base.decoder, self.decoder, states, read, span)

    def _through(self, half: Any, layers: list[Layer], states: Tensor, read: Read, span: range) -> Tensor:
        """The states after these layers of a half; its last layer and norm are computed where it is asked for."""
        if not span:
            return states
        tables, end = self.tables(half, max(read.stream.lengths)), len(layers) - 1
        biased = tables[0] is not None
        whole = read.seen(None, states.device, biased=biased)
        before = None
        for number in range(span.start, min(span.stop, end)):
            if tables[number] is not before:  # neighbours may share a table, and then its slices
                before, whole = tables[number], whole.biased(tables[number])
            if not self.skips(half):
                states = layers[number](states, whole)
        if span.stop <= end:
            return states
        wanted = None if read.wanted is None else there(read.wanted, states.device)
        if not self.skips(half):
            last = whole if wanted is None else read.seen(read.wanted, states.device, biased=biased)
            states = layers[end](states, last.biased(tables[end]), wanted)
        elif wanted is not None:
            states = states.index_select(0, wanted)
        return self.norm(half, states)

    def skips(self, half: Any) -> bool:
        """Whether a layer is left out now: LayerDrop (Fan et al. 2019), where the checkpoint asks for it."""
        share = getattr(half, "layerdrop", 0.0)
        return bool(half.training and share > 0 and float(torch.rand([])) < share)
