"""The parts of a post-norm layer on compiled kernels where nothing learns: float32 on a CPU, no gradient, no dropout.

Nothing is kept for a backward pass, results take the place of what they were made of, and the wide states between
the two products of a feed-forward exist for a few rows at a time, in one buffer that stays in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attune.models.kernels import fused, rowwise
from attune.models.kernels.draws import Draw
from attune.models.kernels.threads import share
from attune.models.plans import Plan

ROWS = 512  # of the feed-forward at a time, for each thread: 3 MB of BERT's 1,536 columns
NOTHING = Draw(0.0, 0)


def attention(q: Tensor, k: Tensor, v: Tensor, plan: Plan, width: int) -> Tensor:
    """Attention inside each sequence: q [Q, H], k and v [T, H] to [Q, H], with heads of `width` columns."""
    function: Any = fused.Attention  # torch gives `apply` no types
    mixed: Tensor = function.apply(q, k, v, plan, q.shape[1] // width, width**-0.5, NOTHING)
    return mixed


def add_norm(x: Tensor, bias: Tensor, residual: Tensor, norm: nn.LayerNorm) -> Tensor:
    """norm(x + bias + residual), in place of x; [R, H], contiguous."""
    arrays = [tensor.detach().numpy() for tensor in (x, bias, residual.contiguous(), norm.weight, norm.bias)]
    share(rowwise.add_norm_in_place, len(x), x.numel(), *arrays, np.float32(norm.eps))
    return x


def with_bias(x: Tensor, layer: nn.Linear, short: Tensor | None) -> Tensor:
    """layer(x); `short` is its matrix in bfloat16, where the product is taken in that."""
    if short is None:
        return torch.addmm(layer.bias, x, layer.weight.t())
    return product(x, layer, short).add_(layer.bias)


def product(x: Tensor, layer: nn.Linear, short: Tensor | None) -> Tensor:
    """The same without the bias: sums are taken in float32 either way, factors and results are rounded."""
    return x @ layer.weight.t() if short is None else (x.bfloat16() @ short.t()).float()


def feed_forward(
    x: Tensor, up: nn.Linear, down: nn.Linear, shorts: tuple[Tensor | None, Tensor | None] = (None, None),
    *, tanh: bool = False,
) -> Tensor:  # fmt: skip
    """gelu(up(x)) through `down`, without its bias: [R, H] to [R, H]; `tanh`: the GELU by its approximation."""
    out, rows = torch.empty_like(x), ROWS * torch.get_num_threads()
    buffer = x.new_empty(min(rows, len(x)), up.out_features)
    bias = up.bias.detach().numpy()
    for part, made in zip(x.split(rows), out.split(rows), strict=True):
        wide = buffer[: len(part)]
        if shorts[0] is None:
            torch.mm(part, up.weight.t(), out=wide)
        else:
            wide.copy_(part.bfloat16() @ shorts[0].t())
        share(rowwise.gelu_in_place, len(wide), wide.numel(), wide.numpy(), bias, tanh)
        if shorts[1] is None:
            torch.mm(wide, down.weight.t(), out=made)
        else:
            made.copy_(wide.bfloat16() @ shorts[1].t())
    return out
