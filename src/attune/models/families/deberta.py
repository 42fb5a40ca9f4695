"""DeBERTa-v2 and v3: transformers computes them, with the rows of the distance table that a text can reach.

Each layer multiplies the table by two of its matrices, and every query and key by the result. The table has 512 rows
in the published models; in texts of L tokens 2 L - 1 distances occur (fewer where distances share rows).
DeBERTa of the first version cuts its table itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from attune.models.families.padded import Padded

ALONE = threading.RLock()  # two threads that answer with one model would see each other's rows


class DebertaV2(Padded):
    """DeBERTa-v2, v3 and mDeBERTa."""

    def run(self, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
        """What transformers' forward gives; of the table it sees the rows that these lengths reach."""
        with ALONE, _reached(self.base.encoder, inputs["attention_mask"].shape[1]):
            return super().run(module, inputs)


@contextmanager
def _reached(encoder: Any, length: int) -> Iterator[None]:
    """Within it the encoder's table is its middle, around distance 0; answers and gradients stay the same."""
    # there far distances have no order
    odd = encoder.max_relative_positions - 1 <= encoder.position_buckets // 2
    if not encoder.relative_attention or odd:
        yield
        return
    layers = [layer.attention.self for layer in encoder.layer]
    whole = encoder.rel_embeddings.num_embeddings // 2  # rows for one direction
    reach = min(whole, _furthest(length, encoder.position_buckets, encoder.max_relative_positions) + 1)
    table = encoder.get_rel_embedding
    try:
        encoder.get_rel_embedding = lambda: table()[whole - reach : whole + reach]
        for layer in layers:
            layer.pos_ebd_size = reach
        yield
    finally:
        vars(encoder).pop("get_rel_embedding", None)
        for layer in layers:
            layer.pos_ebd_size = whole


def _furthest(length: int, buckets: int, most: int) -> int:
    """The number of the largest distance in a text of so many tokens; far distances share one."""
    if buckets <= 0:
        return length - 1
    return int(make_log_bucket_position(torch.tensor([length - 1]), buckets, most).long())
