"""Parameter groups and the optimizer."""

from __future__ import annotations

import torch
from torch import nn


def adamw(model: nn.Module, *, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) with decay on matrices, none on biases and norms.

    The learning rate is set before each step by the loop.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.LayerNorm)
        for parameter in module.parameters(recurse=False)
    }
    for parameter in model.parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim < 2 or id(parameter) in norms else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, fused=True)
