"""The parts of a post-norm layer whose products are taken in int8, where nothing learns: on a CPU with VNNI or AMX.

A row of states and a column of a matrix have one scale each, the largest of them divided by 127 (dynamic, symmetric
quantization). Sums of products are whole numbers and exact, so neither threads nor the order of rows change a bit;
what is rounded are the factors. Everything else, attention included, is float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba.core import types
from torch import Tensor, nn

from attune.models.kernels.rowwise import let_through, norm_in_place
from attune.models.kernels.scalars import F, instructions, kernel, scalar
from attune.models.kernels.threads import share

ROWS = 512  # of the feed-forward at a time, for each thread
MOST = F(127)
EVEN = F(12582912)  # 1.5 * 2^23: what is added to it is rounded to a whole number, in the lowest bits
POSITIVE = np.int32(0x7FFFFFFF)


@dataclass(frozen=True)
class Short:
    """What is multiplied in int8: each row of `numbers` [R, K] times its scale [R] is what it stands for."""

    numbers: Tensor
    scales: Tensor

    @staticmethod
    def of(rows: Tensor) -> Short:
        """Of float32 rows [R, K]: of states, or of a layer's matrix [out, in]."""
        rows = rows.detach().contiguous()
        made = Short(torch.empty_like(rows, dtype=torch.int8), rows.new_empty(len(rows)))
        share(shorten, len(rows), rows.numel(), rows.numpy(), made.numbers.numpy(), made.scales.numpy())
        return made


@dataclass(frozen=True)
class Product:
    """A layer's matrix in int8, with its bias: [K] to [N]."""

    matrix: Short
    bias: Tensor

    @staticmethod
    def of(layer: nn.Linear) -> Product:
        """The layer as it is now."""
        return Product(Short.of(layer.weight), layer.bias.detach())

    def sums(self, states: Short) -> Tensor:
        """[R, K] to whole numbers [R, N], which times both scales are the product."""
        return multiply(states.numbers, self.matrix.numbers.t())

    def __call__(self, states: Short) -> Tensor:
        """The layer's result, [R, K] to float32 [R, N]."""
        sums = self.sums(states)
        made = torch.empty(sums.shape)
        share(restore, len(sums), sums.numel(), *_arrays(sums, states, self), made.numpy())
        return made


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """a @ b of int8 as int32, which is exact where the processor has VNNI.

    Without it oneDNN adds neighbouring products in 16 bits, which saturates; `exact` finds that out.
    """
    return torch._int_mm(a, b)


def exact() -> bool:
    """Whether sums of the largest products are what they should be."""
    a, b = torch.full((8, 64), 127, dtype=torch.int8), torch.full((64, 8), -127, dtype=torch.int8)
    return bool((multiply(a, b) == -64 * 127 * 127).all())


def add_norm(
    states: Short, product: Product, residual: Tensor, norm: nn.LayerNorm, made: Tensor | None = None
) -> Tensor:
    """norm(product(states) + residual): [R, K], [R, H] to [R, H], into `made` where it is given."""
    sums = product.sums(states)
    if made is None:
        made = torch.empty_like(residual, memory_format=torch.contiguous_format)
    given = [tensor.detach().numpy() for tensor in (residual.contiguous(), norm.weight, norm.bias)]
    rows = _arrays(sums, states, product)
    share(restore_norm, len(sums), sums.numel(), *rows, *given, F(norm.eps), made.numpy())
    return made


def feed_forward(
    states: Tensor, up: Product, down: Product, norm: nn.LayerNorm, *, tanh: bool = False
) -> Tensor:
    """norm(gelu(up(states)) through `down` + states), [R, H]; what stands between them exists for a few rows."""
    made = torch.empty_like(states)
    rows = ROWS * torch.get_num_threads()
    for part, out in zip(states.split(rows), made.split(rows), strict=True):
        narrow = Short.of(part)
        sums = up.sums(narrow)
        wide = Short(torch.empty_like(sums, dtype=torch.int8), torch.empty(len(sums)))
        into = wide.numbers.numpy(), wide.scales.numpy()
        share(restore_gelu, len(sums), sums.numel(), *_arrays(sums, narrow, up), tanh, *into)
        add_norm(wide, down, part, norm, out)
    return made


def _arrays(sums: Tensor, states: Short, product: Product) -> tuple[np.ndarray, ...]:
    return sums.numpy(), states.scales.numpy(), product.matrix.scales.numpy(), product.bias.numpy()


@instructions
def _bits(typing: Any, number: Any) -> Any:
    """The 32 bits of a float32 as a whole number."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), build


@instructions
def _number(typing: Any, bits: Any) -> Any:
    """The float32 of 32 bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


@scalar
def _largest(row: Any) -> Any:
    """The largest absolute value; NaN where there is one, whose bits stand above those of any number."""
    top = np.int32(0)
    for j in range(row.size):
        top = max(top, np.int32(_bits(row[j]) & POSITIVE))
    return _number(top)


@scalar
def _shorten(row: Any, out: Any) -> Any:
    """Writes the row's int8 numbers and returns their scale; with a NaN or an infinity in it nothing of it is one."""
    top = _largest(row)
    each = MOST / top if top > F(0) else F(0)
    for j in range(row.size):
        out[j] = np.int8(_bits(row[j] * each + EVEN))
    return top / MOST


@kernel
def shorten(begin: Any, end: Any, x: Any, out: Any, scales: Any) -> None:
    """int8 numbers and scales of rows begin to end."""
    for t in range(begin, end):
        scales[t] = _shorten(x[t], out[t])


@kernel
def restore(begin: Any, end: Any, sums: Any, rows: Any, columns: Any, bias: Any, out: Any) -> None:
    """out = sums * rows * columns + bias, for rows begin to end."""
    for t in range(begin, end):
        s_t, o_t, each = sums[t], out[t], rows[t]
        for j in range(s_t.size):
            o_t[j] = F(s_t[j]) * (each * columns[j]) + bias[j]


@kernel
def restore_gelu(begin: Any, end: Any, sums: Any, rows: Any, columns: Any, bias: Any, tanh: Any, out: Any,
                 scales: Any) -> None:  # fmt: skip
    """The GELU of what `restore` makes, in int8 again, for rows begin to end."""
    active = np.empty(sums.shape[1], F)
    for t in range(begin, end):
        s_t, each = sums[t], rows[t]
        if tanh:  # of one loop LLVM computes both curves here, which takes 1.6 times as long
            for j in range(s_t.size):
                value = F(s_t[j]) * (each * columns[j]) + bias[j]
                active[j] = value * let_through(value, True)
        else:
            for j in range(s_t.size):
                value = F(s_t[j]) * (each * columns[j]) + bias[j]
                active[j] = value * let_through(value, False)
        scales[t] = _shorten(active, out[t])


@kernel
def restore_norm(begin: Any, end: Any, sums: Any, rows: Any, columns: Any, bias: Any, residual: Any, weight: Any,
                 shift: Any, epsilon: Any, out: Any) -> None:  # fmt: skip
    """out = norm(what `restore` makes + residual), for rows begin to end."""
    for t in range(begin, end):
        s_t, r_t, o_t, each, total = sums[t], residual[t], out[t], rows[t], F(0)
        for j in range(o_t.size):
            value = F(s_t[j]) * (each * columns[j]) + bias[j] + r_t[j]
            o_t[j] = value
            total += value
        norm_in_place(o_t, total, weight, shift, epsilon)
