"""Drawings that fill a table cell of any width: intervals on a shared scale, bars.

Their horizontal places are per cent of the cell, so text beside them keeps its size on a narrow screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attune.report.folder import finite
from attune.report.svg import Svg, tag, tick_text, ticks


def shared_scale(entries: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """A range that holds all intervals, widened to round numbers; [0, 1] where there is nothing."""
    values = [entry[key] for entry in entries for key in ("value", "low", "high") if finite(entry.get(key))]
    if not values:
        return 0.0, 1.0
    spare = 0.06 * (max(values) - min(values)) or 0.05
    low, high = min(values) - spare, max(values) + spare
    if min(values) >= 0:
        low = max(low, 0.0)
    top = 1 if max(values) <= 1 else 100
    if max(values) <= top:
        high = min(high, float(top))
    return low, high


def interval_strip(entry: Mapping[str, Any], scale: tuple[float, float], paint: str, label: str) -> Svg:
    """A dot with its interval on the shared scale."""
    marks = [
        tag("line", x1=_across(value, scale), x2=_across(value, scale), y1=0, y2="100%", class_="grid")
        for value in ticks(*scale)
    ]
    if finite(entry.get("low")) and finite(entry.get("high")):
        ends = {"x1": _across(entry["low"], scale), "x2": _across(entry["high"], scale)}
        marks.append(tag("line", **ends, y1="50%", y2="50%", class_=f"whisker {paint}"))
    if finite(entry.get("value")):
        marks.append(tag("circle", cx=_across(entry["value"], scale), cy="50%", r=5.5, class_=f"dot {paint}"))
    return tag("svg", *marks, class_="strip", role="img", aria_label=label)


def scale_strip(scale: tuple[float, float]) -> Svg:
    """The numbers under a column of interval strips."""
    texts = []
    for value in ticks(*scale):
        share = (value - scale[0]) / (scale[1] - scale[0])
        anchor = "start" if share < 0.04 else "end" if share > 0.96 else "middle"
        texts.append(tag("text", tick_text(value), x=_across(value, scale), y=13, text_anchor=anchor))
    return tag("svg", *texts, class_="strip scale", aria_hidden="true")


def bar(share: float, paint: str = "a") -> Svg:
    """A bar that fills `share` of its cell, a share in [0, 1]."""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    back = tag("rect", width="100%", height="100%", rx=2, class_="bar back")
    front = tag("rect", width=width, height="100%", rx=2, class_=f"bar {paint}")
    return tag("svg", back, front, class_="level", aria_hidden="true")


def _across(value: float, scale: tuple[float, float]) -> str:
    return f"{100 * (value - scale[0]) / (scale[1] - scale[0]):.2f}%"
