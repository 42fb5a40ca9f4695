"""Many problems of one kind as a list that a person still reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attune.errors import Problem

SHOWN = 10  # problems named one by one
LONGEST = 80  # characters of a cell or a line that are shown


def listed(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The first ten problems and a count of the rest; a fix that several share stands at the last of them."""
    shown = list(problems[:SHOWN])
    last = {problem.fix: index for index, problem in enumerate(shown)}
    kept = [p if last[p.fix] == index else replace(p, fix="") for index, p in enumerate(shown)]
    if len(problems) > SHOWN:
        kept.append(Problem("", f"and {len(problems) - SHOWN:,} more"))
    return tuple(kept)


def shown(value: object) -> str:
    """A value in quotes, cut after 80 characters."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def some(names: Sequence[object], most: int = SHOWN) -> str:
    """`'a', 'b' and 3 more`."""
    head = ", ".join(shown(name) for name in names[:most])
    return f"{head} and {len(names) - most:,} more" if len(names) > most else head


def count(n: int, noun: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
