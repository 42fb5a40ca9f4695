"""Compiled AdamW (Loshchilov & Hutter 2019): weights, moments and the factor of clipping in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from attune.models.kernels.scalars import F, kernel

UNTOUCHED, WITHOUT = (
    -2,
    -1,
)  # places of a row that never had a gradient, and of one that has none in this step


@kernel
def dense(begin: Any, end: Any, gradient: Any, weight: Any, first: Any, second: Any, numbers: Any) -> None:
    """One step of the weights begin to end, all flat; `numbers` are those of `attune.training.optim.Numbers`."""
    factor, decay, rest_1, beta_2, rest_2, rate, root, epsilon = numbers
    weight, gradient = weight[begin:end], gradient[begin:end]
    first, second = first[begin:end], second[begin:end]
    for j in range(end - begin):
        g = gradient[j] * factor
        mean = first[j] + (g - first[j]) * rest_1
        square = second[j] * beta_2 + g * g * rest_2
        first[j] = mean
        second[j] = square
        weight[j] = weight[j] * decay - rate * mean / (np.sqrt(square) / root + epsilon)


@kernel
def rows(
    begin: Any, end: Any, weight: Any, values: Any, place: Any, first: Any, second: Any, numbers: Any
) -> None:
    """One step of the rows begin to end of a table; `place` [V] says which of the gradient's `values` is a row's.

    A row that never had a gradient has zero moments, so that all it does is decay.
    """
    factor, decay, rest_1, beta_2, rest_2, rate, root, epsilon = numbers
    for row in range(begin, end):
        here, w, m, v = place[row], weight[row], first[row], second[row]
        if here == UNTOUCHED:
            if decay != F(1):
                for j in range(w.shape[0]):
                    w[j] *= decay
            continue
        value = values[max(here, 0)]
        share = factor if here >= 0 else F(0)
        for j in range(w.shape[0]):
            g = value[j] * share
            mean = m[j] + (g - m[j]) * rest_1
            square = v[j] * beta_2 + g * g * rest_2
            m[j] = mean
            v[j] = square
            w[j] = w[j] * decay - rate * mean / (np.sqrt(square) / root + epsilon)
