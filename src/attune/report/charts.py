"""The charts with two axes: curves over steps, reliability, ROC and precision-recall, token lengths, true numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from attune.metrics.scales import wilson
from attune.report.svg import Frame, Svg, drawing, path, tag, tick_text
from attune.report.wording import count, counted, number, percent, score

Points = Sequence[tuple[float, float]]
BUCKETS = 80  # a curve of more steps is drawn as the mean of as many groups, in a band from least to most
UNIT = {"width": 360, "height": 360, "left": 42, "right": 14, "top": 26, "bottom": 42}


@dataclass(frozen=True)
class Line:
    """One curve: its name, its class in the style sheet (`a`, `b`), its points; dots where they are few."""

    name: str
    paint: str
    points: Points
    dots: bool = False


def curves(
    lines: Sequence[Line], y_name: str, best: float | None = None, stopped: float | None = None
) -> Svg:
    """Lines over optimizer steps, with the best step and an early stop marked; empty without points."""
    everything = [point for line in lines for point in line.points]
    if not everything:
        return Svg("")
    frame = Frame(_over([x for x, _ in everything], zero=True), _over([y for _, y in everything]))
    marks = [_mark(frame, best, f"best: step {count(best)}", "best")] if best is not None else []
    if stopped is not None and stopped != best:
        marks.append(_mark(frame, stopped, "", "stop"))
    label = f"{y_name} over steps. " + " ".join(
        f"{line.name}: from {score(line.points[0][1])} to {score(line.points[-1][1])}."
        for line in lines
        if line.points
    )
    return drawing(
        frame.width,
        frame.height,
        label,
        frame.axes("step", y_name),
        *marks,
        *[_line(frame, line) for line in lines],
    )


def _over(values: Sequence[float], zero: bool = False) -> tuple[float, float]:
    low, high = (0.0 if zero else min(values)), max(values)
    if high <= low:
        return low - 0.05 * (abs(low) or 1), high + 0.05 * (abs(high) or 1)
    return (low, high) if zero else (low - 0.06 * (high - low), high + 0.06 * (high - low))


def _mark(frame: Frame, step: float, text: str, paint: str) -> Svg:
    x, bottom = frame.at(step, frame.y[0])
    line = tag("line", x1=x, x2=x, y1=frame.top - 4, y2=bottom, class_=f"mark {paint}")
    late = x > frame.width * 0.72
    place = {"x": x + (-5 if late else 5), "y": frame.top + 5, "text_anchor": "end" if late else "start"}
    return Svg(line + (tag("text", text, class_="note", **place) if text else ""))


def _line(frame: Frame, line: Line) -> Svg:
    groups = _groups(line.points)
    middle = [frame.at(*_mean(group)) for group in groups]
    parts = []
    if len(groups) < len(line.points):
        upper = [frame.at(_mean(group)[0], max(y for _, y in group)) for group in groups]
        lower = [frame.at(_mean(group)[0], min(y for _, y in group)) for group in groups]
        parts.append(
            tag("path", d=path([*upper, *reversed(lower)], closed=True), class_=f"band {line.paint}")
        )
    parts.append(tag("path", d=path(middle), class_=f"line {line.paint}"))
    if line.dots and len(line.points) <= BUCKETS:
        for step, value in line.points:
            x, y = frame.at(step, value)
            title = tag("title", f"step {count(step)}: {line.name} {score(value)}")
            parts.append(tag("circle", title, cx=x, cy=y, r=3.2, class_=f"dot {line.paint}"))
    return Svg("".join(parts))


def _groups(points: Points) -> list[Points]:
    n_groups = len(points) if len(points) <= 40 else min(BUCKETS, len(points) // 4)
    size = len(points) / max(n_groups, 1)
    return [points[round(index * size) : round((index + 1) * size)] for index in range(n_groups)]


def _mean(points: Points) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def reliability(bins: Sequence[dict[str, float]]) -> Svg:
    """Share of right answers against stated probability, larger dots for more rows, with 95 % intervals."""
    frame = Frame((0, 1), (0, 1), **UNIT)
    filled = [each for each in bins if each.get("n")]
    largest = max((each["n"] for each in filled), default=1)
    parts = [_diagonal(frame)]
    for each in filled:
        x, y = frame.at(each["confidence"], each["accuracy"])
        low, high = wilson(each["accuracy"], each["n"])
        parts.append(
            tag("line", x1=x, x2=x, y1=frame.at(0, low)[1], y2=frame.at(0, high)[1], class_="whisker a")
        )
        told = f"says {percent(each['confidence'])}, is right {percent(each['accuracy'])}"
        title = f"{told}, {counted(int(each['n']), 'row')}"
        radius = 4 + 7 * math.sqrt(each["n"] / largest)
        parts.append(tag("circle", tag("title", title), cx=x, cy=y, r=radius, class_="dot a soft"))
    label = "Reliability: share of right answers against stated probability; the table has the numbers."
    axes = frame.axes("stated probability", "share right")
    return drawing(frame.width, frame.height, label, axes, *parts)


def rates(points: Points, x_name: str, y_name: str, chance: Points) -> Svg:
    """A curve in the unit square with the line that guessing gives: ROC, precision-recall."""
    frame = Frame((0, 1), (0, 1), **UNIT)
    guess = tag("path", d=path([frame.at(*point) for point in chance]), class_="reference")
    line = tag("path", d=path([frame.at(*point) for point in points]), class_="line a")
    label = f"{y_name} against {x_name}, {counted(len(points), 'point')}"
    return drawing(frame.width, frame.height, label, frame.axes(x_name, y_name), guess, line)


def _diagonal(frame: Frame) -> Svg:
    return tag("path", d=path([frame.at(0, 0), frame.at(1, 1)]), class_="reference")


def against(points: Points, middle: Points, names: tuple[str, str], *, diagonal: bool) -> Svg:
    """Predicted numbers over true ones, larger dots for more rows, and the line through `middle`.

    With `diagonal` both axes have one range and the dashed line is where a prediction is exactly right.
    """
    across, up = _over([x for x, _ in points]), _over([y for _, y in points])
    if diagonal:
        across = up = (min(across[0], up[0]), max(across[1], up[1]))
    frame = Frame(across, up, **UNIT)
    exact = [
        tag("path", d=path([frame.at(across[0], up[0]), frame.at(across[1], up[1])]), class_="reference")
    ]
    held = Counter((round(x, 4), round(y, 4)) for x, y in points)
    most = max(held.values())
    unit = min(2.6, 13 / math.sqrt(most))
    dots = []
    for (x, y), n in held.items():
        place = dict(zip(("cx", "cy"), frame.at(x, y), strict=True))
        titles = [tag("title", f"{number(x)}, {number(y)}: {counted(n, 'row')}")] if most > 1 else []
        dots.append(tag("circle", *titles, **place, r=max(1.8, unit * math.sqrt(n)), class_="point"))
    line = [tag("path", d=path([frame.at(*point) for point in middle]), class_="line b")]
    return drawing(
        frame.width,
        frame.height,
        f"{names[1]} against {names[0]}, {counted(len(points), 'row')}.",
        frame.axes(*names),
        *(exact if diagonal else []),
        *dots,
        *(line if len(middle) > 1 else []),
    )


def histogram(edges: Sequence[float], counts: Sequence[int], cut: float | None, *, lost: bool = True) -> Svg:
    """Rows by number of tokens; what lies beyond the cut is painted as lost, unless more windows read it."""
    if len(edges) < 2 or not any(counts):
        return Svg("")
    frame = Frame((0, max(edges[-1], (cut or 0) * 1.05)), (0, max(counts) * 1.08), height=240)
    bars = [
        _bar(frame, (edges[i], edges[i + 1]), n, cut if lost else None) for i, n in enumerate(counts) if n
    ]
    said = f"cut at {count(cut)} tokens" if lost else f"a window: {count(cut)} tokens"
    marks = [_mark(frame, cut, said, "stop" if lost else "best")] if cut is not None else []
    label = f"Histogram of text lengths: from {tick_text(edges[0])} to {tick_text(edges[-1])} tokens."
    axes = frame.axes("tokens in a text", "rows")
    return drawing(frame.width, frame.height, label, axes, *bars, *marks)


def _bar(frame: Frame, edges: tuple[float, float], n: int, cut: float | None) -> Svg:
    left, top = frame.at(edges[0], n)
    right, bottom = frame.at(edges[1], 0)
    title = tag("title", f"{edges[0]:g} to {edges[1]:g} tokens: {counted(n, 'row')}")
    paint = "b" if cut is not None and edges[0] >= cut else "a"
    width = max(right - left - 1, 0.6)
    return tag("rect", title, x=left + 0.5, y=top, width=width, height=bottom - top, class_=f"bar {paint}")


def sparkline(values: Sequence[float], label: str) -> Svg:
    """A curve without axes, small enough to stand beside a number; empty below two values."""
    if len(values) < 2:
        return Svg("")
    points = [(float(index), value) for index, value in enumerate(values)]
    means = [_mean(group) for group in _groups(points)]
    frame = Frame(
        (0, max(x for x, _ in means)), _over([y for _, y in means]),
        width=120, height=26, left=2, right=5, top=4, bottom=4,
    )  # fmt: skip
    drawn = [frame.at(*point) for point in means]
    end = tag("circle", cx=drawn[-1][0], cy=drawn[-1][1], r=2.4, class_="dot a")
    line = tag("path", d=path(drawn), class_="line a")
    return tag("svg", line, end, class_="spark", viewBox="0 0 120 26", role="img", aria_label=label)
