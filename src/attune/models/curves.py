"""Which curve an activation is, where the compiled kernels know it."""

from __future__ import annotations

import functools
from typing import Any

from torch import nn
from transformers.activations import GELUActivation, GELUTanh, NewGELUActivation

EXACT, TANH = "exact", "tanh"
functional_gelu = nn.functional.gelu


def gelu_of(activation: Any) -> str:
    """`exact` for the GELU of the error function, `tanh` for its approximation (GPT-2's, ALBERT's), else nothing."""
    if activation is functional_gelu:
        return EXACT
    if type(activation) is nn.GELU:
        return TANH if activation.approximate == "tanh" else EXACT
    if type(activation) is GELUActivation:
        return EXACT if activation.act is functional_gelu else ""
    if type(activation) is GELUTanh:
        given: Any = activation.act
        partial = isinstance(given, functools.partial)
        return (
            TANH
            if partial and given.func is functional_gelu and given.keywords == {"approximate": "tanh"}
            else ""
        )
    return TANH if type(activation) is NewGELUActivation else ""
