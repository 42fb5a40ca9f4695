"""The parts of a post-norm layer in plain torch, with the masks of the compiled kernels.

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
    if not len(q):  # nobody asks
        return q
    if plan.ragged is not None:
        return ragged(q, k, v, plan.ragged, scaling=scaling, dropout=draw.p)
    pieces = []
    for group in plan.groups:
        queries = _rows(q, group.queries, group.n)
        keys, values = _rows(k, group.keys, group.n), _rows(v, group.keys, group.n)
        out = _dense(queries, keys, values, group, scaling, draw)  # [n, heads, q, d]
        flat = out.transpose(1, 2).reshape(-1, *q.shape[1:])
        pieces.append(flat if group.real is None else flat.index_select(0, group.real))
    joined = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
    return joined if plan.order is None else joined.index_select(0, plan.order)


def _rows(states: Tensor, index: Tensor, n: int) -> Tensor:
    """[n, heads, length, d] of the states at `index`."""
    return states.index_select(0, index).view(n, -1, *states.shape[1:]).transpose(1, 2)


def _dense(q: Tensor, k: Tensor, v: Tensor, group: Group, scaling: float, draw: Draw) -> Tensor:
    if draw.p == 0.0 or q.device.type != "cpu":
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=group.mask, dropout_p=draw.p, scale=scaling
        )
    # With dropout torch's CPU kernel falls back to the same products, but unscaled and with a float mask.
    scores = torch.matmul(q * scaling, k.transpose(2, 3))
    if group.mask is not None:
        scores = scores.masked_fill(~group.mask, torch.finfo(scores.dtype).min)
    heads = torch.arange(q.shape[1]).view(1, -1, 1, 1)
    rows = group.queries.view(group.n, 1, -1, 1) * q.shape[1] + heads
    weights = scores.softmax(dim=-1) * mask(draw, rows, torch.arange(k.shape[2])).to(scores.dtype)
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
