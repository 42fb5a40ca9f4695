"""Attention over a stream: each sequence sees only itself, so nothing of size T x T is ever made."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from attune.models.stream import Plan


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
