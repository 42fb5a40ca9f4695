"""What the tasks on whole texts share: encoding texts or pairs, and the mean over a text's windows.

A text read through several windows counts once: its windows share its weight, and its prediction is the mean
of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from attune.data.table import Table
from attune.models.tokens import TextEncoder
from attune.tasks.features import Features, one_each

WHOLE = re.compile(r"-?[0-9]+")


def encode(
    rows: Table, encoder: TextEncoder, targets: np.ndarray | None, weights: np.ndarray | None = None
) -> Features:
    """One feature for each text (or pair) or window of it.

    Args:
        rows: with `text`, perhaps `pair`.
        encoder: cuts and frames them.
        targets: [N, ...] of the rows; -1 everywhere when None.
        weights: [N] of the rows in the loss; 1 each when None.
    """
    pairs = rows.column("pair") if "pair" in rows.columns else None
    sequences = encoder.encode(rows.column("text"), pairs)
    windows = np.bincount(sequences.rows, minlength=len(rows))
    shares = 1.0 / windows[sequences.rows]
    if weights is not None:
        shares = shares * weights[sequences.rows]
    held = np.full(len(sequences), -1) if targets is None else targets[sequences.rows]
    return one_each(sequences, held, shares)


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """The different names, sorted: by value where all are whole numbers."""
    found = sorted(set(names))
    if all(WHOLE.fullmatch(name) for name in found):
        found.sort(key=int)
    return tuple(found)


def mean_of_windows(pieces: Sequence[Any], features: Features) -> np.ndarray:
    """[N, ...] the mean of each row's pieces."""
    rows, stacked = features.sequences.rows, np.asarray(pieces, dtype=np.float64)
    total = np.zeros((len(features.sequences.whole), *stacked.shape[1:]))
    np.add.at(total, rows, stacked)
    counts = np.bincount(rows, minlength=len(total)).reshape(-1, *([1] * (stacked.ndim - 1)))
    return np.asarray(total / counts)
