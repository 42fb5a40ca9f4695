"""Attention over a stream: each sequence sees only itself, so nothing of size T x T is ever made."""

from __future__ import annotations

from torch import Tensor

from attune.models.kernels import plain
from attune.models.kernels.draws import Draw
from attune.models.plans import Plan


def attend(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, *, scaling: float, dropout: float = 0.0
) -> Tensor:
    """Attention inside each sequence.

    Args:
        query: [Q, heads, d], all positions of the stream or the wanted ones that `plan` was made for.
        key: [T, heads, d].
        value: [T, heads, d].
        plan: the groups.
        scaling: factor on the scores.
        dropout: share of the attention weights that are dropped.

    Returns:
        [Q, heads, d], in the order of `query`.
    """
    return plain.attention(query, key, value, plan, scaling, Draw.of(dropout))
