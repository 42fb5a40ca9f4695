"""A kernel over a range of pieces of work, cut between as many threads as torch has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch

SMALL = 20_000  # elements; less than this is done before a second thread has woken


@cache
def _pool(helpers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(helpers, thread_name_prefix="attune")


def share(kernel: Callable[..., Any], pieces: int, size: int, *values: Any) -> None:
    """Calls kernel(begin, end, *values) so that each piece is in one call; `size` is the elements in all."""
    share_by(kernel, np.ones(pieces), size, *values)


def share_by(kernel: Callable[..., Any], costs: np.ndarray, size: int, *values: Any) -> None:
    """The same with pieces of unequal cost, cut so that every thread has about as much to do."""
    threads = min(torch.get_num_threads(), len(costs)) if size > SMALL else 1
    if threads == 1:
        kernel(0, len(costs), *values)
        return
    sums = np.cumsum(costs)
    cuts = np.searchsorted(sums, sums[-1] * np.arange(1, threads) / threads).tolist()
    bounds = [0, *cuts, len(costs)]
    waiting = [
        _pool(threads - 1).submit(kernel, bounds[i], bounds[i + 1], *values) for i in range(1, threads)
    ]
    kernel(0, bounds[1], *values)
    for one in waiting:
        one.result()
