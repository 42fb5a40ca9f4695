"""Which rows make which step: a function of seed and epoch alone, so that a resumed run skips nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attune.tasks.features import Features


def steps_of(features: Features, *, batch: int, by: str, seed: int, epoch: int) -> list[np.ndarray]:
    """The features of each optimizer step of an epoch, in a uniformly random order.

    Args:
        features: what there is to learn from.
        batch: the size of a step, in rows or tokens.
        by: "rows" or "tokens"; by tokens, rows are taken in random order until the budget is used.
        seed: of the run.
        epoch: from 0.
    """
    rows = features.sequences.rows
    order = np.random.default_rng([seed, epoch]).permutation(int(rows[-1]) + 1)
    firsts = np.searchsorted(rows, np.arange(len(order) + 1))
    if by == "rows":
        cuts = np.arange(batch, len(order), batch)
    else:
        sizes = np.add.reduceat(features.sequences.lengths, firsts[:-1])[order]
        taken = np.cumsum(sizes) // batch
        cuts = np.flatnonzero(np.diff(taken)) + 1
    return [
        np.concatenate([np.arange(firsts[row], firsts[row + 1]) for row in part])
        for part in np.split(order, cuts)
        if len(part)
    ]


def micro_batches(features: Features, chosen: np.ndarray, *, tokens: int) -> Iterator[np.ndarray]:
    """Cuts features into parts of at most `tokens` tokens (one sequence at least), longest first."""
    lengths = features.sequences.sizes(chosen)
    longest = np.argsort(-lengths, kind="stable")
    order, begin, held = chosen[longest], 0, 0
    for place, length in enumerate(lengths[longest].tolist()):
        if held and held + length > tokens:
            yield order[begin:place]
            begin, held = place, 0
        held += length
    if begin < len(order):
        yield order[begin:]
