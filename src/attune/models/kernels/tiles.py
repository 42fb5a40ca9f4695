"""A small matrix product on arrays that lie in the cache: the one place that speaks LLVM.

numba makes vector code of a loop, but keeps no block of results in registers; four rows of sixteen columns are
what both 16 registers of 8 (AVX2) and 32 of 16 (AVX-512) hold.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from attune.models.kernels.scalars import instructions, scalar

ROWS, COLUMNS = 4, 16
LANES = ir.VectorType(ir.FloatType(), COLUMNS)


def _splat(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(LANES, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        one,
        ir.Constant(LANES, ir.Undefined),
        ir.Constant(ir.VectorType(ir.IntType(32), COLUMNS), [0] * COLUMNS),
    )


@instructions
def _tile(typing: Any, a: Any, at_a: Any, row_a: Any, step_a: Any, b: Any, at_b: Any, row_b: Any, c: Any, at_c: Any,
          row_c: Any, n: Any) -> Any:  # fmt: skip
    """c[at_c + r row_c + j] += sum of a[at_a + r row_a + i step_a] b[at_b + i row_b + j]; i < n, r < 4, j < 16."""
    size = types.intp
    signature = types.void(a, size, size, size, b, size, size, c, size, size, size)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_a, at_a, row_a, step_a, array_b, at_b, row_b, array_c, at_c, row_c, n = arguments
        data_a, data_b, data_c = (
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(
                (signature.args[0], signature.args[4], signature.args[7]),
                (array_a, array_b, array_c), strict=True)
        )  # fmt: skip

        def place(data: Any, at: Any, *products: Any) -> Any:
            for one, other in products:
                at = builder.add(at, builder.mul(one, other))
            return builder.gep(data, [at])

        whole = ir.PointerType(LANES)
        rows = [ir.Constant(at_c.type, r) for r in range(ROWS)]
        targets = [builder.bitcast(place(data_c, at_c, (r, row_c)), whole) for r in rows]
        sums = [cgutils.alloca_once(builder, LANES) for _ in rows]
        for held, target in zip(sums, targets, strict=True):
            builder.store(builder.load(target, align=4), held)
        with cgutils.for_range(builder, n) as loop:
            right = builder.load(builder.bitcast(place(data_b, at_b, (loop.index, row_b)), whole), align=4)
            for r, held in zip(rows, sums, strict=True):
                left = builder.load(place(data_a, at_a, (r, row_a), (loop.index, step_a)))
                product = builder.fmul(_splat(builder, left), right, flags=("contract",))
                builder.store(builder.fadd(builder.load(held), product, flags=("contract",)), held)
        for held, target in zip(sums, targets, strict=True):
            builder.store(builder.load(held), target, align=4)
        return context.get_dummy_value()

    return signature, build


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
