"""Compiled kernels over rows: dropout, LayerNorm of a sum with dropout in it, and GELU with its bias.

Those that are named `in_place` are for models that only answer.

Sums over rows are made in pieces of CHUNK rows, so that no number of threads changes a bit. A loop writes to few
arrays: LLVM compares the places of all pairs before it uses vector code, and at more than eight pairs it gives up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from attune.models.kernels.scalars import F, erf, exp, kept, kernel, row_key, scalar

CHUNK = 32  # rows
ROOT_HALF = np.float32(0.70710678118654752)
ROOT_TAU = np.float32(0.39894228040143268)  # 1 / sqrt(2 pi)
# the tanh of Hendrycks and Gimpel's approximation (2016) is that of sqrt(2 / pi) (x + 0.044715 x^3); here twice that
TWICE, CUBIC = np.float32(2 * 0.79788456080286536), np.float32(0.044715)
FAR = np.float32(-80)  # e^80 is a float32 still


@scalar
def let_through(value: Any, tanh: Any) -> Any:
    """The share of a value that its GELU lets through: of the normal distribution below it, or by the approximation.

    `tanh` is the same for a whole loop, so LLVM makes two of it. (1 + tanh(u)) / 2 is the logistic function of 2 u.
    """
    if not tanh:
        return F(0.5) * (F(1) + erf(value * ROOT_HALF))
    doubled = TWICE * (value + CUBIC * value * value * value)
    return F(1) / (F(1) + exp(-(FAR if doubled < FAR else doubled)))


@scalar
def _steepness(value: Any, share: Any, tanh: Any) -> Any:
    """How fast that share grows with the value."""
    if not tanh:
        return ROOT_TAU * exp(F(-0.5) * value * value)
    return share * (F(1) - share) * TWICE * (F(1) + F(3) * CUBIC * value * value)


@scalar
def norm_in_place(row: Any, total: Any, weight: Any, shift: Any, epsilon: Any) -> None:
    """LayerNorm of a row whose sum is `total`."""
    mean, squares = total / F(row.size), F(0)
    for j in range(row.size):
        squares += (row[j] - mean) * (row[j] - mean)
    inverse = F(1) / np.sqrt(squares / F(row.size) + epsilon)
    for j in range(row.size):
        row[j] = (row[j] - mean) * inverse * weight[j] + shift[j]


@kernel
def drop_out(begin: Any, end: Any, x: Any, seed: Any, drop: Any, scale: Any, out: Any) -> None:
    """out = dropout(x) for rows begin to end; of a gradient it is the gradient of that."""
    for t in range(begin, end):
        key, x_t, o_t = row_key(seed, t), x[t], out[t]
        for j in range(x.shape[1]):
            o_t[j] = x_t[j] * kept(key, j, drop, scale)


@kernel
def drop_out_add(
    begin: Any, end: Any, x: Any, residual: Any, seed: Any, drop: Any, scale: Any, out: Any
) -> None:
    """out = dropout(x) + residual for rows begin to end."""
    for t in range(begin, end):
        key, x_t, r_t, o_t = row_key(seed, t), x[t], residual[t], out[t]
        for j in range(x.shape[1]):
            o_t[j] = x_t[j] * kept(key, j, drop, scale) + r_t[j]


@kernel
def add_norm(begin: Any, end: Any, x: Any, bias: Any, residual: Any, weight: Any, shift: Any, epsilon: Any,
             seed: Any, drop: Any, scale: Any, out: Any, normed: Any, deviation: Any) -> None:  # fmt: skip
    """out = norm(dropout(x + bias) + residual) for rows begin to end; keeps what the gradient needs.

    `normed` is out before weight and shift, `deviation` is 1 / standard deviation of each row.
    """
    width = x.shape[1]
    for t in range(begin, end):
        key = row_key(seed, t)
        x_t, r_t, n_t, o_t = x[t], residual[t], normed[t], out[t]
        total = F(0)
        for j in range(width):
            value = (x_t[j] + bias[j]) * kept(key, j, drop, scale) + r_t[j]
            n_t[j] = value
            total += value
        mean = total / F(width)
        squares = F(0)
        for j in range(width):
            squares += (n_t[j] - mean) * (n_t[j] - mean)
        inverse = F(1) / np.sqrt(squares / F(width) + epsilon)
        deviation[t] = inverse
        for j in range(width):
            value = (n_t[j] - mean) * inverse
            n_t[j] = value
            o_t[j] = value * weight[j] + shift[j]


@kernel
def add_norm_backward(begin: Any, end: Any, g: Any, normed: Any, deviation: Any, weight: Any, seed: Any, drop: Any,
                      scale: Any, to_x: Any, to_residual: Any, sums: Any) -> None:  # fmt: skip
    """The gradients of `add_norm` for chunks begin to end; sums [chunks, 3, H]: weight, shift, bias."""
    rows, width = g.shape
    for chunk in range(begin, end):
        to_weight, to_shift, to_bias = sums[chunk, 0], sums[chunk, 1], sums[chunk, 2]
        to_weight[:] = F(0)
        to_shift[:] = F(0)
        to_bias[:] = F(0)
        for t in range(chunk * CHUNK, min(rows, (chunk + 1) * CHUNK)):
            key = row_key(seed, t)
            g_t, n_t, x_t, r_t = g[t], normed[t], to_x[t], to_residual[t]
            first, second = F(0), F(0)
            for j in range(width):
                scaled = g_t[j] * weight[j]
                first += scaled
                second += scaled * n_t[j]
            first /= F(width)
            second /= F(width)
            inverse = deviation[t]
            for j in range(width):
                value = (g_t[j] * weight[j] - first - n_t[j] * second) * inverse
                r_t[j] = value
                x_t[j] = value * kept(key, j, drop, scale)
            for j in range(width):
                to_weight[j] += g_t[j] * n_t[j]
            for j in range(width):
                to_shift[j] += g_t[j]
            for j in range(width):
                to_bias[j] += x_t[j]


@kernel
def add_norm_in_place(begin: Any, end: Any, x: Any, bias: Any, residual: Any, weight: Any, shift: Any,
                      epsilon: Any) -> None:  # fmt: skip
    """x becomes norm(x + bias + residual), for rows begin to end: `add_norm` where nothing learns or is dropped."""
    for t in range(begin, end):
        x_t, r_t, total = x[t], residual[t], F(0)
        for j in range(x_t.size):
            value = x_t[j] + bias[j] + r_t[j]
            x_t[j] = value
            total += value
        norm_in_place(x_t, total, weight, shift, epsilon)


@kernel
def gelu(begin: Any, end: Any, x: Any, bias: Any, tanh: Any, out: Any) -> None:
    """Writes the GELU of x + bias into out, for rows begin to end; by `tanh` or by the exact error function."""
    for t in range(begin, end):
        x_t, o_t = x[t], out[t]
        for j in range(x.shape[1]):
            value = x_t[j] + bias[j]
            o_t[j] = value * let_through(value, tanh)


@kernel
def gelu_in_place(begin: Any, end: Any, x: Any, bias: Any, tanh: Any) -> None:
    """x becomes the GELU of x + bias, for rows begin to end; LLVM would not trust `gelu` with out = x."""
    for t in range(begin, end):
        x_t = x[t]
        for j in range(x.shape[1]):
            value = x_t[j] + bias[j]
            x_t[j] = value * let_through(value, tanh)


@kernel
def gelu_backward(begin: Any, end: Any, x: Any, bias: Any, tanh: Any, g: Any, out: Any, sums: Any) -> None:
    """The gradient of `gelu` for chunks begin to end, in place of g, and its result once more in out.

    sums [chunks, H] is the gradient of the bias.
    """
    rows, width = x.shape
    for chunk in range(begin, end):
        to_bias = sums[chunk]
        to_bias[:] = F(0)
        for t in range(chunk * CHUNK, min(rows, (chunk + 1) * CHUNK)):
            x_t, g_t, o_t = x[t], g[t], out[t]
            for j in range(width):
                value = x_t[j] + bias[j]
                share = let_through(value, tanh)
                o_t[j] = value * share
                g_t[j] *= share + value * _steepness(value, share, tanh)
            for j in range(width):
                to_bias[j] += g_t[j]
