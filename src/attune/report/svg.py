"""SVG as text: elements, number ranges mapped to a plot area, ticks at round numbers.

Colours are never written here: every mark carries a class that the style sheet paints, once for light and
once for dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


class Svg(str):
    """Text that is markup already; templates do not escape it again."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def tag(name: str, *children: str, **attributes: object) -> Svg:
    """An element; children other than `Svg` are escaped, `class_` and `text_anchor` lose the underscore."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Svg) else escape(child) for child in children)
    return Svg(f"<{name}{written}>{inside}</{name}>")


def drawing(width: float, height: float, label: str, *children: str) -> Svg:
    """A picture that scales with the page; `label` is what a screen reader says."""
    return tag(
        "svg", *children, class_="chart", viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label,
        xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


def path(points: Sequence[tuple[float, float]], closed: bool = False) -> str:
    """The `d` of a line through the points."""
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points) + ("Z" if closed else "")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most about `most` round numbers within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A tick as one writes it: thousands as k, no trailing zeros."""
    text = f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:g}"
    return text.replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Frame:
    """A plot area with the ranges of its two axes, in the units of a picture `width` by `height`."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 480
    height: float = 280
    left: float = 44
    right: float = 14
    top: float = 26
    bottom: float = 40

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the data lies in the picture."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        inner_width = self.width - self.left - self.right
        inner_height = self.height - self.top - self.bottom
        return self.left + across * inner_width, self.height - self.bottom - up * inner_height

    def axes(self, x_name: str, y_name: str) -> Svg:
        """Grid lines, tick labels and the names of both axes."""
        parts = []
        for value in ticks(*self.y, most=6):
            x, y = self.at(self.x[0], value)
            parts.append(tag("line", x1=x, x2=self.width - self.right, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", tick_text(value), x=x - 7, y=y + 4, text_anchor="end"))
        for value in ticks(*self.x):
            x, y = self.at(value, self.y[0])
            parts.append(tag("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis"))
            parts.append(tag("text", tick_text(value), x=x, y=y + 17, text_anchor="middle"))
        x, y = self.at(*[axis[0] for axis in (self.x, self.y)])
        parts.append(tag("line", x1=x, x2=self.width - self.right, y1=y, y2=y, class_="axis"))
        parts.append(tag("text", y_name, x=2, y=12, class_="name"))
        parts.append(
            tag(
                "text", x_name, x=self.width - self.right, y=self.height - 5, class_="name", text_anchor="end"
            )
        )
        return Svg("".join(parts))


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
