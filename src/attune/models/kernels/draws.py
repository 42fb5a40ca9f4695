"""The random numbers of dropout: a hash of (seed, row, column), the same bits compiled and in torch.

torch's generator gives only the seed, so `torch.manual_seed` repeats a run to the bit, and nothing that a step
drew must be kept for its backward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BITS = 2**32


@dataclass(frozen=True)
class Draw:
    """One use of dropout: which share is dropped, and the seed of its mask."""

    p: float
    seed: int  # 0 to 2^31 - 1

    @staticmethod
    def of(p: float) -> Draw:
        """A fresh one; the generator is asked only where something is dropped."""
        return Draw(p, int(torch.randint(2**31, ()))) if p > 0.0 else Draw(0.0, 0)

    @property
    def threshold(self) -> int:
        """Of 2^32 equally likely numbers, those below it are dropped."""
        return min(round(self.p * BITS), BITS - 1)

    @property
    def scale(self) -> float:
        """What a kept element is multiplied by."""
        return 1.0 / (1.0 - self.p) if self.p < 1.0 else 0.0

    @property
    def numbers(self) -> tuple[np.uint32, np.uint32, np.float32]:
        """Seed, threshold and scale, as a compiled kernel takes them."""
        return np.uint32(self.seed), np.uint32(self.threshold), np.float32(self.scale)


def mask(draw: Draw, rows: Tensor, columns: Tensor) -> Tensor:
    """`scale` or 0 for each of rows x columns (they broadcast), float32; int64 arithmetic that stays below 2^63."""
    key = _mix((draw.seed + rows.long() * 0x9E3779B9) % BITS)
    word = _mix(key ^ (columns.long() * 0x9E3779B9 % BITS))
    return (word >= draw.threshold).to(torch.float32) * draw.scale


def _mix(value: Tensor) -> Tensor:
    """lowbias32 (Wellons 2018) of numbers below 2^32."""
    value = _times(value ^ (value >> 16), 0x7FEB352D)
    value = _times(value ^ (value >> 15), 0x846CA68B)
    return value ^ (value >> 16)


def _times(value: Tensor, factor: int) -> Tensor:
    """value * factor mod 2^32; int64 wraps at 2^64, of which 2^32 is a divisor."""
    return (value * factor) & (BITS - 1)
