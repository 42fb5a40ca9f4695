"""The scalar functions of the compiled kernels, written so that LLVM makes vector code of the loops around them.

A mask of dropout is never stored: `mix` of (seed, row, column) makes it, and makes it again in the backward pass.
`draws` makes the same one with torch.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import types

# Sums may be reordered and products contracted, which vector code needs; NaN and infinity keep their meaning.
REORDER = {"reassoc", "contract", "arcp", "nsz"}
GOLDEN = np.uint32(0x9E3779B9)  # 2^32 / golden ratio: neighbours land far apart
# Cephes' expf: 1 / ln 2, ln 2 in two parts, and the polynomial of what is left, from x^7 down to x^2
PER_OCTAVE, OCTAVE, REST = (
    np.float32(1.44269504088896341),
    np.float32(0.693359375),
    np.float32(-2.12194440e-4),
)
EXP = tuple(
    map(
        np.float32, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
    )
)
FIRST, SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)  # lowbias32 (Wellons 2018)
F = np.float32
U = np.uint32
SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()[:8]
instructions: Callable[[Callable[..., Any]], Any] = (
    extending.intrinsic
)  # a function that is given as LLVM code


def kernel(function: Callable[..., None]) -> Any:
    """A kernel that works without the lock of the interpreter; compiled at the first call, then kept on disk.

    numba's cache looks at the file of the kernel alone; the name that it is kept under also tells what was laid into
    it from the files beside.
    """
    function.__qualname__ += f"_{SOURCES}"
    made = numba.njit(nogil=True, fastmath=REORDER, error_model="numpy")(function)
    # numba refuses where it may write neither beside the source nor in the user's cache
    with contextlib.suppress(RuntimeError):
        made.enable_caching()
    return made


def scalar(function: Callable[..., Any]) -> Any:
    """A function that is laid into the kernels that call it."""
    return numba.njit(nogil=True, fastmath=REORDER, error_model="numpy", forceinline=True)(function)


@scalar
def mix(value: Any) -> Any:
    """32 random bits of a 32-bit counter."""
    value = U(U(value ^ (value >> U(16))) * FIRST)
    value = U(U(value ^ (value >> U(15))) * SECOND)
    return U(value ^ (value >> U(16)))


@scalar
def row_key(seed: Any, row: Any) -> Any:
    """What the draws of one row start from."""
    return mix(U(seed + U(U(row) * GOLDEN)))


@scalar
def kept(key: Any, column: Any, drop: Any, scale: Any) -> Any:
    """`scale` where an element is kept, 0 where it is dropped; `drop` is the share times 2^32."""
    return scale if mix(U(key ^ U(U(column) * GOLDEN))) >= drop else F(0)


@instructions
def _power_of_two(typing: Any, whole: Any) -> Any:
    """2^n of a whole float32 from -126 to 127, made of its bits; numba's own ways give no vector code."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = builder.fptosi(arguments[0], ir.IntType(32))
        shifted = builder.shl(
            builder.add(number, ir.Constant(ir.IntType(32), 127)), ir.Constant(ir.IntType(32), 23)
        )
        return builder.bitcast(shifted, ir.FloatType())

    return types.float32(types.float32), build


@scalar
def exp(x: Any) -> Any:
    """e^x of a float32, to 2 units in the last place between -87 and 88 (Cephes' expf); NaN stays NaN."""
    x = F(-87) if x < F(-87) else x
    n = np.floor(x * PER_OCTAVE + F(0.5))
    r = x - n * OCTAVE - n * REST
    y = EXP[0] * r + EXP[1]
    y = y * r + EXP[2]
    y = y * r + EXP[3]
    y = y * r + EXP[4]
    y = y * r + EXP[5]
    y = y * r * r + r + F(1)
    return y * _power_of_two(n)


@scalar
def erf(x: Any) -> Any:
    """The error function of a float32, to 3e-7 (Eigen's rational approximation)."""
    x = F(4) if x > F(4) else x
    x = F(-4) if x < F(-4) else x
    z = x * x
    p = F(-2.72614225801306e-10)
    p = p * z + F(2.77068142495902e-08)
    p = p * z + F(-2.10102402082508e-06)
    p = p * z + F(-5.69250639462346e-05)
    p = p * z + F(-7.34990630326855e-04)
    p = p * z + F(-2.95459980854025e-03)
    p = p * z + F(-1.60960333262415e-02)
    q = F(-1.45660718464996e-05)
    q = q * z + F(-2.13374055278905e-04)
    q = q * z + F(-1.68282697438203e-03)
    q = q * z + F(-7.37332916720468e-03)
    q = q * z + F(-1.42647390514189e-02)
    return x * p / q
