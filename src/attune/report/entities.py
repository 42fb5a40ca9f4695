"""Sentences with their entities, or words with their tags, coloured in place: the worst and some right ones."""

from __future__ import annotations

from typing import Any

from attune.report import wording
from attune.report.folder import Folder
from attune.report.kinds import kind_of
from attune.report.marks import Mark, excerpt, marked
from attune.report.records import Span, spans, tagged

COLOURS = 8  # --k0 to --k7 of the style sheet; further types begin again
STATES = {
    "right": "right: marked as it should be",
    "missed": "missed: true, but not marked",
    "invented": "invented: marked, but not true",
    "type": "wrong {}",
    "borders": "wrong extent",
}
SHORT = {"missed": "missed", "invented": "invented", "borders": "extent"}


def worst(record: dict[str, Any], folder: Folder) -> dict[str, Any]:
    """The view of a wrong answer: its text with true and predicted parts marked, and what is wrong in words."""
    text, (true, said) = str(record.get("text") or ""), _readings(record, folder)
    marks = marked(text, true, said)
    return {
        "place": str(record.get("row") or ""),
        "told": _counted(marks, kind_of(folder).label),
        "pieces": view(excerpt(text, marks), folder),
    }


def seen(folder: Folder) -> dict[str, Any] | None:
    """The view data of the section with right examples, or None where there are none."""
    if kind_of(folder).name not in ("entities", "tags") or not folder.right:
        return None
    items: list[dict[str, Any]] = []
    for record in folder.right:
        text = str(record.get("text") or "")
        said = spans(record.get("predicted"), text) or tagged(record, "predicted")
        if said:
            pieces = view(excerpt(text, marked(text, said, said), right=True), folder)
            items.append({"place": str(record.get("row") or ""), "pieces": pieces})
    if not items:
        return None
    return {"items": items, "types": types_of([each["pieces"] for each in items])}


def view(marks: list[Mark], folder: Folder) -> list[dict[str, Any]]:
    """Marks as the template shows them: state, parts with their colours, and a word on the state."""
    colours = palette(folder)
    return [
        {
            "state": mark.state,
            "chip": _chip(mark),
            "types": [(name, _colour(name, colours)) for name in (*mark.truths, *mark.told)],
            "colour": _colour((*mark.told, *mark.truths, "")[0], colours),
            "parts": [
                {
                    "text": part.text,
                    "truth": bool(part.truth),
                    "said": bool(part.said),
                    "style": f"--t:var(--k{_colour(part.truth, colours)});--p:var(--k{_colour(part.said, colours)})",
                }
                for part in mark.segments
            ],
        }
        for mark in marks
    ]


def palette(folder: Folder) -> dict[str, int]:
    """The number of each type, the commonest of the training rows first."""
    counts = ((folder.data.get("splits") or {}).get("train") or {}).get("labels") or {}
    names = [str(label) for label in folder.details.get("labels") or []]
    types = {name[2:] if name[:2] in ("B-", "I-") else name: 0 for name in names if name != "O"}
    types |= {str(name): n for name, n in counts.items() if isinstance(n, int)}
    ordered = sorted(types, key=lambda name: (-types[name], name))
    return {name: place for place, name in enumerate(ordered)}


def types_of(shown: list[list[dict[str, Any]]]) -> list[tuple[str, int]]:
    """The types that occur in what is shown, with their colours, for a legend."""
    return sorted(
        {each for pieces in shown for piece in pieces for each in piece["types"]}, key=lambda each: each[1]
    )


def states_of(shown: list[list[dict[str, Any]]], label: str) -> list[tuple[str, str]]:
    """The states that occur in what is shown, and what they mean, for a legend."""
    found = {piece["state"] for pieces in shown for piece in pieces}
    return [(state, words.format(label)) for state, words in STATES.items() if state in found]


def _readings(record: dict[str, Any], folder: Folder) -> tuple[list[Span], list[Span]]:
    text = str(record.get("text") or "")
    if kind_of(folder).name == "entities":
        return spans(record.get("label"), text), spans(record.get("predicted"), text)
    pairs = list(zip(tagged(record, "label"), tagged(record, "predicted"), strict=False))
    wrong = [(true, said) for true, said in pairs if true != said]
    return [true for true, _ in wrong], [said for _, said in wrong]


def _counted(marks: list[Mark], label: str) -> str:
    states = [mark.state for mark in marks]
    words = {
        "missed": "missed",
        "invented": "invented",
        "type": f"with the wrong {label}",
        "borders": "with the wrong extent",
    }
    found = [f"{states.count(state)} {said}" for state, said in words.items() if state in states]
    return wording.listed(found)


def _chip(mark: Mark) -> str:
    said, true = ", ".join(mark.told), ", ".join(mark.truths)
    if mark.state == "type":
        return f"{said}, true: {true}"
    return " ".join(filter(None, [said or true, SHORT.get(mark.state, "")]))


def _colour(name: str, colours: dict[str, int]) -> int:
    return colours.get(name, 0) % COLOURS
