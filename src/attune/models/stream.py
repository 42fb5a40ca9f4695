"""The token stream: the sequences of a batch laid end to end, with no padding between them.

T tokens, B sequences, W wanted positions, H width of the model, throughout `models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# What one more group costs (python, small calls), in score elements of one head; measured on two CPU cores.
GROUP_COST = 1500


@dataclass(frozen=True)
class Stream:
    """Sequences end to end; any order is right, sorted by length is fastest."""

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64, from 0 in each sequence
    kinds: Tensor | None  # [T] int64 token types, where the model has them
    lengths: tuple[int, ...]  # B lengths, their sum is T

    @staticmethod
    def of(sequences: Sequence[np.ndarray], kinds: Sequence[np.ndarray] | None = None) -> Stream:
        """The stream of these sequences of token ids, in this order."""
        lengths = tuple(len(sequence) for sequence in sequences)
        assert min(lengths, default=1) > 0, "a sequence has at least one token"
        positions = np.concatenate([np.arange(length) for length in lengths])
        return Stream(
            torch.from_numpy(np.concatenate(sequences).astype(np.int64)),
            torch.from_numpy(positions.astype(np.int64)),
            None if kinds is None else torch.from_numpy(np.concatenate(kinds).astype(np.int64)),
            lengths,
        )

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each sequence begins in the stream, [B]."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)


@dataclass(frozen=True)
class Group:
    """Sequences of near-equal length whose attention is one call; what padding there is lives here.

    `queries` and `keys` index the stream (or the wanted positions), padded to a rectangle: [n * q], [n * k].
    """

    n: int
    queries: Tensor
    keys: Tensor
    mask: Tensor | None  # [n, 1, 1, k], true where there is a key; None when the lengths are equal
    real: Tensor | None  # which of the n * q rows are no padding; None when all are


@dataclass(frozen=True)
class Plan:
    """How attention runs over a stream: its groups, and the way back to the stream's own order."""

    groups: tuple[Group, ...]
    order: Tensor | None  # [Q] the place of each query among the groups' results; None when they are in order


def plan(
    lengths: Sequence[int], wanted: np.ndarray | None = None, device: torch.device | None = None
) -> Plan:
    """The attention of a stream with these lengths, for all positions or only for the wanted ones.

    Args:
        lengths: the B lengths of the sequences.
        wanted: W ascending positions in the stream that ask; all sequences are asked about when None.
        device: where the indices live.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if wanted is None:
        asked, asked_starts = sizes, starts
    else:
        bounds = np.searchsorted(wanted, np.append(starts, starts[-1] + sizes[-1]))
        asked, asked_starts = np.diff(bounds), bounds[:-1]
    longest_first = np.argsort(-sizes, kind="stable")
    groups, places = [], []
    for first, last in _cuts(sizes[longest_first]):
        members = longest_first[first:last]
        members = members[asked[members] > 0]
        if len(members) == 0:
            continue
        queries, real = _rectangle(asked_starts[members], asked[members])
        keys, has_key = _rectangle(starts[members], sizes[members])
        even = bool(has_key.all())
        places.append(queries[real])
        groups.append(
            Group(
                len(members),
                torch.from_numpy(queries.ravel()).to(device),
                torch.from_numpy(keys.ravel()).to(device),
                None if even else torch.from_numpy(has_key[:, None, None, :]).to(device),
                None if bool(real.all()) else torch.from_numpy(np.flatnonzero(real.ravel())).to(device),
            )
        )
    laid = np.concatenate(places)
    in_order = bool((np.diff(laid) > 0).all())
    return Plan(
        tuple(groups), None if in_order else torch.from_numpy(np.argsort(laid, kind="stable")).to(device)
    )


def _rectangle(starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices [n, longest] of each run, and which are real; padding repeats the run's first index."""
    columns = np.arange(sizes.max())
    real = columns[None, :] < sizes[:, None]
    return np.where(real, starts[:, None] + columns[None, :], starts[:, None]), real


def _cuts(sizes: np.ndarray) -> list[tuple[int, int]]:
    """Cuts sizes (descending) into groups, least cost first: n * longest^2 for each group, plus its fixed cost."""
    edges = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    best: list[float] = [0.0]
    came: list[int] = [0]
    for end in range(1, len(edges)):
        costs = [
            best[begin] + (edges[end] - edges[begin]) * float(sizes[edges[begin]]) ** 2 + GROUP_COST
            for begin in range(end)
        ]
        came.append(int(np.argmin(costs)))
        best.append(costs[came[-1]])
    cuts, end = [], len(edges) - 1
    while end > 0:
        cuts.append((edges[came[end]], edges[end]))
        end = came[end]
    return cuts[::-1]
