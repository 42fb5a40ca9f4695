"""The parts of a post-norm layer on compiled kernels, for training on a CPU: weights and all sums in float32.

Each is one function of torch's autograd with a backward pass of its own, which computes no gradient that nobody asks
for and keeps nothing for it: frozen weights cost no more than their products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from attune.models.kernels import pieces, rowwise
from attune.models.kernels.draws import Draw
from attune.models.kernels.threads import arrays, share, share_by
from attune.models.plans import Plan

Context = Any  # torch gives the context of a function no public type


def _chunks(rows: int) -> int:
    return -(-rows // rowwise.CHUNK)


def _short(half: bool, tensor: Tensor) -> Tensor:
    """A factor of products as they are taken: rounded to bfloat16 where `half` is set."""
    return tensor.bfloat16() if half else tensor


def _times(a: Tensor, b: Tensor) -> Tensor:
    """a @ b as float32; of factors in bfloat16 the sums are taken in float32 too, and rounded once."""
    return torch.mm(a, b).float()


class Linear(Function):
    """x @ weight.T + bias; with `half` the products of both passes are taken in bfloat16."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor | None, half: bool) -> Tensor:
        """[R, in], [out, in], [out] to [R, out]."""
        x, weight = _short(half, x), _short(half, weight)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        ctx.half = half
        if half:
            made = _times(x, weight.t())
            return made if bias is None else made.add_(bias)
        return torch.mm(x, weight.t()) if bias is None else torch.addmm(bias, x, weight.t())

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """Each gradient that is asked for."""
        x, weight = ctx.saved_tensors
        x_asked, weight_asked, bias_asked, _ = ctx.needs_input_grad
        g = g.contiguous()
        short = _short(ctx.half, g)
        return (
            _times(short, weight) if x_asked else None,
            _times(short.t(), x) if weight_asked else None,
            g.sum(0) if bias_asked else None,
            None,
        )


class Inputs(Function):
    """Queries, keys and values in float32: three linear layers, whose gradients by what they read become one sum."""

    @staticmethod
    def forward(ctx: Context, asked: Tensor, states: Tensor | None, weight_q: Tensor, bias_q: Tensor,
                weight_k: Tensor, bias_k: Tensor, weight_v: Tensor,
                bias_v: Tensor) -> tuple[Tensor, ...]:  # fmt: skip
        """[Q, H], [T, H] and weights [out, H] with biases [out], to [Q, out] and twice [T, out].

        Without `states` keys and values are of those that ask.
        """
        seen = asked if states is None else states
        trained = any(ctx.needs_input_grad[place] for place in (2, 4, 6))
        ctx.save_for_backward(*((asked, states) if trained else (None, None)), weight_q, weight_k, weight_v)
        ctx.alone = states is None
        read = ((asked, weight_q, bias_q), (seen, weight_k, bias_k), (seen, weight_v, bias_v))
        return tuple(torch.addmm(bias, x, weight.t()) for x, weight, bias in read)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        asked, states, weight_q, weight_k, weight_v = ctx.saved_tensors
        g_q, g_k, g_v = (g.contiguous() for g in gradients)
        wants, seen = ctx.needs_input_grad, asked if ctx.alone else states
        by_asked = g_q @ weight_q if wants[0] else None
        by_states = g_k @ weight_k if wants[1] else None
        if by_asked is not None and ctx.alone:
            by_asked.addmm_(g_k, weight_k).addmm_(g_v, weight_v)
        elif by_states is not None:
            by_states.addmm_(g_v, weight_v)
        found: list[Tensor | None] = [by_asked, by_states]
        for place, g, x in ((2, g_q, asked), (4, g_k, seen), (6, g_v, seen)):
            found += [g.t() @ x if wants[place] else None, g.sum(0) if wants[place + 1] else None]
        return tuple(found)


class LowRank(Function):
    """x @ (weight + factor * b @ a).T + bias with a thin b @ a; of these only a and b are trained."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor,
                factor: float) -> Tensor:  # fmt: skip
        """[R, in], [out, in], [out], [r, in], [out, r] to [R, out]."""
        thin = x @ a.t()
        out = torch.mm(x, weight.t()) if bias is None else torch.addmm(bias, x, weight.t())
        ctx.save_for_backward(x, weight, a, b, thin)
        ctx.factor = factor
        return out.addmm_(thin, b.t(), alpha=factor)

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs; weight and bias are frozen."""
        x, weight, a, b, thin = ctx.saved_tensors
        g = g.contiguous()
        to_thin = (g @ b).mul_(ctx.factor)
        to_x = (g @ weight).addmm_(to_thin, a) if ctx.needs_input_grad[0] else None
        return to_x, None, None, to_thin.t() @ x, (g.t() @ thin).mul_(ctx.factor), None


class Gelu(Function):
    """gelu(x + bias), where the products around it are others' or not plain ones."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, bias: Tensor, tanh: bool) -> Tensor:
        """[R, F], [F] to [R, F]; `tanh`: by the approximation."""
        active = torch.empty_like(x)
        share(rowwise.gelu, len(x), x.numel(), *arrays(x, bias), tanh, active.detach().numpy())
        ctx.save_for_backward(x, bias)
        ctx.tanh = tanh
        return active

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        x, bias = ctx.saved_tensors
        to_x = g.clone(memory_format=torch.contiguous_format)
        sums = g.new_empty(_chunks(len(g)), g.shape[1])
        made = arrays(to_x, torch.empty_like(x), sums)
        share(rowwise.gelu_backward, len(sums), x.numel(), *arrays(x, bias), ctx.tanh, *made)
        return to_x, sums.sum(0) if ctx.needs_input_grad[1] else None, None


class AddNorm(Function):
    """norm(dropout(x + bias) + residual)."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, bias: Tensor, residual: Tensor, weight: Tensor, shift: Tensor,
                epsilon: float, draw: Draw) -> Tensor:  # fmt: skip
        """[R, H], [H], [R, H], [H], [H] to [R, H]."""
        x, residual = x.contiguous(), residual.contiguous()
        out, normed, deviation = torch.empty_like(x), torch.empty_like(x), x.new_empty(len(x))
        given = arrays(x, bias, residual, weight, shift)
        made = arrays(out, normed, deviation)
        share(rowwise.add_norm, len(x), x.numel(), *given, np.float32(epsilon), *draw.numbers, *made)
        ctx.save_for_backward(normed, deviation, weight)
        ctx.draw = draw
        return out

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        normed, deviation, weight = ctx.saved_tensors
        g = g.contiguous()
        to_x, to_residual = torch.empty_like(g), torch.empty_like(g)
        sums = g.new_empty(_chunks(len(g)), 3, g.shape[1])
        given = arrays(g, normed, deviation, weight)
        made = arrays(to_x, to_residual, sums)
        share(rowwise.add_norm_backward, len(sums), g.numel(), *given, *ctx.draw.numbers, *made)
        to_weight, to_shift, to_bias = sums.sum(0)
        return to_x, to_bias, to_residual, to_weight, to_shift, None, None


class FeedForward(Function):
    """gelu(x @ up.T + bias) @ down.T; what stands between the two products is made again in the backward pass.

    With `half` the products of both passes are taken in bfloat16.
    """

    @staticmethod
    def forward(ctx: Context, x: Tensor, up: Tensor, bias: Tensor, down: Tensor, tanh: bool,
                half: bool) -> Tensor:  # fmt: skip
        """[R, H], [F, H], [F], [H, F] to [R, H]; `tanh`: the GELU by its approximation."""
        x, up, down = (_short(half, tensor) for tensor in (x, up, down))
        wide = _times(x, up.t())
        active = torch.empty_like(wide)
        share(rowwise.gelu, len(wide), wide.numel(), *arrays(wide, bias), tanh, active.detach().numpy())
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, wide, up, bias, down)
        ctx.tanh, ctx.half = tanh, half
        return _times(_short(half, active), down.t())

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        x, wide, up, bias, down = ctx.saved_tensors
        g = _short(ctx.half, g.contiguous())
        to_wide = _times(g, down)
        active = torch.empty_like(wide)
        sums = wide.new_empty(_chunks(len(g)), wide.shape[1])
        made = arrays(to_wide, active, sums)
        share(rowwise.gelu_backward, len(sums), wide.numel(), *arrays(wide, bias), ctx.tanh, *made)
        x_asked, up_asked, bias_asked, down_asked, *_ = ctx.needs_input_grad
        active, to_wide = _short(ctx.half, active), _short(ctx.half, to_wide)
        return (
            _times(to_wide, up) if x_asked else None,
            _times(to_wide.t(), x) if up_asked else None,
            sums.sum(0) if bias_asked else None,
            _times(g.t(), active) if down_asked else None,
            None,
            None,
        )


class Attention(Function):
    """Attention inside each sequence, with dropout on its weights."""

    @staticmethod
    def forward(ctx: Context, q: Tensor, k: Tensor, v: Tensor, plan: Plan, heads: int, scaling: float,
                draw: Draw) -> Tensor:  # fmt: skip
        """q [Q, H], k and v [T, H] to [Q, H]."""
        ends, seen = plan.spans
        last = (ends[:, [0, 2]] + ends[:, [1, 3]]).max(0, initial=0)
        fits = len(seen) == len(q) and (last <= (len(q), len(k))).all()
        assert fits, "the plan is of another stream"  # compiled code checks no index
        out, level = torch.empty_like(q), q.new_empty(len(q), heads)
        given = (*arrays(q, k, v), ends, seen, heads, np.float32(scaling), *draw.numbers)
        share_by(pieces.attend, _costs(ends, heads), _elements(ends, heads), *given, *arrays(out, level))
        ctx.save_for_backward(q, k, v, level)
        ctx.given = (ends, seen, heads, scaling, draw)
        return out

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor | None, ...]:
        """In the order of the inputs."""
        q, k, v, level = ctx.saved_tensors
        ends, seen, heads, scaling, draw = ctx.given
        asked = len(ends) and int(ends[:, 3].sum()) == len(
            k
        )  # else some keys are nobody's, and have no gradient
        make = torch.empty_like if asked else torch.zeros_like
        to_q, to_k, to_v = torch.empty_like(q), make(k), make(v)
        given = (*arrays(q, k, v), ends, seen, heads, np.float32(scaling), *draw.numbers)
        made = arrays(level, g.contiguous(), to_q, to_k, to_v)
        share_by(pieces.attend_backward, _costs(ends, heads), _elements(ends, heads), *given, *made)
        return to_q, to_k, to_v, None, None, None, None


def _costs(ends: np.ndarray, heads: int) -> np.ndarray:
    """Of each head of each sequence: its weights, and the copies of its keys."""
    return np.repeat((ends[:, 1] + 1) * ends[:, 3], heads)


def _elements(ends: np.ndarray, heads: int) -> int:
    return int((ends[:, 1] * ends[:, 3]).sum()) * heads
