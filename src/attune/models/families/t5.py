"""T5 and its kin (mT5, FLAN, UMT5): encoder-decoders with a bias by distance, and no limit of positions.

Lines are of transformers 5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attune.models.dropout import dropped, share_in, share_of
from attune.models.families.encoder_decoders import EncoderDecoder
from attune.models.layer import Attention, Layer
from attune.models.stream import Stream

NO_LIMIT = 1_000_000  # tokens: relative positions know no end


class T5(EncoderDecoder):
    """T5, mT5, FLAN, UMT5: positions are a bias on the scores, built once a batch for the longest sequence."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        if model.config.decoder_start_token_id is None:  # T5 begins with the padding token
            model.config.decoder_start_token_id = model.config.pad_token_id

    @classmethod
    def positions_of(cls, config: Any) -> int:
        """No end."""
        return NO_LIMIT

    def head(self) -> dict[str, nn.Module]:
        """What is neither words nor a half: T5 with a head for answers is its own base."""
        if self.base is not self.model:
            return super().head()
        own = ("shared", "encoder", "decoder")
        return {name: part for name, part in self.model.named_children() if name not in own}

    def modules(self, half: Any) -> list[Any]:
        """The blocks."""
        return list(half.block)

    def stack(self, half: Any) -> list[Layer]:
        """The blocks, in parts."""
        return [self.parts(block.layer) for block in half.block]

    @staticmethod
    def parts(sublayers: Any) -> Layer:
        """A block in its parts."""

        def attention(module: Any, sublayer: Any) -> Attention:
            return Attention(
                lambda asked, seen: (module.q(asked), module.k(seen), module.v(seen)),
                module.o,
                module.key_value_proj_dim,
                1.0,  # T5 does not scale its scores
                share_in(module, "dropout"),
                share_of(sublayer.dropout),
            )

        own, feed = sublayers[0], sublayers[-1]
        cross = sublayers[1] if len(sublayers) == 3 else None
        return Layer(
            attention(own.SelfAttention, own),
            own.layer_norm,
            partial(_feed_forward, feed.DenseReluDense),
            feed.layer_norm,
            share_of(feed.dropout),
            None if cross is None else attention(cross.EncDecAttention, cross),
            None if cross is None else cross.layer_norm,
        )

    def embed(self, half: Any, words: Tensor, stream: Stream) -> Tensor:
        """The word vectors."""
        return dropped(words, share_of(half.dropout))

    def tables(self, half: Any, longest: int) -> Sequence[Tensor | None]:
        """Layers share the first one's bias; in UMT5 each has its own (modeling_umt5.py:377)."""
        made: list[Tensor | None] = []
        for block in half.block:
            attention = block.layer[0].SelfAttention
            own = attention.has_relative_attention_bias
            made.append(attention.compute_bias(longest, longest)[0] if own else made[-1])
        return made

    def norm(self, half: Any, states: Tensor) -> Tensor:
        """The norm after the last block."""
        return dropped(half.final_layer_norm(states), share_of(half.dropout))

    def begins(self, stream: Stream) -> Tensor:
        """The configuration's start token (modeling_t5.py:618)."""
        return torch.full((len(stream.lengths),), int(self.model.config.decoder_start_token_id))


def _feed_forward(part: Any, states: Tensor) -> Tensor:
    """transformers' T5DenseActDense and T5DenseGatedActDense (modeling_t5.py)."""
    wide = (
        part.act(part.wi(states)) if hasattr(part, "wi") else part.act(part.wi_0(states)) * part.wi_1(states)
    )
    made: Tensor = part.wo(dropped(wide, share_of(part.dropout)))
    return made
