"""Dropout of hidden states: compiled on a CPU, where torch's takes a tenth of T5's training, else torch's own.

The masks are those of `kernels.draws`: a seed of torch's repeats them, with the kernels and without.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attune.models import block
from attune.models.kernels import plain
from attune.models.kernels.draws import Draw

Share = Callable[[], float]  # what is dropped now


def nothing() -> float:
    """No dropout."""
    return 0.0


def share_of(module: nn.Module) -> Share:
    """What a module of torch's, or nn.Identity in its place, drops while it trains."""
    return share_in(module, "p") if isinstance(module, nn.Dropout) else nothing


def share_in(module: nn.Module, name: str) -> Share:
    """What a module drops while it trains that holds the share as a number."""
    return lambda: float(getattr(module, name)) if module.training else 0.0


def dropped(x: Tensor, share: Share) -> Tensor:
    """Dropout of [R, H]."""
    draw = Draw.of(share())
    if not draw.p:
        return x
    if not _on_kernels(x):
        return plain.dropout(x, draw)
    from attune.models.kernels import dropped as parts

    made: Tensor = parts.Dropped.apply(x, draw)  # type: ignore[no-untyped-call]
    return made


def added(x: Tensor, residual: Tensor, share: Share) -> Tensor:
    """dropout(x) + residual, [R, H]."""
    draw = Draw.of(share())
    if not draw.p or not (_on_kernels(x) and _on_kernels(residual) and x.shape == residual.shape):
        return plain.dropout(x, draw) + residual
    from attune.models.kernels import dropped as parts

    made: Tensor = parts.Added.apply(x, residual, draw)  # type: ignore[no-untyped-call]
    return made


def _on_kernels(x: Tensor) -> bool:
    known = x.device.type == "cpu" and x.dtype == torch.float32 and x.dim() == 2
    return known and block.compiled() is not None
