"""ModernBERT: a norm before each sublayer, rotary positions, and windows in most layers.

Lines are of transformers 5.23, `models/modernbert/modeling_modernbert.py`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from attune.models.backbone import everywhere
from attune.models.dropout import share_in, share_of
from attune.models.families.stack import Stack
from attune.models.layer import Attention, Layer, Rotary
from attune.models.plans import Sight
from attune.models.stream import Stream


class ModernBert(Stack):
    """ModernBERT; its heads have a layer of their own, and classify the first state or the mean."""

    def tower(self) -> list[Any]:
        """The layers."""
        return list(self.base.layers)

    def ends(self) -> list[Any]:
        """The norm after the last layer."""
        return [self.base.final_norm]

    def parts(self, layer: Any) -> Layer:
        """A layer in its parts."""
        attention = layer.attn
        return Layer(
            Attention(
                lambda asked, seen: _split(attention.Wqkv, asked, seen),
                attention.Wo,
                attention.head_dim,
                attention.head_dim**-0.5,
                share_in(attention, "attention_dropout"),
                share_of(attention.out_drop),
            ),
            layer.attn_norm,
            layer.mlp,
            layer.mlp_norm,
        )

    def sight(self, layer: Any) -> Sight:
        """Half a window to each side (masking_utils.py:145), or all."""
        local = layer.attention_type == "sliding_attention"
        return Sight(window=self.base.config.sliding_window) if local else Sight()

    def rotations(self, states: Tensor, stream: Stream) -> list[Rotary]:
        """One for the layers with a window, one for the others (455)."""
        turns = {}
        for kind in set(self.base.config.layer_types):
            cos, sin = self.base.rotary_emb(states[None], stream.positions[None], kind)
            turns[kind] = Rotary(cos[0], sin[0])
        return [turns[layer.attention_type] for layer in self.tower()]

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """Word vectors, normed."""
        states: Tensor = self.base.embeddings(inputs_embeds=words)
        return states

    def norm(self, states: Tensor) -> Tensor:
        """The norm after the last layer."""
        normed: Tensor = self.base.final_norm(states)
        return normed

    def classify(self, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The logits [B, C] of the first state or of the mean, as the checkpoint says (592)."""
        if self.model.config.classifier_pooling == "mean":
            return self.score(self.pooled(stream, vectors))
        return super().classify(stream, vectors)

    def score(self, read: Tensor) -> Tensor:
        """The head's layer and the classifier."""
        logits: Tensor = self.model.classifier(self._drop(read))
        return logits

    def span(self, stream: Stream) -> Tensor:
        """The start and end logits [T, 2] (694)."""
        return self.tag(stream, everywhere(stream))

    def _drop(self, hidden: Tensor) -> Tensor:
        dropped: Tensor = self.model.drop(self.model.head(hidden))
        return dropped


def _split(joint: Any, asked: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of one linear layer whose weight lies [3 * out, in]."""
    if asked is seen:
        q, k, v = joint(seen).chunk(3, dim=-1)
        return q, k, v
    if hasattr(joint, "base_layer"):  # an adapter adds to the product as a whole
        _, k, v = joint(seen).chunk(3, dim=-1)
        return joint(asked).chunk(3, dim=-1)[0], k, v
    width = joint.weight.shape[0] // 3
    parts = joint.weight.split([width, 2 * width])
    biases = (None, None) if joint.bias is None else joint.bias.split([width, 2 * width])
    k, v = functional.linear(seen, parts[1], biases[1]).chunk(2, dim=-1)
    return functional.linear(asked, parts[0], biases[0]), k, v
