"""Products, copies and transposes of small matrices that lie in the cache, on sixteen lanes.

numba keeps no block of results in registers; four rows of sixteen columns are what both AVX2 and AVX-512 hold. A
matrix is an array with the place of its first element and the distance of its rows.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from attune.models.kernels.lanes import COLUMNS, Lanes, Writer, lanes, spread
from attune.models.kernels.scalars import scalar

ROWS = 4
EIGHT = ir.VectorType(ir.FloatType(), 8)


@lanes("aiiiaiiaiii")
def _tile(code: Writer, a: Any, at_a: Any, row_a: Any, step_a: Any, b: Any, at_b: Any, row_b: Any, c: Any, at_c: Any,
          row_c: Any, n: Any) -> None:  # fmt: skip
    """c[r, j] += the sum of a[r, i] b[i, j]; i < n, r < 4, j < 16; a number of `a` is `step_a` from the next."""
    places = [code.place(at_c, (code.constant(r), row_c)) for r in range(ROWS)]
    sums = [code.register(code.load(c, place)) for place in places]
    with code.each(n) as i:
        right = code.load(b, code.place(at_b, (i, row_b)))
        for r, held in enumerate(sums):
            left = code.number(a, code.place(at_a, (code.constant(r), row_a), (i, step_a)))
            code.hold(code.held(held) + right * left, held)
    for held, place in zip(sums, places, strict=True):
        code.store(code.held(held), c, place)


@scalar
def add_product(a: Any, b: Any, c: Any, rows: Any, depth: Any, columns: Any) -> None:
    """c[:rows, :columns] += a[:rows, :depth] @ b[:depth, :columns]; rows are a multiple of 4, columns of 16."""
    for r in range(0, rows, ROWS):
        for j in range(0, columns, COLUMNS):
            _tile(
                a, r * a.shape[1], a.shape[1], 1, b, j, b.shape[1], c, r * c.shape[1] + j, c.shape[1], depth
            )


@scalar
def add_turned(a: Any, b: Any, c: Any, rows: Any, depth: Any, columns: Any) -> None:
    """c[:rows, :columns] += a[:depth, :rows].T @ b[:depth, :columns]; rows are a multiple of 4, columns of 16."""
    for r in range(0, rows, ROWS):
        for j in range(0, columns, COLUMNS):
            _tile(a, r, 1, a.shape[1], b, j, b.shape[1], c, r * c.shape[1] + j, c.shape[1], depth)


@lanes("aiiaiiiif")
def _copy(code: Writer, a: Any, at_a: Any, row_a: Any, b: Any, at_b: Any, row_b: Any, rows: Any, blocks: Any,
          factor: Any) -> None:  # fmt: skip
    """b[r, j] = a[r, j] factor; r < rows, j < 16 blocks."""
    with code.each(rows) as r, code.each(blocks) as j:
        column = code.row(j)
        taken = code.load(a, code.place(code.builder.add(at_a, column), (r, row_a)))
        code.store(taken * factor, b, code.place(code.builder.add(at_b, column), (r, row_b)))


def _shuffled(one: Lanes, other: Lanes, order: list[int]) -> Lanes:
    picked = ir.Constant(ir.VectorType(ir.IntType(32), 8), order)
    return Lanes(one.builder, one.builder.shuffle_vector(one.value, other.value, picked))


def _turned_eight(rows: list[Lanes]) -> list[Lanes]:
    """The columns of an 8 x 8 matrix of these rows: by pairs, by fours, by halves."""
    pairs, fours = [], []
    for r in range(0, 8, 2):
        pairs += [_shuffled(rows[r], rows[r + 1], [0, 8, 1, 9, 4, 12, 5, 13])]
        pairs += [_shuffled(rows[r], rows[r + 1], [2, 10, 3, 11, 6, 14, 7, 15])]
    for r in (0, 1, 4, 5):
        fours += [_shuffled(pairs[r], pairs[r + 2], [0, 1, 8, 9, 4, 5, 12, 13])]
        fours += [_shuffled(pairs[r], pairs[r + 2], [2, 3, 10, 11, 6, 7, 14, 15])]
    return [
        _shuffled(fours[c], fours[c + 4], half)
        for half in ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])
        for c in range(4)
    ]


@lanes("aiiaif")
def _turn(code: Writer, a: Any, at_a: Any, row_a: Any, b: Any, blocks: Any, factor: Any) -> None:
    """b[j, r] = a[r, j] factor; r < 16, j < 8 blocks; b has 16 columns."""
    scale = Lanes(code.builder, spread(code.builder, factor, 8))
    with code.each(blocks) as block:
        first = code.builder.mul(block, code.constant(8))
        for half in (0, 8):
            begin = code.builder.add(at_a, first)
            places = [code.place(begin, (code.constant(half + r), row_a)) for r in range(8)]
            rows = [code.load(a, place, EIGHT) * scale for place in places]
            for c, column in enumerate(_turned_eight(rows)):
                code.store(
                    column,
                    b,
                    code.place(code.row(first), (code.constant(c * COLUMNS + half), code.constant(1))),
                )


@scalar
def take(source: Any, at: Any, rows: Any, first: Any, width: Any, into: Any) -> None:
    """into[:rows, :width] = source[at : at + rows, first : first + width]."""
    if width % COLUMNS == 0:
        stride = source.shape[1]
        _copy(source, at * stride + first, stride, into, 0, into.shape[1], rows, width // COLUMNS, 1)
    else:
        for r in range(rows):
            for c in range(width):
                into[r, c] = source[at + r, first + c]


@scalar
def put(source: Any, rows: Any, factor: Any, into: Any, at: Any, first: Any, width: Any) -> None:
    """into[at : at + rows, first : first + width] = source[:rows, :width] * factor."""
    if width % COLUMNS == 0:
        stride = into.shape[1]
        _copy(source, 0, source.shape[1], into, at * stride + first, stride, rows, width // COLUMNS, factor)
    else:
        for r in range(rows):
            for c in range(width):
                into[at + r, first + c] = source[r, c] * factor


@scalar
def turn(source: Any, at: Any, rows: Any, first: Any, width: Any, factor: Any, into: Any) -> None:
    """into[:width, :rows] = source[at : at + rows, first : first + width].T * factor, for at most 16 rows.

    The other columns of `into` hold what stands in the rows below, or what they held before.
    """
    if width % 8 == 0 and at + COLUMNS <= source.shape[0]:
        _turn(source, at * source.shape[1] + first, source.shape[1], into, width // 8, factor)
    else:
        for r in range(rows):
            for c in range(width):
                into[c, r] = source[at + r, first + c] * factor
