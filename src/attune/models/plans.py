"""How attention runs over a stream: which positions see which, and how that becomes a few calls.

T tokens, B sequences, Q positions that ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from attune.models.place import CPU, has_ragged, there

# What one more group costs (python, small calls), in score elements of one head; measured on two CPU cores.
GROUP_COST = 1500
# What one more call of a whole padded model costs, in tokens; DeBERTa of 6 layers and 384 units, one CPU core.
CALL_COST = 80


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

    def spans(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As a plan's, [n, 4] of these sequences; their queries, and how many keys each of these sees."""
        queries, keys = self.queries.numpy().reshape(self.n, -1), self.keys.numpy().reshape(self.n, -1)
        real = np.full(queries.shape, self.real is None)
        if self.real is not None:
            real.flat[self.real.numpy()] = True
        sight = np.full(1, keys.shape[1])
        if self.mask is not None:  # [n or 1, 1, q or 1, k]
            sight = self.mask.numpy()[:, 0].sum(-1)
        elif self.causal:
            sight = np.arange(1, keys.shape[1] + 1)
        each = np.where(real, np.broadcast_to(sight, queries.shape), 0)
        ends = np.stack([queries[:, 0], real.sum(1), keys[:, 0], each.max(1)], axis=1)
        return ends, queries[real], each[real]


@dataclass(frozen=True)
class Ragged:
    """What a kernel that takes sequences of any length needs to know of them."""

    queries: Tensor  # [B + 1] int32: where each sequence's queries begin, and where the last ones end
    keys: Tensor  # [B + 1] int32
    longest: tuple[int, int]  # queries and keys of one sequence
    sight: Sight  # counted from each sequence's end, where its last query and key meet


@dataclass(frozen=True)
class Plan:
    """How attention runs over a stream: its groups, and the way back to the stream's own order.

    On a device with a kernel for sequences of any length there are no groups, but `ragged`.
    """

    groups: tuple[Group, ...]
    order: Tensor | None  # [Q] the place of each query among the groups' results; None when they are in order
    prefix: bool = True  # every query sees the first keys of its sequence, be it all, and nothing is added
    ragged: Ragged | None = None

    @cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each sequence that asks, [S, 4]: first query, queries, first key, keys seen; [Q]: keys each query sees.

        int64. They are kept, for all layers ask for them.
        """
        found = [group.spans() for group in self.groups]
        if not found:
            return np.zeros((0, 4), np.int64), np.zeros(0, np.int64)
        ends, queries, sights = map(np.concatenate, zip(*found, strict=True))
        return ends, sights[np.argsort(queries)]


@dataclass(frozen=True)
class Laid:
    """What a model tells from a stream's lengths and ids on the host, there already where it computes."""

    places: Tensor  # [T] the row of the position table of each token
    whole: Plan  # of all positions
    asked: Plan  # of the wanted ones
    wanted: Tensor  # [W]


def plan(
    lengths: Sequence[int],
    wanted: np.ndarray | None = None,
    device: torch.device | None = None,
    sight: Sight = Sight(),
    *,
    biased: bool = False,
) -> Plan:
    """The attention of a stream with these lengths, for all positions or only for the wanted ones.

    Args:
        lengths: the B lengths of the sequences.
        wanted: W ascending positions in the stream that ask, one perhaps more than once; all of them when None.
        device: where the indices live.
        sight: what each of them sees of its sequence.
        biased: whether something is going to be added to the scores.
    """
    runs = _Runs.of(lengths)
    queries = _Queries.of(runs, wanted)
    found = None if biased else _ragged(queries, runs, sight, device)
    return found or _lay(queries, runs, sight, device)


def across(
    lengths: Sequence[int],
    sources: Sequence[int],
    wanted: np.ndarray | None = None,
    device: torch.device | None = None,
) -> Plan:
    """Cross attention: positions of a stream with these lengths ask, the B source sequences are seen whole."""
    queries, keys = _Queries.of(_Runs.of(lengths), wanted), _Runs.of(sources)
    return _ragged(queries, keys, Sight(), device) or _lay(queries, keys, Sight(), device)


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
    return replace(bare, groups=tuple(groups), prefix=False)


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
        every = np.arange(ends[-1])
        if wanted is None or np.array_equal(wanted, every):  # as many may be some positions asked twice
            places = every - np.repeat(runs.starts, runs.sizes)
            return _Queries(runs, places, True)
        bounds = np.searchsorted(wanted, np.append(runs.starts, ends[-1]))
        asked = _Runs(bounds[:-1], np.diff(bounds))
        return _Queries(asked, wanted - np.repeat(runs.starts, asked.sizes), False)

    def are_last(self, keys: _Runs) -> bool:
        """Whether each sequence is asked at its last positions only."""
        ends = np.cumsum(self.runs.sizes)
        after = np.repeat(ends, self.runs.sizes) - np.arange(len(self.places))  # how many come from here on
        return bool((self.places == np.repeat(keys.sizes, self.runs.sizes) - after).all())


def _ragged(queries: _Queries, keys: _Runs, sight: Sight, device: torch.device | None) -> Plan | None:
    """The plan of a kernel that takes sequences of any length; None where there is none, or it cannot say this.

    There is one for products in bfloat16 on a GPU. It lets the last query of a sequence meet the last key, so what
    a query sees of what comes after it can be told only for the last positions of each sequence.
    """
    if device is None or not has_ragged(device):
        return None
    if not queries.all and sight != Sight() and not queries.are_last(keys):
        return None
    begins = [np.append(runs.starts, runs.starts[-1] + runs.sizes[-1]) for runs in (queries.runs, keys)]
    asking, seen = (there(edges.astype(np.int32), device) for edges in begins)
    longest = int(queries.runs.sizes.max()), int(keys.sizes.max())
    return Plan((), None, ragged=Ragged(asking, seen, longest, sight))


def _lay(queries: _Queries, keys: _Runs, sight: Sight, device: torch.device | None) -> Plan:
    device = device or CPU
    longest_first = np.argsort(-keys.sizes, kind="stable")
    groups, places, prefix = [], [], True
    for first, last in _cuts(keys.sizes[longest_first]):
        members = longest_first[first:last]
        members = members[queries.runs.sizes[members] > 0]
        if len(members) == 0:
            continue
        asking, real = rectangle(queries.runs.starts[members], queries.runs.sizes[members])
        seen, has_key = rectangle(keys.starts[members], keys.sizes[members])
        bound = sight.window is not None and sight.window < seen.shape[1] - 1
        prefix = prefix and not bound
        causal = sight.causal and queries.all and not bound
        at = queries.places[asking]
        mask = None if causal else _mask(has_key, at if sight.causal or bound else None, sight)
        places.append(asking[real])
        groups.append(
            Group(
                len(members),
                there(asking.ravel(), device),
                there(seen.ravel(), device),
                None if mask is None else there(mask, device),
                None if bool(real.all()) else there(np.flatnonzero(real.ravel()), device),
                causal,
                None if queries.all else there(at, device),
            )
        )
    if not groups:  # nobody asks
        return Plan((), None)
    laid = np.concatenate(places)
    in_order = bool((np.diff(laid) > 0).all())
    order = None if in_order else there(np.argsort(laid, kind="stable"), device)
    return Plan(tuple(groups), order, prefix)


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
