"""Whether a text finds its partner among all partners: recall at k and mean reciprocal rank.

Letters: N anchors and as many positives, H components, K = 2 + cut-offs sums: rows, reciprocal ranks, found at k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from attune.metrics.labels import share

CUTS = (1, 5, 10)
CELLS_AT_ONCE = 2**22  # similarities held at once: 32 MiB


def ranks(anchors: np.ndarray, positives: np.ndarray, texts: np.ndarray | None = None) -> np.ndarray:
    """[N] the rank, from 1, of each anchor's best right positive among all N, by dot product of rows [N, H].

    Row i of `positives` is right for row i of `anchors`. `texts` [N, 2] numbers the texts of both: every positive of
    a row with the same anchor or the same positive is right, too, and the anchor's own text is no candidate. A tie
    counts against the anchor, so that a model that maps all texts to one point finds nothing.
    """
    anchors, positives = np.asarray(anchors, dtype=np.float64), np.asarray(positives, dtype=np.float64)
    if anchors.ndim != 2 or anchors.shape != positives.shape or not len(anchors):
        raise ValueError(f"anchors and positives are tables [rows, components]; found {anchors.shape} "
                         f"and {positives.shape}")  # fmt: skip
    if not (np.isfinite(anchors).all() and np.isfinite(positives).all()):
        raise ValueError("some components are not finite numbers")
    if texts is None:
        texts = np.arange(2 * len(anchors)).reshape(2, -1).T
    mine, theirs = np.asarray(texts).T
    found = []
    for rows in _stretches(len(anchors)):
        near = anchors[rows] @ positives.T
        right = (mine[rows, None] == mine) | (theirs[rows, None] == theirs)
        wrong = ~right & (mine[rows, None] != theirs)
        best = np.where(right, near, -np.inf).max(1, keepdims=True)
        found.append(1 + ((near >= best - 1e-12 * np.abs(best)) & wrong).sum(1))
    return np.concatenate(found)


def statistics(ranks: np.ndarray, cuts: Sequence[int] = CUTS) -> np.ndarray:
    """[N, K] what each anchor adds to the sums of which `scores` is a function."""
    ranks = np.asarray(ranks, dtype=np.float64)
    return np.stack([np.ones(len(ranks)), 1 / ranks, *(ranks <= k for k in cuts)], axis=1)


def scores(sums: np.ndarray, cuts: Sequence[int] = CUTS) -> dict[str, np.ndarray]:
    """`recall@k` for each cut-off and `mrr` of sums [..., K], in [0, 1].

    Resampling draws anchors; what they are compared with stays the same.
    """
    n, reciprocal, *found = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    return {f"recall@{k}": share(hits, n) for k, hits in zip(cuts, found, strict=True)} | {
        "mrr": share(reciprocal, n)
    }


def _stretches(n: int) -> Iterator[slice]:
    size = max(1, CELLS_AT_ONCE // n)
    return (slice(start, start + size) for start in range(0, n, size))
