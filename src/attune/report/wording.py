"""How numbers, times and lists are written: the same everywhere on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attune.metrics.scales import scale
from attune.report.folder import finite

NONE = "\N{EN DASH}"
METRICS = {"ece": "calibration error (ECE)"}  # where the page says more than `metrics.scales`
SPLITS = {"train": "training", "valid": "validation", "test": "test"}


def metric_name(metric: str) -> str:
    """The name of a metric as people write it."""
    return METRICS.get(metric, scale(metric).words)


def score(value: Any, digits: int = 3) -> str:
    """A score with fixed decimals and a true minus sign."""
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}") if finite(value) else NONE


def change(value: Any, digits: int = 3) -> str:
    """A difference with its sign."""
    return f"{value:+,.{digits}f}".replace("-", "\N{MINUS SIGN}") if finite(value) else NONE


def interval(entry: Mapping[str, Any], digits: int = 3) -> str:
    """`[low, high]`, or nothing where it was not measured."""
    if not (finite(entry.get("low")) and finite(entry.get("high"))):
        return ""
    return f"[{score(entry['low'], digits)}, {score(entry['high'], digits)}]"


def with_interval(entry: Mapping[str, Any] | None) -> str:
    """`0.87 [0.80, 0.91]`, or nothing without a score."""
    return f"{score(entry.get('value'))} {interval(entry)}".strip() if entry else ""


def percent(share: Any) -> str:
    """A share in [0, 1] in per cent: one decimal below 10 %, none above."""
    if not finite(share):
        return NONE
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1%"
    return f"{value:.1f}%" if 0 < value < 9.95 else f"{value:.0f}%"


def count(number: Any) -> str:
    """A whole number with thousands separated."""
    return f"{number:,.0f}" if finite(number) else NONE


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count(number)} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """`rows`, `entities`."""
    return f"{noun[:-1]}ies" if noun.endswith("ty") else f"{noun}s"


def began(event: Mapping[str, Any]) -> str:
    """Where a new head begins and why, of the event `started`."""
    rows = counted(event.get("rows") or 0, "training row")
    if not finite(event.get("knows")):
        return f"The new head begins at random weights: no start could be learned from {rows}."
    less = f"{percent(event['knows'])} below that of guessing on those of them that were held out"
    if event.get("regression"):
        return f"The new head begins at a logistic regression of {rows}, whose loss is {less}."
    return (
        f"The new head begins at random weights: the loss of a logistic regression of {rows} is only {less}."
    )


def number(value: Any) -> str:
    """A number of the data as it is: no decimals that say nothing, a true minus sign."""
    if not finite(value):
        return NONE
    if 0 < abs(value) < 0.01:
        return small(value)
    text = f"{value:,.0f}" if abs(value) >= 10000 else f"{round(value, 2):g}"
    return text.replace("-", "\N{MINUS SIGN}")


def duration(seconds: Any) -> str:
    """Seconds in the two largest fitting units."""
    if not finite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def memory(mebibytes: Any) -> str:
    """Mebibytes, from 1,024 on as gibibytes."""
    if not finite(mebibytes):
        return NONE
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def small(value: Any) -> str:
    """A number of any size with two significant digits."""
    if not finite(value):
        return NONE
    base, sign, power = f"{value:.2g}".partition("e")
    return (f"{base}e{int(power)}" if sign else base).replace("-", "\N{MINUS SIGN}")


def when(iso: Any) -> str:
    """A point in time as `23 Nov 2026, 14:12`."""
    try:
        moment = datetime.fromisoformat(str(iso))
    except ValueError:
        return ""
    zone = " UTC" if moment.utcoffset() == timedelta(0) else ""
    return f"{moment.day} {moment:%b %Y, %H:%M}{zone}"


def chance(p: Any) -> str:
    """A p-value as one writes it."""
    if not finite(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
