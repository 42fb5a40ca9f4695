"""Compiled attention inside each sequence of a stream: softmax and dropout in the cache, nothing of size L x L kept.

One piece of work is one head of one sequence, so no number of threads changes a bit. `spans` [S, 4] holds, for each
sequence, where its queries begin, how many there are, where its keys begin and how many there are. The weights are
made again in the backward pass from the queries, the keys and each query's `level`, the logarithm of its softmax's
denominator (FlashAttention, Dao et al. 2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from attune.models.kernels.scalars import F, U, exp, kept, kernel, largest, row_key, scalar
from attune.models.kernels.tiles import COLUMNS, add_product, add_turned

TILE = 16  # queries at a time


@scalar
def _padded(count: Any) -> Any:
    """The next multiple of a tile's columns."""
    return (count + COLUMNS - 1) // COLUMNS * COLUMNS


@scalar
def _clear(rows: Any, first: Any, last: Any, width: Any) -> None:
    """Zeros in the first columns of some rows."""
    for j in range(first, last):
        row = rows[j]
        for c in range(width):
            row[c] = F(0)


@scalar
def _load(rows: Any, at: Any, count: Any, columns: Any, into: Any) -> None:
    """The head's `count` rows into `into`, and zeros in the rows that fill up the tile."""
    for j in range(count):
        source, target = rows[at + j], into[j]
        for c in range(columns[1] - columns[0]):
            target[c] = source[columns[0] + c]
    _clear(into, count, _padded(count), into.shape[1])


@scalar
def _turn(rows: Any, count: Any, factor: Any, into: Any) -> None:
    """The transpose of the first rows, times a factor."""
    for j in range(count):
        for c in range(rows.shape[1]):
            into[c, j] = rows[j, c] * factor


@scalar
def _store(rows: Any, count: Any, factor: Any, into: Any, at: Any, columns: Any) -> None:
    for j in range(count):
        source, target = rows[j], into[at + j]
        for c in range(columns[1] - columns[0]):
            target[columns[0] + c] = source[c] * factor


@scalar
def _soften(w: Any, keys: Any, full: Any, key: Any, drop: Any, scale: Any) -> Any:
    """Scores become dropped softmax weights; returns the logarithm of the denominator."""
    top, total = largest(w, keys), F(0)
    for j in range(keys):
        w[j] = exp(w[j] - top)
        total += w[j]
    inverse = F(1) / total * scale
    if drop == U(0):  # nothing is dropped, so no numbers are drawn: all that an answering model does
        for j in range(keys):
            w[j] = w[j] * inverse
    else:
        for j in range(keys):
            w[j] = w[j] * kept(key, j, drop, inverse)
    for j in range(keys, full):
        w[j] = F(0)
    return top + np.log(total)


@kernel
def attend(begin: Any, end: Any, q: Any, k: Any, v: Any, spans: Any, heads: Any, factor: Any, seed: Any, drop: Any,
           scale: Any, out: Any, level: Any) -> None:  # fmt: skip
    """out = dropout(softmax(q @ k.T * factor)) @ v for the pieces begin to end; `level` [Q, heads]."""
    d, longest = q.shape[1] // heads, _padded(spans[:, 3].max())
    deep = _padded(d)
    rows, turned = np.zeros((longest, deep), F), np.empty((deep, longest), F)
    queries, weights, mixed = (
        np.zeros((TILE, deep), F),
        np.empty((TILE, longest), F),
        np.empty((TILE, deep), F),
    )
    for piece in range(begin, end):
        span, head = spans[piece // heads], piece % heads
        columns, keys = (head * d, head * d + d), span[3]
        full = _padded(keys)
        _load(k, span[2], keys, columns, rows)
        _turn(rows, full, factor, turned)
        _load(v, span[2], keys, columns, rows)
        for first in range(span[0], span[0] + span[1], TILE):
            here = min(TILE, span[0] + span[1] - first)
            taken = (here + 3) // 4 * 4
            _load(q, first, here, columns, queries)
            _clear(weights, 0, taken, full)
            add_product(queries, turned, weights, taken, d, full)
            for i in range(here):
                key = row_key(seed, (first + i) * heads + head)
                level[first + i, head] = _soften(weights[i], keys, full, key, drop, scale)
            _clear(mixed, 0, taken, deep)
            add_product(weights, rows, mixed, taken, keys, deep)
            _store(mixed, here, F(1), out, first, columns)


@scalar
def _weigh(
    w: Any, ds: Any, keys: Any, full: Any, level: Any, dot: Any, key: Any, drop: Any, scale: Any
) -> None:
    """From the scores in `w` and the gradient of the weights in `ds`: the dropped weights, the scores' gradient."""
    for j in range(keys):
        weight = exp(w[j] - level)
        mask = kept(key, j, drop, scale)
        w[j] = weight * mask
        ds[j] = weight * (ds[j] * mask - dot)
    for j in range(keys, full):
        w[j] = F(0)
    for j in range(keys, full):
        ds[j] = F(0)


@kernel
def attend_backward(begin: Any, end: Any, q: Any, k: Any, v: Any, spans: Any, heads: Any, factor: Any, seed: Any,
                    drop: Any, scale: Any, out: Any, level: Any, g: Any, to_q: Any, to_k: Any,
                    to_v: Any) -> None:  # fmt: skip
    """The gradients of `attend` for the pieces begin to end, a tile of queries at a time."""
    d, longest = q.shape[1] // heads, _padded(spans[:, 3].max())
    deep = _padded(d)
    k_rows, v_rows = np.zeros((longest, deep), F), np.zeros((longest, deep), F)
    k_turned, v_turned = np.empty((deep, longest), F), np.empty((deep, longest), F)
    sum_k, sum_v = np.empty((longest, deep), F), np.empty((longest, deep), F)
    w, ds = np.empty((TILE, longest), F), np.empty((TILE, longest), F)
    queries, above, sum_q = np.zeros((TILE, deep), F), np.zeros((TILE, deep), F), np.empty((TILE, deep), F)
    for piece in range(begin, end):
        span, head = spans[piece // heads], piece % heads
        columns, keys = (head * d, head * d + d), span[3]
        full = _padded(keys)
        _load(k, span[2], keys, columns, k_rows)
        _load(v, span[2], keys, columns, v_rows)
        _turn(k_rows, full, factor, k_turned)
        _turn(v_rows, full, F(1), v_turned)
        _clear(sum_k, 0, full, deep)
        _clear(sum_v, 0, full, deep)
        for first in range(span[0], span[0] + span[1], TILE):
            here = min(TILE, span[0] + span[1] - first)
            taken = (here + 3) // 4 * 4
            _load(q, first, here, columns, queries)
            _load(g, first, here, columns, above)
            _clear(w, 0, taken, full)
            _clear(ds, 0, taken, full)
            _clear(sum_q, 0, taken, deep)
            add_product(queries, k_turned, w, taken, d, full)
            add_product(above, v_turned, ds, taken, d, full)
            for i in range(here):
                t, dot = first + i, F(0)
                for c in range(d):
                    dot += above[i, c] * out[t, columns[0] + c]
                key = row_key(seed, t * heads + head)
                _weigh(w[i], ds[i], keys, full, level[t, head], dot, key, drop, scale)
            add_product(ds, k_rows, sum_q, taken, keys, deep)
            add_turned(w, above, sum_v, full, here, deep)
            add_turned(ds, queries, sum_k, full, here, deep)
            _store(sum_q, here, factor, to_q, first, columns)
        _store(sum_k, keys, factor, to_k, span[2], columns)
        _store(sum_v, keys, F(1), to_v, span[2], columns)
