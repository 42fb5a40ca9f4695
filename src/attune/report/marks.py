"""A text with two readings of its parts laid over it: what is true, and what the model said.

What was said fills its characters, what is true underlines them, so both can be seen where they differ. Parts
that touch the same characters stand together in one mark, which says how they differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from attune.report.records import Span

WHOLE = 640  # characters of a text that is shown as a whole
AROUND = 130  # characters kept on both sides of what matters, where it is longer
MOST_SHOWN = 8  # marks of a long text that are shown
LONG = 300  # characters of one part that are shown


@dataclass(frozen=True)
class Segment:
    """Some characters, the type that is true of them and the type that was said; empty is none."""

    text: str
    truth: str = ""
    said: str = ""


@dataclass(frozen=True)
class Mark:
    """Neighbouring segments, where they stand, and what is the matter with them.

    `state` is `right`, `missed`, `invented`, `type`, `borders`, `gap` (left out), or empty for plain text.
    """

    begin: int
    end: int
    segments: tuple[Segment, ...]
    state: str = ""

    @property
    def truths(self) -> list[str]:
        """The true types in it, each once, in their order."""
        return list(dict.fromkeys(each.truth for each in self.segments if each.truth))

    @property
    def told(self) -> list[str]:
        """The types that were said of it, each once, in their order."""
        return list(dict.fromkeys(each.said for each in self.segments if each.said))


def marked(text: str, truth: Iterable[Span], said: Iterable[Span]) -> list[Mark]:
    """The text as marks and plain pieces between them; joined, their characters are the text again."""
    truth, said = _apart(truth, len(text)), _apart(said, len(text))
    found, place = [], 0
    for begin, end, true, told in _clusters(truth, said):
        if begin > place:
            found.append(_plain(text, place, begin))
        edges = sorted({begin, end, *(edge for span in (*true, *told) for edge in span[:2])})
        segments = tuple(Segment(text[a:b], _type(true, a), _type(told, a)) for a, b in pairwise(edges))
        found.append(Mark(begin, end, segments, _state(true, told)))
        place = end
    if place < len(text):
        found.append(_plain(text, place, len(text)))
    return found


def excerpt(text: str, marks: Sequence[Mark], *, right: bool = False) -> list[Mark]:
    """The marks of a long text that matter, with what stands around them; a short text whole.

    Args:
        text: what the marks stand in.
        marks: of the whole text.
        right: whether marks that are right matter too.
    """
    if len(text) > WHOLE:
        states = ("missed", "invented", "type", "borders", *(["right"] if right else []))
        matter = [mark for mark in marks if mark.state in states][:MOST_SHOWN]
        spans = [(mark.begin, mark.end) for mark in matter] or [(0, WHOLE - AROUND)]
        marks = _within(text, marks, _joined([_widened(text, begin, end) for begin, end in spans]))
    return [
        replace(mark, segments=tuple(map(_short, mark.segments))) if mark.state else mark for mark in marks
    ]


def _within(text: str, marks: Sequence[Mark], kept: list[tuple[int, int]]) -> list[Mark]:
    found: list[Mark] = []
    place = 0
    for mark in marks:
        parts = [(max(mark.begin, a), min(mark.end, b)) for a, b in kept if a < mark.end and mark.begin < b]
        if mark.state:
            parts = [(mark.begin, mark.end)] if parts else []
        for begin, end in parts:
            if begin > place:
                found.append(Mark(place, begin, (), "gap"))
            found.append(mark if mark.state else _plain(text, begin, end))
            place = end
    if place < len(text):
        found.append(Mark(place, len(text), (), "gap"))
    return found


def _apart(spans: Iterable[Span], size: int) -> list[Span]:
    """The spans in order, without those that lie outside or over an earlier one."""
    found: list[Span] = []
    for span in sorted(spans):
        if 0 <= span.begin < span.end <= size and (not found or span.begin >= found[-1].end):
            found.append(span)
    return found


def _clusters(truth: list[Span], said: list[Span]) -> list[tuple[int, int, list[Span], list[Span]]]:
    """Spans of both readings that share characters, together: begin, end, true ones, said ones."""
    found: list[tuple[int, int, list[Span], list[Span]]] = []
    for span, side in sorted([*((s, 2) for s in truth), *((s, 3) for s in said)]):
        if not found or span.begin >= found[-1][1]:
            found.append((span.begin, span.end, [], []))
        begin, end, true, told = found[-1]
        (true if side == 2 else told).append(span)
        found[-1] = (begin, max(end, span.end), true, told)
    return found


def _state(true: list[Span], told: list[Span]) -> str:
    if not told:
        return "missed"
    if not true:
        return "invented"
    if true == told:
        return "right"
    same = {span.type for span in true} == {span.type for span in told}
    return "borders" if same else "type"


def _type(spans: list[Span], place: int) -> str:
    return next((span.type or "?" for span in spans if span.begin <= place < span.end), "")


def _plain(text: str, begin: int, end: int) -> Mark:
    return Mark(begin, end, (Segment(text[begin:end]),))


def _widened(text: str, begin: int, end: int) -> tuple[int, int]:
    """A part with what stands around it, up to the blanks there."""
    first, last = max(0, begin - AROUND), min(len(text), end + AROUND)
    blank = text.find(" ", first, begin) if first else -1
    first = blank + 1 if blank >= 0 else first
    blank = text.rfind(" ", end, last) if last < len(text) else -1
    return first, blank if blank >= 0 else last


def _joined(kept: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for begin, end in sorted(kept):
        if found and begin <= found[-1][1] + 2:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def _short(segment: Segment) -> Segment:
    text = segment.text
    if len(text) <= LONG:
        return segment
    return replace(segment, text=f"{text[: LONG - 80]} \N{HORIZONTAL ELLIPSIS} {text[-60:]}")
