"""Dropout on compiled kernels, for training on a CPU: alone, or in one pass with the sum that follows.

No mask is kept: the backward pass makes it again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from attune.models.kernels import rowwise
from attune.models.kernels.draws import Draw
from attune.models.kernels.threads import arrays, share

Context = Any  # torch gives the context of a function no public type


def _through(x: Tensor, draw: Draw) -> Tensor:
    x, out = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    share(rowwise.drop_out, len(x), x.numel(), *arrays(x), *draw.numbers, *arrays(out))
    return out


class Dropped(Function):
    """dropout(x)."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, draw: Draw) -> Tensor:
        """[R, H] to [R, H]."""
        ctx.draw = draw
        return _through(x, draw)

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        return _through(g, ctx.draw), None


class Added(Function):
    """dropout(x) + residual."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, residual: Tensor, draw: Draw) -> Tensor:
        """[R, H] twice to [R, H]."""
        ctx.draw = draw
        x, residual = x.contiguous(), residual.contiguous()
        out = torch.empty_like(x)
        share(rowwise.drop_out_add, len(x), x.numel(), *arrays(x, residual), *draw.numbers, *arrays(out))
        return out

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        return _through(g, ctx.draw) if ctx.needs_input_grad[0] else None, g, None
