"""Stored predictions of any task: how wrong each is, and how much a right one shows.

A record holds the row's own cells, `label` (what is true) and `predicted` in the same form: a name, a list of
names, a number, a list of entities, a list of tags, or the text of an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

SHORT, LONG = 40, 320  # characters of a text that is a good example


class Span(NamedTuple):
    """A part of a text that carries a type."""

    begin: int
    end: int
    type: str


def wrongness(record: Mapping[str, Any]) -> float:
    """How wrong a prediction is, above all within one run; 0 where it is right."""
    true, said = record.get("label"), record.get("predicted")
    if _number(true) and _number(said):
        return abs(float(true) - float(said))
    if isinstance(true, list) and isinstance(said, list):
        return _of_lists(record, true, said)
    if _plain(true) == _plain(said):
        return 0.0
    sure = record.get("probability", _held(record).get(str(said)))
    return float(sure) if _number(sure) and sure > 0 else 1e-9  # wrong all the same


def richness(record: Mapping[str, Any]) -> float:
    """How much a right prediction shows: many and different types, in a text of readable length."""
    said, text = record.get("predicted"), str(record.get("text") or "")
    if not isinstance(said, list) or not said or "probabilities" in record:
        return 0.0
    types = [one.get("type") if isinstance(one, Mapping) else one for one in said]
    size = 1.0 if SHORT <= len(text) <= LONG else 0.1
    return size * (len(set(map(str, types))) + 0.1 * min(len(types), 9))


def spans(entities: Any, text: str) -> list[Span]:
    """The entities of a record as parts of its text, in its order; those that are no part of it are left out."""
    found = []
    for entity in entities if isinstance(entities, list) else []:
        if not isinstance(entity, Mapping):
            continue
        begin, end = entity.get("start"), entity.get("end")
        if isinstance(begin, int) and isinstance(end, int) and 0 <= begin < end <= len(text):
            found.append(Span(begin, end, str(entity.get("type") or "")))
    return sorted(found)


def tagged(record: Mapping[str, Any], key: str) -> list[Span]:
    """Each word with its tag, from the lists `words` and `label` or `predicted`."""
    text, tags, words = str(record.get("text") or ""), record.get(key), record.get("words")
    if not isinstance(tags, list) or not isinstance(words, list) or len(tags) != len(words):
        return []
    entities = [
        {"start": place[0], "end": place[1], "type": tag}
        for tag, place in zip(tags, words, strict=True)
        if isinstance(place, list | tuple) and len(place) == 2
    ]
    return spans(entities, text)


def _of_lists(record: Mapping[str, Any], true: list[Any], said: list[Any]) -> float:
    held = _held(record)
    if held:
        wrong = {str(one) for one in true} ^ {str(one) for one in said}
        names = {str(one) for one in true}
        gaps = (abs((name in names) - float(held.get(name) or 0.0)) for name in wrong)
        return sum(max(gap, 1e-9) for gap in gaps)
    if any(isinstance(one, Mapping) for one in (*true, *said)):
        return float(len({_key(one) for one in true} ^ {_key(one) for one in said}))
    differing = sum(str(a) != str(b) for a, b in zip(true, said, strict=False))
    return float(differing + abs(len(true) - len(said)))


def _key(entity: Any) -> tuple[str, ...]:
    if not isinstance(entity, Mapping):
        return (str(entity),)
    return tuple(str(entity.get(name)) for name in ("type", "start", "end"))


def _held(record: Mapping[str, Any]) -> Mapping[str, Any]:
    held = record.get("probabilities")
    return held if isinstance(held, Mapping) else {}


def _number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> str:
    return " ".join(str(value).split())
