"""The one attention function attune registers with transformers: each sequence of a stream sees only itself.

transformers calls it for every family of its attention registry; a name without a mask function gets no mask
at all, so nothing of size T x T is ever made.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

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
    if not plan.groups:  # nobody asks
        return query
    pieces = []
    for group in plan.groups:
        q = _rows(query, group.queries, group.n)
        k = _rows(key, group.keys, group.n)
        v = _rows(value, group.keys, group.n)
        out = _dense(q, k, v, group.mask, scaling=scaling, dropout=dropout)  # [n, heads, q, d]
        flat = out.transpose(1, 2).reshape(-1, *query.shape[1:])
        pieces.append(flat if group.real is None else flat.index_select(0, group.real))
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined if plan.order is None else joined.index_select(0, plan.order)


def _rows(states: Tensor, index: Tensor, n: int) -> Tensor:
    """[n, heads, length, d] of the states at `index`."""
    return states.index_select(0, index).view(n, -1, *states.shape[1:]).transpose(1, 2)


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, scaling: float, dropout: float) -> Tensor:
    if dropout == 0.0:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
    # With dropout torch's CPU kernel falls back to the same products, but unscaled and with a float mask.
    scores = torch.matmul(q * scaling, k.transpose(2, 3))
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = functional.dropout(scores.softmax(dim=-1), p=dropout)
    return torch.matmul(weights, v)


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
