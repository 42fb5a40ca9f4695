"""The token stream: the sequences of a batch laid end to end, with no padding between them.

T tokens, B sequences, W wanted positions, H width of the model, throughout `models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

# What one more group costs (python, small calls), in score elements of one head; measured on two CPU cores.
GROUP_COST = 1500
# What one more call of a whole padded model costs, in tokens; DeBERTa of 6 layers and 384 units, one CPU core.
CALL_COST = 80


@dataclass
class Known:
    """A place for the states that leave the frozen layers: a backbone that finds none leaves its own here."""

    states: Tensor | None = None  # [T, H]; where every layer is frozen, those at the wanted positions [W, H]
    wanted: Tensor | None = None  # [W] then; None for every position


@dataclass(frozen=True)
class Stream:
    """Sequences end to end; any order is right, sorted by length is fastest."""

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64, from 0 in each sequence
    kinds: Tensor | None  # [T] int64 token types, where the model has them
    lengths: tuple[int, ...]  # B lengths, their sum is T
    known: Known | None = None  # what need not be computed again

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
class Sight:
    """Which tokens of its own sequence a token sees."""

    causal: bool = False  # none after itself
    window: int | None = None  # none more than this many tokens away


@dataclass(frozen=True)
class Group:
    """Sequences of near-equal length whose attention is one call; what padding there is lives here.

    `queries` and `keys` index the stream (or the wanted positions), padded to a rectangle: [n * q], [n * k].
    """

    n: int
    queries: Tensor
    keys: Tensor
    mask: (
        Tensor | None
    )  # [n or 1, 1, q or 1, k], true where a key is seen; None when all are, or `causal` says it
    real: Tensor | None  # which of the n * q rows are no padding; None when all are
    causal: bool = False  # the queries are the keys, and each sees itself and those before it
    places: Tensor | None = (
        None  # [n, q] from 0 in its sequence, of each query; None when the queries are the keys
    )
    bias: Tensor | None = None  # [1 or n, heads, q, k], added to the scores


@dataclass(frozen=True)
class Plan:
    """How attention runs over a stream: its groups, and the way back to the stream's own order."""

    groups: tuple[Group, ...]
    order: Tensor | None  # [Q] the place of each query among the groups' results; None when they are in order
    plain: bool = True  # every query sees its whole sequence, and nothing is added to the scores


def plan(
    lengths: Sequence[int],
    wanted: np.ndarray | None = None,
    device: torch.device | None = None,
    sight: Sight = Sight(),
) -> Plan:
    """The attention of a stream with these lengths, for all positions or only for the wanted ones.

    Args:
        lengths: the B lengths of the sequences.
        wanted: W ascending positions in the stream that ask; all of them when None.
        device: where the indices live.
        sight: what each of them sees of its sequence.
    """
    runs = _Runs.of(lengths)
    return _lay(_Queries.of(runs, wanted), runs, sight, device)


def across(
    lengths: Sequence[int],
    sources: Sequence[int],
    wanted: np.ndarray | None = None,
    device: torch.device | None = None,
) -> Plan:
    """Cross attention: positions of a stream with these lengths ask, the B source sequences are seen whole."""
    return _lay(_Queries.of(_Runs.of(lengths), wanted), _Runs.of(sources), Sight(), device)


def biased(bare: Plan, table: Tensor) -> Plan:
    """The plan with `table` [heads, L, L] added to the scores of i for j, both from 0 in a sequence."""
    groups = []
    for group in bare.groups:
        longest = len(group.keys) // group.n
        if group.places is None:
            bias = table[None, :, :longest, :longest]
        else:
            bias = table[:, group.places, :longest].transpose(0, 1)
        groups.append(replace(group, bias=bias))
    return replace(bare, groups=tuple(groups), plain=False)


@dataclass(frozen=True)
class _Runs:
    """Sequences that lie end to end."""

    starts: np.ndarray  # [B]
    sizes: np.ndarray  # [B]

    @staticmethod
    def of(lengths: Sequence[int]) -> _Runs:
        sizes = np.asarray(lengths, dtype=np.int64)
        return _Runs(np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)


@dataclass(frozen=True)
class _Queries:
    """The positions that ask, as runs: those of one sequence lie together."""

    runs: _Runs
    places: np.ndarray  # [Q] from 0 in each sequence
    all: bool  # every position asks

    @staticmethod
    def of(runs: _Runs, wanted: np.ndarray | None) -> _Queries:
        ends = runs.starts + runs.sizes
        if wanted is None or len(wanted) == ends[-1]:
            places = np.arange(ends[-1]) - np.repeat(runs.starts, runs.sizes)
            return _Queries(runs, places, True)
        bounds = np.searchsorted(wanted, np.append(runs.starts, ends[-1]))
        asked = _Runs(bounds[:-1], np.diff(bounds))
        return _Queries(asked, wanted - np.repeat(runs.starts, asked.sizes), False)


def _lay(queries: _Queries, keys: _Runs, sight: Sight, device: torch.device | None) -> Plan:
    longest_first = np.argsort(-keys.sizes, kind="stable")
    groups, places = [], []
    for first, last in _cuts(keys.sizes[longest_first]):
        members = longest_first[first:last]
        members = members[queries.runs.sizes[members] > 0]
        if len(members) == 0:
            continue
        asking, real = rectangle(queries.runs.starts[members], queries.runs.sizes[members])
        seen, has_key = rectangle(keys.starts[members], keys.sizes[members])
        bound = sight.window is not None and sight.window < seen.shape[1] - 1
        causal = sight.causal and queries.all and not bound
        at = queries.places[asking]
        mask = None if causal else _mask(has_key, at if sight.causal or bound else None, sight)
        places.append(asking[real])
        groups.append(
            Group(
                len(members),
                torch.from_numpy(asking.ravel()).to(device),
                torch.from_numpy(seen.ravel()).to(device),
                None if mask is None else torch.from_numpy(mask).to(device),
                None if bool(real.all()) else torch.from_numpy(np.flatnonzero(real.ravel())).to(device),
                causal,
                None if queries.all else torch.from_numpy(at).to(device),
            )
        )
    if not groups:  # nobody asks
        return Plan((), None)
    laid = np.concatenate(places)
    in_order = bool((np.diff(laid) > 0).all())
    order = None if in_order else torch.from_numpy(np.argsort(laid, kind="stable")).to(device)
    return Plan(tuple(groups), order, plain=sight == Sight())


def _mask(has_key: np.ndarray, places: np.ndarray | None, sight: Sight) -> np.ndarray | None:
    """Which keys [n, k] are seen, all of them or by `sight` from the places [n, q]; None when all are."""
    whole = bool(has_key.all())
    if places is None:
        return None if whole else has_key[:, None, None, :]
    if whole and bool((places == places[:1]).all()):
        places = places[:1]
    ahead = np.arange(has_key.shape[1]) - places[:, :, None]
    seen = (
        np.ones_like(ahead, dtype=bool) if whole else np.repeat(has_key[:, None, :], ahead.shape[1], axis=1)
    )
    if sight.causal:
        seen &= ahead <= 0
    if sight.window is not None:
        seen &= np.abs(ahead) <= sight.window
    return seen[:, None]


def rectangle(starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices [n, longest] of each run, and which are real; padding repeats the run's first index."""
    columns = np.arange(sizes.max())
    real = columns[None, :] < sizes[:, None]
    return np.where(real, starts[:, None] + columns[None, :], starts[:, None]), real


def near_equal(lengths: Sequence[int]) -> list[np.ndarray]:
    """The sequences cut into batches of near-equal length, each padded to a rectangle at least cost."""
    sizes = np.asarray(lengths, dtype=np.int64)
    longest_first = np.argsort(-sizes, kind="stable")
    cuts = _cuts(sizes[longest_first], power=1, fixed=CALL_COST)
    return [longest_first[first:last] for first, last in cuts]


def _cuts(sizes: np.ndarray, power: int = 2, fixed: float = GROUP_COST) -> list[tuple[int, int]]:
    """Cuts sizes (descending) into groups, least cost first: n * longest^power for each, plus its fixed cost."""
    edges = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    best: list[float] = [0.0]
    came: list[int] = [0]
    for end in range(1, len(edges)):
        costs = [
            best[begin] + (edges[end] - edges[begin]) * float(sizes[edges[begin]]) ** power + fixed
            for begin in range(end)
        ]
        came.append(int(np.argmin(costs)))
        best.append(costs[came[-1]])
    cuts, end = [], len(edges) - 1
    while end > 0:
        cuts.append((edges[came[end]], edges[end]))
        end = came[end]
    return cuts[::-1]
