"""Sixteen float32 at once, written as LLVM code: what attention computes with.

numba makes vector code of long loops, but an attention over twenty words has none: its loops end before their
vector part begins. Here every operation is on sixteen lanes, two registers of AVX2 or one of AVX-512.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from attune.models.kernels.scalars import EXP, FIRST, GOLDEN, OCTAVE, PER_OCTAVE, REST, SECOND, instructions

COLUMNS = 16
FLOATS = ir.VectorType(ir.FloatType(), COLUMNS)
WORDS = ir.VectorType(ir.IntType(32), COLUMNS)
REORDERED = ("contract", "reassoc", "nsz")


@dataclass(frozen=True)
class Lanes:
    """Sixteen numbers in registers; with Python's operators on others, on a number and on one of the code."""

    builder: Any
    value: Any

    def of(self, other: Any) -> Any:
        """`other` in every lane, in LLVM's words."""
        if isinstance(other, Lanes):
            return other.value
        if isinstance(other, (int, float)):
            return ir.Constant(self.value.type, [other] * COLUMNS)
        return spread(self.builder, other)

    def __add__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.fadd(self.value, self.of(other), flags=REORDERED))

    def __sub__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self.value, self.of(other), flags=REORDERED))

    def __mul__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.fmul(self.value, self.of(other), flags=REORDERED))

    def __truediv__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.fdiv(self.value, self.of(other)))

    def largest(self, other: Any) -> Lanes:
        """The larger one in each lane; this one where it is NaN."""
        value = self.of(other)
        return Lanes(
            self.builder,
            self.builder.select(self.builder.fcmp_ordered("<", self.value, value), value, self.value),
        )


def spread(builder: Any, number: Any, count: int = COLUMNS) -> Any:
    """One number in every lane."""
    nothing, first = (
        ir.Constant(ir.VectorType(number.type, count), ir.Undefined),
        ir.Constant(ir.IntType(32), 0),
    )
    one = builder.insert_element(nothing, number, first)
    return builder.shuffle_vector(
        one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    )


class Writer:
    """The code of one function: its arguments, loops, and what it loads and stores."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.builder = builder
        self.arguments = [
            context.make_array(kind)(context, builder, argument).data if isinstance(kind, types.Array) else argument
            for kind, argument in zip(signature.args, arguments, strict=True)
        ]  # fmt: skip

    def constant(self, number: int) -> Any:
        """A whole number that places are counted with."""
        return ir.Constant(ir.IntType(64), number)

    def place(self, at: Any, *products: tuple[Any, Any]) -> Any:
        """at + the sum of the products."""
        for one, other in products:
            at = self.builder.add(at, self.builder.mul(one, other))
        return at

    def row(self, number: Any) -> Any:
        """Where a row begins in an array of sixteen columns."""
        return self.builder.mul(number, self.constant(COLUMNS))

    def _pointer(self, array: Any, at: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(array, [at]), ir.PointerType(kind))

    def load(self, array: Any, at: Any, kind: Any = FLOATS) -> Lanes:
        """The numbers of a vector's `kind` from this place of an array on."""
        return Lanes(self.builder, self.builder.load(self._pointer(array, at, kind), align=4))

    def store(self, lanes: Lanes, array: Any, at: Any) -> None:
        """Puts them there."""
        self.builder.store(lanes.value, self._pointer(array, at, lanes.value.type), align=4)

    def number(self, array: Any, at: Any) -> Any:
        """One number of an array."""
        return self.builder.load(self.builder.gep(array, [at]))

    def register(self, begin: Lanes | float) -> Any:
        """A place for sixteen numbers that a loop changes."""
        held = cgutils.alloca_once(self.builder, FLOATS)
        first = begin.value if isinstance(begin, Lanes) else ir.Constant(FLOATS, [begin] * COLUMNS)
        self.builder.store(first, held)
        return held

    def held(self, register: Any) -> Lanes:
        """What it holds now."""
        return Lanes(self.builder, self.builder.load(register))

    def hold(self, lanes: Lanes, register: Any) -> None:
        """Gives it another value."""
        self.builder.store(lanes.value, register)

    @contextmanager
    def each(self, count: Any) -> Iterator[Any]:
        """The numbers below `count`."""
        with cgutils.for_range(self.builder, count) as loop:
            yield loop.index


def lanes(arguments: str) -> Callable[[Callable[..., None]], Any]:
    """A function of compiled kernels from what `write(writer, *arguments)` writes.

    Args:
        arguments: of each a letter: `a` array, `i` whole number for places, `f` float32, `u` uint32.
    """
    kinds = {"i": types.intp, "f": types.float32, "u": types.uint32}

    def made(write: Callable[..., None]) -> Any:
        def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            writer = Writer(context, builder, signature, given)
            write(writer, *writer.arguments)
            return context.get_dummy_value()

        def typed(typing: Any, *given: Any) -> Any:
            told = (kinds.get(letter, kind) for letter, kind in zip(arguments, given, strict=True))
            return types.void(*told), build

        # numba reads from the signature how many arguments there are
        names = ["typing", *(f"x{place}" for place in range(len(arguments)))]
        one = inspect.Parameter.POSITIONAL_OR_KEYWORD
        typed.__signature__ = inspect.Signature([inspect.Parameter(name, one) for name in names])  # type: ignore[attr-defined]
        return instructions(typed)

    return made


def exp(x: Lanes) -> Lanes:
    """e^x to 2 units in the last place between -87 and 88, as `scalars.exp`; NaN stays NaN."""
    builder = x.builder
    x = x.largest(-87.0)
    floor = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(FLOATS, [FLOATS]), f"llvm.floor.v{COLUMNS}f32"
    )
    n = Lanes(builder, builder.call(floor, [(x * float(PER_OCTAVE) + 0.5).value]))
    r = x - n * float(OCTAVE) - n * float(REST)
    y = r * float(EXP[0]) + float(EXP[1])
    for coefficient in EXP[2:]:
        y = y * r + float(coefficient)
    bits = builder.shl(
        builder.add(builder.fptosi(n.value, WORDS), ir.Constant(WORDS, [127] * COLUMNS)),
        ir.Constant(WORDS, [23] * COLUMNS),
    )
    return (y * r * r + r + 1.0) * Lanes(builder, builder.bitcast(bits, FLOATS))


def kept(keys: Lanes, column: Any, drop: Any, scale: Lanes) -> Lanes:
    """`scale` where an element of this column is kept, 0 where it is dropped, as `scalars.kept`; keys [16] uint32."""
    builder = keys.builder

    def mixed(value: Any, shift: int, factor: Any) -> Any:
        folded = builder.xor(value, builder.lshr(value, ir.Constant(WORDS, [shift] * COLUMNS)))
        return folded if factor is None else builder.mul(folded, ir.Constant(WORDS, [int(factor)] * COLUMNS))

    word = builder.mul(builder.trunc(column, ir.IntType(32)), ir.Constant(ir.IntType(32), int(GOLDEN)))
    value = builder.xor(keys.value, spread(builder, word))
    value = mixed(mixed(mixed(value, 16, FIRST), 15, SECOND), 16, None)
    stays = builder.icmp_unsigned(">=", value, spread(builder, drop))
    return Lanes(builder, builder.select(stays, scale.value, ir.Constant(FLOATS, [0.0] * COLUMNS)))
