"""Causal language models: GPT-2, and Llama with its kin (Mistral, Qwen2, Qwen3).

Their classification heads read the last token of a sequence that is not padding. Lines are of transformers
5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from attune.models import block
from attune.models.curves import TANH, gelu_of
from attune.models.dropout import dropped, share_in, share_of
from attune.models.families.stack import Stack
from attune.models.layer import Attention, Layer, Rotary
from attune.models.plans import Sight
from attune.models.stream import Stream


class Decoder(Stack):
    """What causal language models share: each token sees itself and those before it."""

    def sight(self, layer: Any) -> Sight:
        """No token after itself."""
        return Sight(causal=True)

    def reads(self, stream: Stream) -> Tensor:
        """The last token that is not padding; the first where all are (modeling_gpt2.py:921)."""
        ends = stream.starts + np.asarray(stream.lengths) - 1
        padding = stream.ids == self.model.config.pad_token_id
        if padding[ends].any():
            order = np.where(padding, -1, np.arange(len(padding)))
            ends = np.maximum(np.maximum.reduceat(order, stream.starts), stream.starts)
        return torch.from_numpy(ends)

    def score(self, read: Tensor) -> Tensor:
        """The head's one product."""
        logits: Tensor = self.model.score(read)
        return logits


class Gpt2(Decoder):
    """GPT-2: a table of positions, one product for queries, keys and values."""

    def tower(self) -> list[Any]:
        """The blocks."""
        return list(self.base.h)

    def ends(self) -> list[Any]:
        """The norm after the last block."""
        return [self.base.ln_f]

    def parts(self, layer: Any) -> Layer:
        """A block in its parts."""
        attention = layer.attn
        return Layer(
            Attention(
                lambda asked, seen: _split(attention.c_attn, asked, seen),
                attention.c_proj,
                attention.head_dim,
                attention.scaling,
                share_of(attention.attn_dropout),
                share_of(attention.resid_dropout),
            ),
            layer.ln_1,
            partial(_feed_forward, layer.mlp),
            layer.ln_2,
            share_of(layer.mlp.dropout),
        )

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """Words and positions. GPT-2 adds token types as words (modeling_gpt2.py:595); none are given to it."""
        return dropped(words + self.base.wpe(stream.positions), share_of(self.base.drop))

    def norm(self, states: Tensor) -> Tensor:
        """The norm after the last block."""
        normed: Tensor = self.base.ln_f(states)
        return normed


def _split(joint: Any, asked: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of transformers' Conv1D, whose weight lies [in, 3 * out]."""
    if asked is seen:
        q, k, v = joint(seen).chunk(3, dim=-1)
        return q, k, v
    if hasattr(joint, "base_layer"):  # an adapter adds to the product as a whole
        _, k, v = joint(seen).chunk(3, dim=-1)
        return joint(asked).chunk(3, dim=-1)[0], k, v
    width = joint.weight.shape[1] // 3
    k, v = torch.addmm(joint.bias[width:], seen, joint.weight[:, width:]).chunk(2, dim=-1)
    return torch.addmm(joint.bias[:width], asked, joint.weight[:, :width]), k, v


def _feed_forward(part: Any, states: Tensor) -> Tensor:
    """transformers' GPT2MLP without its dropout; bias and activation in one compiled pass, where that can be."""
    parts = block.compiled() if gelu_of(part.act) == TANH and type(part.c_fc) is Conv1D else None
    if parts is not None and states.device.type == "cpu" and states.dtype == torch.float32:
        active = parts.Gelu.apply(torch.mm(states, part.c_fc.weight), part.c_fc.bias, True)
    else:
        active = part.act(part.c_fc(states))
    fed: Tensor = part.c_proj(active)
    return fed


class Llama(Decoder):
    """Llama, and Qwen2 and Qwen3, whose layers say themselves whether they have a window."""

    def tower(self) -> list[Any]:
        """The layers in use (modeling_llama.py:393)."""
        return list(self.base.layers[: self.base.config.num_hidden_layers])

    def ends(self) -> list[Any]:
        """The norm after the last layer."""
        return [self.base.norm]

    def parts(self, layer: Any) -> Layer:
        """A layer in its parts; Qwen3 norms each head's queries and keys (modeling_qwen3.py:246)."""
        attention = layer.self_attn
        normed = hasattr(attention, "q_norm")
        return Layer(
            Attention(
                lambda asked, seen: (attention.q_proj(asked), attention.k_proj(seen), attention.v_proj(seen)),
                attention.o_proj,
                attention.head_dim,
                attention.scaling,
                share_in(attention, "attention_dropout"),
                norms=(attention.q_norm, attention.k_norm) if normed else None,
            ),
            layer.input_layernorm,
            layer.mlp,
            layer.post_attention_layernorm,
        )

    def sight(self, layer: Any) -> Sight:
        """A window of n tokens counts the token itself (masking_utils.py:95)."""
        window = self.window(layer)
        return Sight(causal=True, window=None if window is None else window - 1)

    def window(self, layer: Any) -> int | None:
        """How many tokens are seen in this layer; None for all."""
        return getattr(layer.self_attn, "sliding_window", None)

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """The word vectors themselves."""
        return words

    def rotations(self, states: Tensor, stream: Stream) -> list[Rotary]:
        """The same in all layers."""
        cos, sin = self.base.rotary_emb(states[None], stream.positions[None])
        return [Rotary(cos[0], sin[0])] * len(self.layers)

    def norm(self, states: Tensor) -> Tensor:
        """The norm after the last layer."""
        normed: Tensor = self.base.norm(states)
        return normed


class Mistral(Llama):
    """Mistral: one window for all layers (modeling_mistral.py:353)."""

    def window(self, layer: Any) -> int | None:
        """The configuration's window."""
        window: int | None = self.base.config.sliding_window
        return window
