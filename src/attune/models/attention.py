"""Attention over a stream: each sequence sees only itself, so nothing of size T x T is ever made.

On a CPU the compiled kernels take what they know: a token sees the first ones of its sequence, all or those up to
itself. Windows, biases on the scores and other devices are torch's, in `kernels.plain`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from attune.models import block
from attune.models.kernels import plain
from attune.models.kernels.draws import Draw
from attune.models.kernels.ragged import ragged
from attune.models.plans import Plan


def attend(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, *, scaling: float, dropout: float = 0.0
) -> Tensor:
    """Attention inside each sequence.

    Args:
        query: [Q, heads, d], all positions of the stream or the wanted ones that `plan` was made for.
        key: [T, key heads, d]; each serves heads / key heads neighbouring heads.
        value: [T, key heads, d].
        plan: the groups.
        scaling: factor on the scores.
        dropout: share of the attention weights that are dropped.

    Returns:
        [Q, heads, d], in the order of `query`.
    """
    if not len(query):  # nobody asks
        return query
    if plan.ragged is not None:
        return ragged(query, key, value, plan.ragged, scaling=scaling, dropout=dropout)
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (states.repeat_interleave(shared, dim=1) for states in (key, value))
    draw = Draw.of(dropout)
    parts = block.compiled() if plan.prefix and _on_kernels(query) else None
    if parts is None:
        return plain.attention(query, key, value, plan, scaling, draw)
    whole = (states.flatten(1).contiguous() for states in (query, key, value))
    mixed: Tensor = parts.Attention.apply(*whole, plan, query.shape[1], scaling, draw)
    return mixed.view_as(query)


def _on_kernels(states: Tensor) -> bool:
    return states.device.type == "cpu" and states.dtype == torch.float32
