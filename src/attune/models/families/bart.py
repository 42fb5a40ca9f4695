"""BART and mBART.

Lines are of transformers 5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from attune.models.backbone import everywhere, means
from attune.models.dropout import dropped, share_in
from attune.models.families.encoder_decoders import EncoderDecoder
from attune.models.layer import Attention, Layer
from attune.models.stream import Stream


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
                module.out_proj,
                module.head_dim,
                module.scaling,
                share_in(module, "dropout"),
                share_in(layer, "dropout"),
            )

        def feed(states: Tensor) -> Tensor:
            inner = layer.activation_fn(layer.fc1(states))
            made: Tensor = layer.fc2(dropped(inner, share_in(layer, "activation_dropout")))
            return made

        crossed = hasattr(layer, "encoder_attn")
        return Layer(
            attention(layer.self_attn),
            layer.self_attn_layer_norm,
            feed,
            layer.final_layer_norm,
            share_in(layer, "dropout"),
            attention(layer.encoder_attn) if crossed else None,
            layer.encoder_attn_layer_norm if crossed else None,
            norm_first=self.norm_first,
        )

    def embed(self, half: Any, words: Tensor, stream: Stream) -> Tensor:
        """Words and positions, normed; the model itself would count on across sequences (modeling_bart.py:520)."""
        places = half.embed_positions(None, position_ids=stream.positions)[0]
        return dropped(half.layernorm_embedding(words + places), share_in(half, "dropout"))

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
