"""Rows in numbers: labels and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

BARS = 30


def profile(texts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Rows, rows of each label, and the median, 95th percentile and maximum of the words."""
    words = np.asarray([len(text.split()) for text in texts] or [0])
    return {
        "rows": len(texts),
        "labels": dict(sorted(Counter(labels).items())),
        "words": {
            "median": float(np.median(words)),
            "p95": float(np.quantile(words, 0.95)),
            "max": int(words.max()),
        },
    }


def histogram(values: np.ndarray) -> dict[str, list[int]]:
    """Edges and counts of at most 30 bars; the last bar ends at the maximum."""
    top = max(int(values.max()), 1)
    step = max(1, -(-top // BARS))
    edges = list(range(0, top + step + 1, step))
    return {"edges": edges, "counts": np.histogram(values, edges)[0].tolist()}
