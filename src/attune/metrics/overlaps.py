"""Entities that overlap: right in part, by the four schemes of MUC-5 and SemEval-2013 task 9.

Each predicted entity takes at most one true one, in the order of the sentence, as in nervaluate:
strict: span and type are right · exact: the span is · partial: the span is, or overlaps and counts half ·
type: the type is, and the spans overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Entity = tuple[str, int, int]  # type, first and last word
SCHEMES = ("strict", "exact", "partial", "type")


def matched(gold: Sequence[Entity], predicted: Sequence[Entity]) -> dict[str, float]:
    """By scheme, how many predicted entities of a sentence are right, those in part as a half.

    All entities of one sentence, in its order. Precision divides by the predicted ones, recall by the
    true ones: whatever is not right is wrong, spurious or missed.
    """
    same_span = {
        "strict": lambda truth, said: truth == said,
        "exact": lambda truth, said: truth[1:] == said[1:],
        "partial": lambda truth, said: truth[1:] == said[1:],
    }
    found = {scheme: _taken(gold, predicted, right) for scheme, right in same_span.items()}
    hits = {scheme: float(hit) for scheme, (hit, _) in found.items()}
    hits["partial"] += 0.5 * found["partial"][1]
    return hits | {"type": float(_of_type(gold, predicted))}


def _taken(
    gold: Sequence[Entity], predicted: Sequence[Entity], right: Callable[[Entity, Entity], bool]
) -> tuple[int, int]:
    """How many predictions are right, and how many take a true entity that they only overlap."""
    left, hits, touched = list(gold), 0, 0
    for said in predicted:
        over = [truth for truth in left if _overlap(truth, said)]
        taken = next((truth for truth in over if right(truth, said)), None)
        hits += taken is not None
        touched += taken is None and bool(over)
        if over:
            left.remove(over[0] if taken is None else taken)
    return hits, touched


def _of_type(gold: Sequence[Entity], predicted: Sequence[Entity]) -> int:
    """How many predictions overlap a true entity of their type; of several they take the nearest."""
    left, hits = list(gold), 0
    for said in predicted:
        over = [truth for truth in left if _overlap(truth, said)]
        same = [truth for truth in over if truth[0] == said[0]]
        hits += bool(same)
        if over:
            left.remove(min(same, key=lambda truth: _distance(truth, said)) if same else over[0])
    return hits


def _overlap(one: Entity, other: Entity) -> bool:
    return one[1] <= other[2] and other[1] <= one[2]


def _distance(one: Entity, other: Entity) -> int:
    return abs(one[1] - other[1]) + abs(one[2] - other[2])
