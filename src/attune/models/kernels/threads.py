"""A kernel over a range of pieces of work, cut between as many threads as torch has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

SMALL = 20_000  # elements; less than this is done before a second thread has woken


@cache
def _pool(helpers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(helpers, thread_name_prefix="attune")


def arrays(*tensors: Tensor) -> list[np.ndarray]:
    """The tensors as a kernel takes them, over the same memory."""
    # a view without its history takes as long as a small kernel, and most have none
    return [(tensor.detach() if tensor.requires_grad else tensor).numpy() for tensor in tensors]


def share(kernel: Callable[..., Any], pieces: int, size: int, *values: Any) -> None:
    """Calls kernel(begin, end, *values) so that each piece is in one call; `size` is the elements in all."""
    threads = _threads(pieces, size)
    _run(kernel, [pieces * i // threads for i in range(threads + 1)], values)


def share_by(kernel: Callable[..., Any], costs: np.ndarray, size: int, *values: Any) -> None:
    """The same with pieces of unequal cost, cut so that every thread has about as much to do."""
    if len(costs) == 0:
        return
    threads = _threads(len(costs), size)
    sums = np.cumsum(costs)
    cuts = np.searchsorted(sums, sums[-1] * np.arange(1, threads) / threads).tolist()
    _run(kernel, [0, *cuts, len(costs)], values)


def _threads(pieces: int, size: int) -> int:
    return max(1, min(torch.get_num_threads(), pieces)) if size > SMALL else 1


def _run(kernel: Callable[..., Any], bounds: list[int], values: tuple[Any, ...]) -> None:
    others = list(pairwise(bounds))[1:]
    waiting = [_pool(len(others)).submit(kernel, begin, end, *values) for begin, end in others]
    kernel(bounds[0], bounds[1], *values)
    for one in waiting:
        one.result()
