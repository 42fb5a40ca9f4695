"""Rows in numbers: how many, of which labels, how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BARS = 30


def profile(texts: Sequence[str], labels: Mapping[str, int]) -> dict[str, Any]:
    """Rows, how often each label stands in them, and median, 95th percentile and maximum of their words."""
    words = np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))
    return {
        "rows": len(texts),
        "labels": dict(sorted(labels.items())),
        "words": {
            "median": float(np.median(words)) if len(words) else 0.0,
            "p95": float(np.quantile(words, 0.95)) if len(words) else 0.0,
            "max": int(words.max()) if len(words) else 0,
        },
    }


def histogram(values: Sequence[int] | np.ndarray) -> dict[str, list[int]]:
    """At most 30 bars of one whole width from 0 to the maximum: `edges` (one more than bars) and `counts`."""
    held = np.asarray(values)
    top = max(int(held.max()), 1) if len(held) else 1
    width = -(-(top + 1) // BARS)
    edges = list(range(0, top + width + 1, width))
    return {"edges": edges, "counts": np.histogram(held, edges)[0].tolist()}
