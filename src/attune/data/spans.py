"""Entities given by their characters, laid on the words of the text: what does not fit is counted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attune.data.cells import decoded
from attune.data.problems import SHOWN, count, listed
from attune.data.table import Finding, Table
from attune.data.tags import Span
from attune.errors import Problem

BEGIN = ("start", "start_offset", "begin", "startIndex", "from", "offset_start")
END = ("end", "end_offset", "stop", "endIndex", "to", "offset_end")
LABEL = ("label", "labels", "type", "entity", "entity_type", "entity_group", "tag", "class", "slot", "value")
# what is wrong with a span, and what is done about it
FLAWS = {
    "outside": ("outside of the text, or around nothing", "left out"),
    "cuts": ("beginning or ending within a word", "widened to whole words"),
    "overlaps": ("overlapping a longer one", "left out"),
    "twice": ("on words that have another type, too", "left out; the first one is kept"),
}


class Marked(NamedTuple):
    """An entity by its characters."""

    begin: int
    end: int
    kind: str


@dataclass
class Flaws:
    """The spans that did not fit, by what is wrong with them, and the rows they stand in."""

    rows: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def findings(self, table: Table) -> tuple[Finding, ...]:
        """One warning for each kind of flaw, with the first places."""
        found = []
        for flaw, (what, done) in FLAWS.items():
            if rows := self.rows.get(flaw):
                sentence = f"{count(len(rows), 'span')} of {table.name} {what}, {done}."
                where = tuple(table.place(row) for row in dict.fromkeys(rows))
                found.append(Finding("spans", "warning", sentence, where[:SHOWN]))
        return tuple(found)

    def problems(self, table: Table) -> tuple[Problem, ...]:
        """Each of the flaws, by its place."""
        fix = "Mend the span, or let attune mend all of them: spans=snap"
        found = [
            Problem(table.place(row), f"a span {FLAWS[flaw][0]}", fix=fix)
            for flaw, rows in self.rows.items()
            for row in dict.fromkeys(rows)
        ]
        return listed(found)


def marked(cell: Any) -> list[Marked] | None:
    """The spans of a cell: objects or lists of begin, end and type, also as text; None where it holds others."""
    cell = decoded(cell)
    if isinstance(cell, Mapping) and isinstance(cell.get("entities"), list):
        cell = cell["entities"]
    if not isinstance(cell, (list, tuple)):
        return None
    found = [_one(item) for item in cell]
    return None if None in found else [span for spans in found if spans for span in spans]


def _one(item: Any) -> list[Marked] | None:
    """One span; several where it has several types."""
    if isinstance(item, Mapping):
        begin, end, kind = (next((item[k] for k in keys if k in item), None) for keys in (BEGIN, END, LABEL))
        begin = 0 if begin is None and end is not None and not any(k in item for k in BEGIN) else begin
    elif isinstance(item, (list, tuple)) and len(item) == 3:
        begin, end, kind = item
    else:
        return None
    kinds: list[Any] = kind if isinstance(kind, list) else [kind]
    if not isinstance(begin, int) or not isinstance(end, int) or not kinds:
        return None
    return (
        [Marked(begin, end, each) for each in kinds] if all(isinstance(k, str) and k for k in kinds) else None
    )


def laid(
    words: Sequence[tuple[int, int]], given: Sequence[Marked], length: int
) -> tuple[list[Span], list[str]]:
    """(the entities by word, none over another, and the flaw of each span that did not fit as it is).

    Args:
        words: [(begin, end)] of the words in the text, ascending.
        given: the spans by their characters.
        length: of the text.
    """
    flaws: list[str] = []
    begins, ends = [word[0] for word in words], [word[1] for word in words]
    found: dict[tuple[int, int], list[str]] = {}
    for begin, end, kind in given:
        first, last = bisect_right(ends, begin), bisect_left(begins, end)
        if begin < 0 or end > length or begin >= end or first >= last:
            flaws.append("outside")
            continue
        if begins[first] < begin or ends[last - 1] > end:
            flaws.append("cuts")
        kinds = found.setdefault((first, last), [])
        kinds += [kind] if kind not in kinds else []
    kept: list[Span] = []
    taken = [False] * len(words)
    for (first, last), kinds in sorted(found.items(), key=lambda span: (span[0][0] - span[0][1], span[0])):
        if any(taken[first:last]):
            flaws += ["overlaps"] * len(kinds)
            continue
        flaws += ["twice"] * (len(kinds) - 1)
        taken[first:last] = [True] * (last - first)
        kept.append((first, last, kinds[0]))
    return sorted(kept), flaws
