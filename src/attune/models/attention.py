"""The one attention function attune registers with transformers: each sequence of a stream sees only itself.

transformers calls it for every family of its attention registry; a name without a mask function gets no mask
at all, so nothing of size T x T is ever made.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from attune.models.kernels import plain
from attune.models.kernels.draws import Draw
from attune.models.stream import Plan

NAME = "attune_stream"


def attend(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, *, scaling: float, dropout: float = 0.0
) -> Tensor:
    """Attention inside each sequence.

    Args:
        query: [Q, heads, d], all positions of the stream or the wanted ones that `plan` was made for.
        key: [T, heads, d].
        value: [T, heads, d].
        plan: the groups.
        scaling: factor on the scores.
        dropout: share of the attention weights that are dropped.

    Returns:
        [Q, heads, d], in the order of `query`.
    """
    return plain.attention(query, key, value, plan, scaling, Draw.of(dropout))


def stream_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    plan: Plan | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' calling convention: [1, heads, T, d] in, [1, T, heads, d] out."""
    assert plan is not None, f"{type(module).__name__} was called without the plan of its stream"
    assert attention_mask is None, "a stream has no mask"
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    return attend(q, k, v, plan, scaling=scale, dropout=dropout)[None], None


AttentionInterface.register(NAME, stream_attention)
