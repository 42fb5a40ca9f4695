"""Attention over sequences of any length in one call: FlashAttention (Dao 2023) as torch has it, on a GPU.

`torch.nn.attention.varlen.varlen_attn` is the public face of the same operation, but drops nothing; the operation
underneath has dropout and a backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from attune.models.plans import Ragged

PRECISION = torch.bfloat16
STEP = 8  # the width of a head must be a multiple of it


def ragged(q: Tensor, k: Tensor, v: Tensor, lie: Ragged, *, scaling: float, dropout: float) -> Tensor:
    """Attention inside each sequence, in bfloat16.

    Args:
        q: [Q, heads, d].
        k: [T, key heads, d]; each serves heads / key heads neighbouring heads.
        v: [T, key heads, d].
        lie: where the sequences lie, and what a query sees.
        scaling: factor on the scores.
        dropout: share of the attention weights that are dropped.

    Returns:
        [Q, heads, d] bfloat16.
    """
    width = q.shape[-1]
    q, k, v = (states.to(PRECISION) for states in (q, k, v))
    if width % STEP:  # to pad by nothing would copy all the same
        q, k, v = (functional.pad(states, (0, -width % STEP)) for states in (q, k, v))
    reach = -1 if lie.sight.window is None else lie.sight.window
    mixed: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, lie.queries, lie.keys, *lie.longest, dropout, lie.sight.causal, False,
        scale=scaling, window_size_left=reach, window_size_right=0 if lie.sight.causal else reach,
    )[0]  # fmt: skip
    return mixed[..., :width]
