"""From how many positive rows on a threshold of its own is better for a label than one that all labels share.

    python benchmarks/thresholds.py --out results.json [--trials 60]

Thresholds are chosen on 600 simulated rows of 8 labels and scored on 6,000 others. `unequal` is the standard
deviation, in logits, of the amounts by which the probabilities of each label are too high or too low.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from attune.metrics import multilabel

ROWS, FRESH, LABELS, SKILL = 600, 6000, 8, 1.5


def drawn(rows: int, positives: int, offsets: np.ndarray, rng: np.random.Generator):
    """Truth and probabilities [rows, LABELS] with about so many positives a label in ROWS rows."""
    gold = (rng.random((rows, LABELS)) < positives / ROWS).astype(int)
    logits = SKILL * (2 * gold - 1) + rng.normal(size=gold.shape) * 1.5 + offsets - 1
    return gold, 1 / (1 + np.exp(-logits))


def gain(positives: int, unequal: float, rng: np.random.Generator) -> float:
    """By how much macro-F1 on fresh rows is higher with thresholds of their own than with a shared one."""
    offsets = rng.normal(0, unequal, size=LABELS)
    valid, (gold, probabilities) = (drawn(rows, positives, offsets, rng) for rows in (ROWS, FRESH))
    own, shared = (
        multilabel.scores(multilabel.statistics(gold, (probabilities >= bounds).astype(int)).sum(0))[
            "f1_macro"
        ]
        for bounds in (
            multilabel.thresholds(*valid, fewest=1),
            multilabel.thresholds(*valid, fewest=ROWS + 1),
        )
    )
    return float(own - shared)


def main() -> None:
    """Writes the mean gain and its standard error for every number of positives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=60)
    given = parser.parse_args()
    rng, found = np.random.default_rng(0), []
    for unequal in (0.0, 0.4, 1.0):
        for positives in (3, 5, 10, 20, 40):
            gains = [gain(positives, unequal, rng) for _ in range(given.trials)]
            error = float(np.std(gains) / len(gains) ** 0.5)
            found.append(
                {"unequal": unequal, "positives": positives, "gain": float(np.mean(gains)), "error": error}
            )
    given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
