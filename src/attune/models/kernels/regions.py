"""What stands between a layer's products, compiled by torch into one pass over memory: for GPUs (Ansel et al. 2024).

Only this region is compiled, not the model: it is the same for every layer and every length, so it is made once.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from attune.models.kernels.draws import Draw


def add_norm(x: Tensor, residual: Tensor, norm: nn.LayerNorm, draw: Draw) -> Tensor:
    """norm(dropout(x) + residual), [R, H]; the masks are torch's."""
    made: Tensor = _compiled()(x, residual, norm.weight, norm.bias, norm.eps, draw.p)
    return made


@cache
def _compiled() -> Any:
    # one for each share of dropout, width, training or not, and kind of residual: several methods in one process
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
    return torch.compile(_add_norm, dynamic=True, fullgraph=True)


def _add_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float, p: float) -> Tensor:
    return functional.layer_norm(functional.dropout(x, p) + residual, x.shape[1:], weight, bias, eps)
