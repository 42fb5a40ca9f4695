"""The parts of a layer in plain torch, with the masks of the compiled kernels.

This is what runs without the kernels and what their tests compare them with; on other devices and types, too, with
the masks of torch there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from attune.models.kernels.draws import Draw, mask
from attune.models.kernels.ragged import ragged
from attune.models.plans import Group, Plan


def attention(q: Tensor, k: Tensor, v: Tensor, plan: Plan, scaling: float, draw: Draw) -> Tensor:
    """Attention inside each sequence: q [Q, heads, d], k and v [T, heads, d] to [Q, heads, d]."""
    if not plan.groups and plan.ragged is None:  # nobody asks
        return q
    if plan.ragged is not None:
        return ragged(q, k, v, plan.ragged, scaling=scaling, dropout=draw.p)
    pieces, hashed = [], plan.prefix and q.device.type == "cpu"
    for group in plan.groups:
        queries = _rows(q, group.queries, group.n)
        keys, values = _rows(k, group.keys, group.n), _rows(v, group.keys, group.n)
        out = _dense(queries, keys, values, group, scaling, draw, hashed=hashed)  # [n, heads, q, d]
        flat = out.transpose(1, 2).reshape(-1, *q.shape[1:])
        pieces.append(flat if group.real is None else flat.index_select(0, group.real))
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined if plan.order is None else joined.index_select(0, plan.order)


def _rows(states: Tensor, index: Tensor, n: int) -> Tensor:
    """[n, heads, length, d] of the states at `index`."""
    return states.index_select(0, index).view(n, -1, *states.shape[1:]).transpose(1, 2)


def _dense(
    q: Tensor, k: Tensor, v: Tensor, group: Group, scaling: float, draw: Draw, *, hashed: bool
) -> Tensor:
    """`hashed`: with the masks of the kernel, which takes longer than torch's."""
    if group.bias is None and (draw.p == 0.0 or q.device.type != "cpu"):
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=group.mask, dropout_p=draw.p, is_causal=group.causal, scale=scaling
        )
    # With dropout, or a bias that learns, torch's CPU kernel falls back to these products, with a float mask.
    scores = torch.matmul(q * scaling, k.transpose(2, 3))
    if group.bias is not None:
        scores = scores + group.bias
    seen = group.mask
    if group.causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    if seen is not None:
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    if draw.p and hashed:
        heads = torch.arange(q.shape[1]).view(1, -1, 1, 1)
        rows = group.queries.view(group.n, 1, -1, 1) * q.shape[1] + heads
        weights = weights * mask(draw, rows, torch.arange(k.shape[2])).to(scores.dtype)
    elif draw.p:
        weights = functional.dropout(weights, draw.p)
    return torch.matmul(weights, v)


def dropout(x: Tensor, draw: Draw) -> Tensor:
    """Dropout of [R, H]."""
    if draw.p == 0.0:
        return x
    if x.device.type != "cpu":  # a GPU draws faster than it hashes
        return functional.dropout(x, draw.p)
    return x * mask(draw, torch.arange(x.shape[0])[:, None], torch.arange(x.shape[1])).to(x.dtype)


def add_norm(x: Tensor, residual: Tensor, norm: nn.LayerNorm, draw: Draw) -> Tensor:
    """norm(dropout(x) + residual), [R, H]."""
    normed: Tensor = norm(dropout(x, draw) + residual)
    return normed
