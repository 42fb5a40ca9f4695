"""Predicted numbers beside true ones: stars, grades, the similarity of two texts."""

from __future__ import annotations

import math
from typing import Any

from attune.report import charts, strips, wording
from attune.report.folder import Folder, finite
from attune.report.kinds import kind_of

GROUPS = 8  # parts of the true numbers whose mean prediction is drawn
DISTANCES = 5  # lines of the table of errors
FEWEST = 3  # rows of a part, below which its mean is left out

Pair = tuple[float, float]


def points(folder: Folder) -> list[Pair]:
    """True and predicted number of the test rows that were kept for the plot."""
    kept = (folder.details.get("test") or {}).get("scatter") or []
    pairs = [each for each in kept if isinstance(each, list | tuple) and len(each) == 2]
    return [(float(x), float(y)) for x, y in pairs if finite(x) and finite(y)]


def bounds(folder: Folder) -> Pair | None:
    """The least and the largest true number of the plot, or None without one."""
    true = [x for x, _ in points(folder)]
    return (min(true), max(true)) if true else None


def plot(folder: Folder) -> dict[str, Any] | None:
    """The view data of the plot, or None without numbers."""
    held = points(folder)
    if not held:
        return None
    same = kind_of(folder).name == "regression"
    names = ("true number", "predicted") if same else ("true score", "cosine")
    line = middle(held)
    return {
        "chart": charts.against(held, line, names, diagonal=same),
        "same": same,
        "middle": len(line) > 1,
        "n": wording.count(len(held)),
        "sentences": _sentences(held, same),
        "errors": _errors(held) if same else [],
        "means": [] if same else _means(line, held),
    }


def middle(held: list[Pair]) -> list[Pair]:
    """The mean prediction in each of a few equal parts of the range of the true numbers."""
    low, high = min(x for x, _ in held), max(x for x, _ in held)
    width = (high - low) / GROUPS
    parts: list[list[Pair]] = [[] for _ in range(GROUPS)]
    for x, y in held:
        parts[min(GROUPS - 1, int((x - low) / width)) if width else 0].append((x, y))
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part))
        for part in parts
        if len(part) >= FEWEST
    ]


def compared(record: dict[str, Any], folder: Folder) -> list[dict[str, Any]]:
    """The true and the predicted number of a record as lines: name, value, bar within the range that occurs."""
    same = kind_of(folder).name == "regression"
    held = points(folder)
    lines = []
    for place, (name, key, paint) in enumerate((("true", "label", "c"), ("said", "predicted", "b"))):
        value = record.get(key)
        values = [pair[place] for pair in held] if not same else [one for pair in held for one in pair]
        span = (min(values), max(values)) if values else (0.0, 1.0)
        share = (value - span[0]) / (span[1] - span[0] or 1) if finite(value) else 0.0
        lines.append({"name": name, "value": wording.number(value), "bar": strips.bar(share, paint)})
    return lines


def _sentences(held: list[Pair], same: bool) -> list[str]:
    line = middle(held)
    if not same:
        return [
            "Each dot is a pair: the more alike its texts are said to be, the higher its cosine should be."
        ]
    off = sorted(abs(x - y) for x, y in held)
    sentences = [
        f"Half of the predictions are within {wording.number(_at(off, 0.5))} of the true number, "
        f"nine of ten within {wording.number(_at(off, 0.9))}."
    ]
    bias = sum(y - x for x, y in held) / len(held)
    if abs(bias) > 0.25 * sum(off) / len(off) and abs(bias) > 0:
        sentences.append(
            f"They are too {'high' if bias > 0 else 'low'} by {wording.number(abs(bias))} on average."
        )
    if len(line) > 2:
        slope = (line[-1][1] - line[0][1]) / (line[-1][0] - line[0][0])
        if slope < 0.7:
            sentences.append(
                "Extreme numbers are drawn to the middle: high ones come out too low, low ones too high."
            )
    return sentences


def _means(line: list[Pair], held: list[Pair]) -> list[dict[str, str]]:
    """The mean cosines over the mean true scores, as the line of the plot has them."""
    low, high = min(y for _, y in held), max(y for _, y in held)
    return [
        {
            "true": wording.score(x, 2),
            "mean": wording.score(y, 2),
            "bar": strips.bar((y - low) / (high - low or 1)),
        }
        for x, y in line
    ]


def _errors(held: list[Pair]) -> list[dict[str, str]]:
    """Shares of the predictions within a few distances of the true number."""
    off = sorted(abs(x - y) for x, y in held)
    span = max(x for x, _ in held) - min(x for x, _ in held)
    if span <= 0:
        return []
    return [
        {
            "within": wording.number(distance),
            "share": wording.percent(inside := sum(each <= distance + 1e-9 for each in off) / len(off)),
            "bar": strips.bar(inside),
        }
        for distance in _round_distances(span)
    ]


def _round_distances(span: float) -> list[float]:
    """Five round distances, the largest at most about a half of the range."""
    power = math.floor(math.log10(span))
    steps = [factor * 10.0**exponent for exponent in range(power - 3, power + 1) for factor in (1, 2, 5)]
    return [step for step in steps if step <= 0.55 * span][-DISTANCES:]


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
