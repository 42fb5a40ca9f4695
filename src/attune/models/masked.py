"""Attention for the families in which a token does not see all of its sequence alike.

Causal, inside a window, with a bias on the scores, or with heads that share their keys and values. What needs
none of it goes to `models.attention`. On a CPU the compiled kernels take both, where a token sees the first ones of
its sequence: all, or those up to itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from attune.models import attention, block
from attune.models.kernels.draws import Draw
from attune.models.kernels.ragged import ragged
from attune.models.plans import Group, Plan


def attend(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, *, scaling: float, dropout: float = 0.0
) -> Tensor:
    """Attention inside each sequence.

    Args:
        query: [Q, heads, d], all positions of the stream or the wanted ones that `plan` was made for.
        key: [T, key heads, d]; each serves heads / key heads neighbouring heads.
        value: [T, key heads, d].
        plan: the groups.
        scaling: factor on the scores.
        dropout: share of the attention weights that are dropped.

    Returns:
        [Q, heads, d], in the order of `query`.
    """
    if plan.ragged is not None:
        return ragged(query, key, value, plan.ragged, scaling=scaling, dropout=dropout)
    shared = query.shape[1] // key.shape[1]
    parts = block.compiled() if plan.prefix and _on_kernels(query) else None
    if parts is not None:
        many = (states.repeat_interleave(shared, dim=1) if shared > 1 else states for states in (key, value))
        whole = (states.flatten(1).contiguous() for states in (query, *many))
        mixed: Tensor = parts.Attention.apply(*whole, plan, query.shape[1], scaling, Draw.of(dropout))
        return mixed.view_as(query)
    if plan.plain and shared == 1:
        return attention.attend(query, key, value, plan, scaling=scaling, dropout=dropout)
    if not plan.groups:  # nobody asks
        return query
    pieces = []
    for group in plan.groups:
        q, k, v = (
            states.index_select(0, index).view(group.n, -1, *states.shape[1:]).transpose(1, 2)
            for states, index in ((query, group.queries), (key, group.keys), (value, group.keys))
        )
        if shared > 1:
            k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
        out = _dense((q, k, v), group, scaling=scaling, dropout=dropout)
        flat = out.transpose(1, 2).reshape(-1, *query.shape[1:])
        pieces.append(flat if group.real is None else flat.index_select(0, group.real))
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined if plan.order is None else joined.index_select(0, plan.order)


def _on_kernels(states: Tensor) -> bool:
    return states.device.type == "cpu" and states.dtype == torch.float32 and len(states) > 0


def _dense(qkv: tuple[Tensor, Tensor, Tensor], group: Group, *, scaling: float, dropout: float) -> Tensor:
    """[n, heads, q, d] from queries [n, heads, q, d], keys and values [n, heads, k, d]."""
    q, k, v = qkv
    if group.bias is None and (dropout == 0.0 or q.device.type != "cpu"):
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=group.mask, dropout_p=dropout, is_causal=group.causal, scale=scaling
        )
    # With dropout, or a bias that learns, torch's CPU kernel falls back to these products, with a float mask.
    scores = torch.matmul(q * scaling, k.transpose(2, 3))
    if group.bias is not None:
        scores = scores + group.bias
    mask = group.mask
    if group.causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.matmul(functional.dropout(scores.softmax(dim=-1), p=dropout), v)
