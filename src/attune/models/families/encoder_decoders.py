"""Encoder-decoders, and BART and mBART among them.

`hidden` of a stream is the encoder's; given a target stream as well, it is the decoder's over that one. Their
classification and question answering heads let the decoder read the text once more, shifted by one token, as
their pre-training did. Lines are of transformers 5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from attune.errors import Problem, RecipeError
from attune.models.backbone import Backbone, everywhere, means
from attune.models.layer import Attention, Layer, Seen
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


class EncoderDecoder(Backbone):
    """What encoder-decoders share."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.encoder = self.stack(self.base.encoder)
        # the model of a token classification has no decoder
        self.decoder = self.stack(self.base.decoder) if hasattr(self.base, "decoder") else []

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
        words = self.word_vectors(stream) if vectors is None else vectors
        if target is None:
            return self._encode(stream, words, wanted)
        source = self._encode(stream, words)
        return self._decode(Read(target, wanted, source, stream), self.word_vectors(target))

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
        words = self.word_vectors(stream) if vectors is None else vectors
        device = stream.tokens.device
        starts, begins = there(stream.starts, device), there(self.begins(stream), device)
        tokens = stream.tokens.roll(1).index_copy(0, starts, begins)
        first = self.base.get_input_embeddings()(begins)
        shifted = words.roll(1, 0).index_copy(0, starts, first)
        source = self._encode(stream, words)
        return self._decode(Read(replace(stream, tokens=tokens, host=None), wanted, source, stream), shifted)

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

    def _encode(self, stream: Stream, words: Tensor, wanted: Tensor | None = None) -> Tensor:
        states = self.embed(self.base.encoder, words, stream)
        return self._through(self.base.encoder, self.encoder, states, Read(stream, wanted))

    def _decode(self, read: Read, words: Tensor) -> Tensor:
        states = self.embed(self.base.decoder, words, read.stream)
        return self._through(self.base.decoder, self.decoder, states, read)

    def _through(self, half: Any, layers: list[Layer], states: Tensor, read: Read) -> Tensor:
        """The states after the layers and the norm; the last layer is computed at the wanted positions only."""
        tables = self.tables(half, max(read.stream.lengths))
        biased = tables[0] is not None
        whole = read.seen(None, states.device, biased=biased)
        last, wanted = whole, None
        if read.wanted is not None:
            last = read.seen(read.wanted, states.device, biased=biased)
            wanted = there(read.wanted, states.device)
        before = None
        for layer, table in zip(layers[:-1], tables[:-1], strict=True):
            if table is not before:  # neighbours may share a table, and then its slices
                before, whole = table, whole.biased(table)
            if not self.skips(half):
                states = layer(states, whole)
        if not self.skips(half):
            states = layers[-1](states, last.biased(tables[-1]), wanted)
        elif wanted is not None:
            states = states.index_select(0, wanted)
        return self.norm(half, states)

    def skips(self, half: Any) -> bool:
        """Whether a layer is left out now: LayerDrop (Fan et al. 2019), where the checkpoint asks for it."""
        share = getattr(half, "layerdrop", 0.0)
        return bool(half.training and share > 0 and float(torch.rand([])) < share)


class Bart(EncoderDecoder):
    """BART: learned positions from 2 on, a norm after each sublayer."""

    norm_first = False

    def stack(self, half: Any) -> list[Layer]:
        """The layers, in parts; dropouts are numbers there, not modules."""
        return [self.parts(layer) for layer in half.layers]

    def parts(self, layer: Any) -> Layer:
        """A layer in its parts."""

        def attention(module: Any) -> Attention:
            return Attention(
                lambda asked, seen: (module.q_proj(asked), module.k_proj(seen), module.v_proj(seen)),
                lambda mixed: functional.dropout(module.out_proj(mixed), layer.dropout, layer.training),
                module.head_dim,
                module.scaling,
                lambda: module.dropout if module.training else 0.0,
            )

        def feed(states: Tensor) -> Tensor:
            inner = layer.activation_fn(layer.fc1(states))
            inner = functional.dropout(inner, layer.activation_dropout, layer.training)
            return functional.dropout(layer.fc2(inner), layer.dropout, layer.training)

        crossed = hasattr(layer, "encoder_attn")
        return Layer(
            attention(layer.self_attn),
            layer.self_attn_layer_norm,
            feed,
            layer.final_layer_norm,
            attention(layer.encoder_attn) if crossed else None,
            layer.encoder_attn_layer_norm if crossed else None,
            norm_first=self.norm_first,
        )

    def embed(self, half: Any, words: Tensor, stream: Stream) -> Tensor:
        """Words and positions, normed; the model itself would count on across sequences (modeling_bart.py:520)."""
        places = half.embed_positions(None, position_ids=stream.positions)[0]
        normed = half.layernorm_embedding(words + places)
        return functional.dropout(normed, half.dropout, half.training)

    def norm(self, half: Any, states: Tensor) -> Tensor:
        """Nothing follows the last layer."""
        return states

    def begins(self, stream: Stream) -> Tensor:
        """The configuration's start token (modeling_bart.py:58)."""
        return torch.full((len(stream.lengths),), int(self.model.config.decoder_start_token_id))

    def pooled(self, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The mean [B, H] of the decoder's states, which is what AutoModel gives for a text."""
        return means(self.again(stream, everywhere(stream), vectors), stream.lengths)


class MBart(Bart):
    """mBART: a norm before each sublayer and one at the end."""

    norm_first = True

    def norm(self, half: Any, states: Tensor) -> Tensor:
        """The norm after the last layer."""
        normed: Tensor = half.layer_norm(states)
        return normed

    def begins(self, stream: Stream) -> Tensor:
        """The last token of the text itself, its language (modeling_mbart.py:59).

        transformers finds it by counting what is no padding: a text that spells out `<pad>` gets one before the last.
        """
        real = (stream.ids != self.model.config.pad_token_id).astype(np.int64)
        return torch.from_numpy(stream.ids[stream.starts + np.add.reduceat(real, stream.starts) - 1])
