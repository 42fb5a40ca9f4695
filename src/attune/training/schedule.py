"""Factors on the peak learning rate, in [0, 1], as functions of the step."""

from __future__ import annotations

import math


def factor(schedule: str, step: int, steps: int, warmup: int) -> float:
    """The factor at `step` (from 0) of `steps`, rising linearly over the first `warmup` steps.

    Equal to transformers' schedules of the same names: linear and cosine end at 0, inverse_sqrt falls with
    the root of the steps since the end of the warm-up's scale.
    """
    if step < warmup:
        return step / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "inverse_sqrt":
        scale = max(warmup, 1)
        return math.sqrt(scale / max(step, scale))
    done = (step - warmup) / max(1, steps - warmup)
    if schedule == "linear":
        return max(0.0, 1.0 - done)
    assert schedule == "cosine", schedule
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * done)))
