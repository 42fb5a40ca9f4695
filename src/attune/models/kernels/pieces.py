"""Compiled attention inside each sequence of a stream: softmax and dropout in the cache, nothing of size L x L kept.

One piece of work is one head of one sequence, so no number of threads changes a bit. `spans` [S, 4] holds, for each
sequence, where its queries begin, how many there are, where its keys begin and how many there are. The weights are
made again in the backward pass from the queries, the keys and each query's `level`, the logarithm of its softmax's
denominator (FlashAttention, Dao et al. 2022). A query sees the first `seen` [Q] keys of its sequence: all of them, or
those up to itself in a causal model, where the keys behind a tile's last query cost nothing.

Sixteen queries are sixteen lanes: the scores of a tile stand key by key, [keys, 16], so that the softmax of each
query runs down its lane. Lanes without a query compute what nobody reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from attune.models.kernels.lanes import COLUMNS, WORDS, Lanes, Writer, exp, kept, lanes
from attune.models.kernels.scalars import F, U, kernel, row_key, scalar
from attune.models.kernels.tiles import ROWS, add_product, add_turned, put, take, turn

TILE = COLUMNS  # queries at a time
UNSEEN = F(-1e30)  # a score whose weight is nothing


@scalar
def _up(count: Any, multiple: Any) -> Any:
    return (count + multiple - 1) // multiple * multiple


@scalar
def _clear(rows: Any, count: Any) -> None:
    """Zeros in the first rows."""
    flat = rows.reshape(rows.size)
    for j in range(count * rows.shape[1]):
        flat[j] = F(0)


@scalar
def _clear_between(first: Any, last: Any, w: Any, ds: Any) -> None:
    """Zeros in some rows of both: those of keys that only later queries see."""
    for j in range(first, last):
        w[j, :] = F(0)
        ds[j, :] = F(0)


@scalar
def _furthest(seen: Any, query: Any, here: Any) -> Any:
    """The keys that a tile of queries sees together."""
    n = seen[query]
    for i in range(1, here):
        n = max(n, seen[query + i])
    return n


@scalar
def _hide(w: Any, seen: Any, query: Any, here: Any, n: Any) -> None:
    """Takes the keys that a query of the tile does not see out of its scores."""
    for i in range(here):
        for j in range(seen[query + i], n):
            w[j, i] = UNSEEN


@lanes("aiaufa")
def _soften(code: Writer, w: Any, keys: Any, rows: Any, drop: Any, scale: Any, totals: Any) -> None:
    """Scores [keys, 16] become dropped softmax weights; totals [2, 16] are the largest ones and the denominators."""
    zero = code.constant(0)
    top = code.register(code.load(w, zero))
    with code.each(keys) as j:
        code.hold(code.held(top).largest(code.load(w, code.row(j))), top)
    sums = code.register(0.0)
    with code.each(keys) as j:
        weight = exp(code.load(w, code.row(j)) - code.held(top))
        code.store(weight, w, code.row(j))
        code.hold(code.held(sums) + weight, sums)
    code.store(code.held(top), totals, zero)
    code.store(code.held(sums), totals, code.constant(COLUMNS))
    each = Lanes(code.builder, code.held(sums).of(scale)) / code.held(sums)
    whole = code.builder.icmp_unsigned("==", drop, drop.type(0))
    with code.builder.if_else(whole) as (nothing_dropped, dropped):
        with nothing_dropped, code.each(keys) as j:  # all that an answering model does
            place = code.row(j)
            code.store(code.load(w, place) * each, w, place)
        with dropped:
            seeds = code.load(rows, zero, WORDS)
            with code.each(keys) as j:
                place = code.row(j)
                code.store(code.load(w, place) * kept(seeds, j, drop, each), w, place)


@lanes("aaaiaufa")
def _weigh(
    code: Writer, w: Any, ds: Any, e: Any, keys: Any, rows: Any, drop: Any, scale: Any, level: Any
) -> None:
    """From the scores in `w` and the gradient of the weights in `ds`: the dropped weights, the scores' gradient.

    With weights e, masks m and gradients g of what is dropped, that of a score is e (g m - sum of e g m).
    """
    zero = code.constant(0)
    levels, seeds = code.load(level, zero), code.load(rows, zero, WORDS)
    every = Lanes(code.builder, levels.of(scale))
    dot = code.register(0.0)
    with code.each(keys) as j:
        place = code.row(j)
        weight = exp(code.load(w, place) - levels)
        dropped = weight * kept(seeds, j, drop, every)
        part = dropped * code.load(ds, place)
        for numbers, array in ((weight, e), (dropped, w), (part, ds)):
            code.store(numbers, array, place)
        code.hold(code.held(dot) + part, dot)
    with code.each(keys) as j:
        place = code.row(j)
        code.store(code.load(ds, place) - code.load(e, place) * code.held(dot), ds, place)


@kernel
def attend(begin: Any, end: Any, q: Any, k: Any, v: Any, spans: Any, seen: Any, heads: Any, factor: Any, seed: Any,
           drop: Any, scale: Any, out: Any, level: Any) -> None:  # fmt: skip
    """out = dropout(softmax(q @ k.T * factor)) @ v for the pieces begin to end; `level` [Q, heads]."""
    d, longest = q.shape[1] // heads, _up(spans[:, 3].max(), ROWS)
    deep = _up(d, COLUMNS)
    keys, values = np.zeros((longest, d), F), np.zeros((longest, deep), F)
    asked, w, mixed = np.zeros((d, TILE), F), np.empty((longest, TILE), F), np.empty((TILE, deep), F)
    rows, totals = np.zeros(TILE, U), np.empty((2, TILE), F)
    for piece in range(begin, end):
        span, head = spans[piece // heads], piece % heads
        first = head * d
        take(k, span[2], span[3], first, d, keys)
        take(v, span[2], span[3], first, d, values)
        for query in range(span[0], span[0] + span[1], TILE):
            here = min(TILE, span[0] + span[1] - query)
            n = _furthest(seen, query, here)
            turn(q, query, here, first, d, factor, asked)
            for i in range(here):
                rows[i] = row_key(seed, (query + i) * heads + head)
            _clear(w, _up(n, ROWS))
            add_product(keys, asked, w, _up(n, ROWS), d, TILE)
            _hide(w, seen, query, here, n)
            _soften(w, n, rows, drop, scale, totals)
            for i in range(here):
                level[query + i, head] = totals[0, i] + np.log(totals[1, i])
            _clear(mixed, TILE)
            add_turned(w, values, mixed, _up(here, ROWS), n, deep)
            put(mixed, here, F(1), out, query, first, d)


@kernel
def attend_backward(begin: Any, end: Any, q: Any, k: Any, v: Any, spans: Any, seen: Any, heads: Any, factor: Any,
                    seed: Any, drop: Any, scale: Any, level: Any, g: Any, to_q: Any, to_k: Any,
                    to_v: Any) -> None:  # fmt: skip
    """The gradients of `attend` for the pieces begin to end, a tile of queries at a time."""
    d, longest = q.shape[1] // heads, _up(spans[:, 3].max(), ROWS)
    deep = _up(d, COLUMNS)
    keys, values = np.zeros((longest, deep), F), np.zeros((longest, deep), F)
    sum_k, sum_v = np.empty((longest, deep), F), np.empty((longest, deep), F)
    w, ds, e = np.empty((longest, TILE), F), np.empty((longest, TILE), F), np.empty((longest, TILE), F)
    asked, above = np.zeros((deep, TILE), F), np.zeros((deep, TILE), F)  # queries and gradients, turned
    q_rows, g_rows, sum_q = np.zeros((TILE, deep), F), np.zeros((TILE, deep), F), np.empty((TILE, deep), F)
    rows, levels = np.zeros(TILE, U), np.zeros(TILE, F)
    for piece in range(begin, end):
        span, head = spans[piece // heads], piece % heads
        first = head * d
        take(k, span[2], span[3], first, d, keys)
        take(v, span[2], span[3], first, d, values)
        _clear(sum_k, _up(span[3], ROWS))
        _clear(sum_v, _up(span[3], ROWS))
        for query in range(span[0], span[0] + span[1], TILE):
            here = min(TILE, span[0] + span[1] - query)
            n = _furthest(seen, query, here)
            full = _up(n, ROWS)
            turn(q, query, here, first, d, factor, asked)
            turn(g, query, here, first, d, F(1), above)
            take(q, query, here, first, d, q_rows)
            take(g, query, here, first, d, g_rows)
            for i in range(here):
                rows[i] = row_key(seed, (query + i) * heads + head)
                levels[i] = level[query + i, head]
            _clear(w, full)
            _clear(ds, full)
            add_product(keys, asked, w, full, d, TILE)
            add_product(values, above, ds, full, d, TILE)
            _hide(w, seen, query, here, n)
            _weigh(w, ds, e, n, rows, drop, scale, levels)
            _clear_between(n, full, w, ds)
            _clear(sum_q, TILE)
            add_turned(ds, keys, sum_q, _up(here, ROWS), n, deep)
            add_product(w, g_rows, sum_v, full, here, deep)
            add_product(ds, q_rows, sum_k, full, here, deep)
            put(sum_q, here, factor, to_q, query, first, d)
        put(sum_k, span[3], factor, to_k, span[2], first, d)
        put(sum_v, span[3], F(1), to_v, span[2], first, d)
