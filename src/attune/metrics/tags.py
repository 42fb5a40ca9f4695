"""Scores of plain tags, one a word (parts of speech, say), resampled by sentence.

Letters: N sentences, C tags, K = 3 C sums: words right, of the tag, and taken for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attune.metrics import labels
from attune.metrics.labels import COUNTED, Tally


def statistics(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], names: Sequence[str]
) -> np.ndarray:
    """[N, K] what each sentence adds to the sums of which `scores` is a function; names are the C tags."""
    if [len(row) for row in gold] != [len(row) for row in predicted]:
        raise ValueError("every sentence needs as many predicted tags as it has words")
    place = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(gold), 3 * len(names)))
    for row, (truth, said) in enumerate(zip(gold, predicted, strict=True)):
        if unknown := {*truth, *said} - place.keys():
            raise ValueError(f"'{min(unknown)}' in sentence {row} is not one of the tags {', '.join(names)}")
        for true, taken in zip(truth, said, strict=True):
            table[row, place[true]] += true == taken
            table[row, len(names) + place[true]] += 1
            table[row, 2 * len(names) + place[taken]] += 1
    return table


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric that counts labels (`labels.COUNTED`) over the words of sums [..., K]."""
    t = _tally(sums)
    return {name: metric(t) for name, metric in COUNTED.items()}


def per_tag(sums: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of words of every tag, in the order of the names."""
    return labels.per_class(_tally(sums), names)


def _tally(sums: np.ndarray) -> Tally:
    return Tally(*np.split(np.asarray(sums, dtype=np.float64), 3, axis=-1))
