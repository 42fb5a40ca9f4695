"""Answers to questions: the worst ones in their contexts, and how well it knows that there is no answer."""

from __future__ import annotations

from typing import Any

from attune.report import scores, strips, wording
from attune.report.folder import Folder, finite
from attune.report.marks import Mark, excerpt, marked
from attune.report.records import Span

PARTS = (("with an answer", "HasAns"), ("without", "NoAns"))
FURTHER = 3  # other answers that the model thought of


def worst(record: dict[str, Any]) -> dict[str, Any]:
    """The view of a wrong answer: question, both answers, and the context around them."""
    context = str(record.get("pair") or "")
    said = str(record.get("predicted") or "")
    true = true_answer(record)
    marks = excerpt(
        context,
        marked(context, _true_span(record, context, true), _said_span(record, context, said)),
        right=True,
    )
    probability = record.get("probability")
    return {
        "place": str(record.get("row") or ""),
        "question": str(record.get("text") or ""),
        "label": true,
        "predicted": said,
        "percent": wording.percent(probability),
        "bar": strips.bar(probability if finite(probability) else 0.0, "b"),
        "pieces": [_piece(mark) for mark in marks],
        "further": _further(record, said),
    }


def true_answer(record: dict[str, Any]) -> str:
    """The first true answer of a record; empty where there is none."""
    label = record.get("label")
    first = label[0] if isinstance(label, list) and label else label
    if isinstance(first, dict):
        first = first.get("text")
    return str(first) if first and not isinstance(first, list) else ""


def answerable(folder: Folder) -> dict[str, Any] | None:
    """Scores of questions with and without an answer, or None where all have one."""
    entries = folder.metrics.get("test") or {}
    if not finite((entries.get("NoAns_f1") or {}).get("value")):
        return None
    counts = ((folder.data.get("splits") or {}).get("test") or {}).get("labels") or {}
    lines = []
    for name, key in PARTS:
        exact, f1 = (entries.get(f"{key}_{measure}") or {} for measure in ("exact", "f1"))
        lines.append(
            {
                "name": name,
                "n": wording.count(counts.get(name)),
                "exact": scores.written("exact_match", exact.get("value")),
                "f1": scores.written("f1", f1.get("value")),
                "interval": scores.interval("f1", f1),
                "bar": strips.bar(f1["value"] / 100 if finite(f1.get("value")) else 0.0),
            }
        )
    return {"lines": lines, "sentences": _leaning(*(entries.get(f"{key}_f1") or {} for _, key in PARTS))}


def _leaning(with_one: dict[str, Any], without: dict[str, Any]) -> list[str]:
    """What the scores of the two parts say together; they lean to a side where their intervals lie apart."""
    told = [f"Where there is no answer, it says so in {without['value']:.0f} of 100 questions."]
    bounds: list[Any] = [part.get(side) for part in (with_one, without) for side in ("low", "high")]
    if not all(finite(bound) for bound in bounds):
        return told
    if bounds[2] > bounds[1]:
        told.append("It is rather silent than wrong: it does better at saying nothing than at answering.")
    elif bounds[0] > bounds[3]:
        told.append("It rather answers than says nothing: where there is no answer, it often gives one.")
    return told


def _said_span(record: dict[str, Any], context: str, said: str) -> list[Span]:
    begin, end = record.get("start"), record.get("end")
    if isinstance(begin, int) and isinstance(end, int) and 0 <= begin < end <= len(context):
        return [Span(begin, end, "said")]
    return _found(context, said, 0, "said")


def _true_span(record: dict[str, Any], context: str, true: str) -> list[Span]:
    label = record.get("label")
    first = label[0] if isinstance(label, list) and label else label
    place = first.get("start") if isinstance(first, dict) else record.get("true_start")
    if isinstance(place, int) and context[place : place + len(true)] == true and true:
        return [Span(place, place + len(true), "true")]
    near = record.get("start")
    return _found(context, true, near if isinstance(near, int) else 0, "true")


def _found(context: str, text: str, near: int, name: str) -> list[Span]:
    """Where a text stands in the context: of several places the one nearest to `near`."""
    places, at = [], context.find(text) if text else -1
    while at >= 0:
        places.append(at)
        at = context.find(text, at + 1)
    if not places:
        return []
    best = min(places, key=lambda place: abs(place - near))
    return [Span(best, best + len(text), name)]


def _piece(mark: Mark) -> dict[str, Any]:
    return {
        "state": mark.state,
        "chip": " + ".join(filter(None, ["true" if mark.truths else "", "said" if mark.told else ""])),
        "colour": 0,
        "parts": [
            {"text": part.text, "truth": bool(part.truth), "said": bool(part.said), "style": ""}
            for part in mark.segments
        ],
    }


def _further(record: dict[str, Any], said: str) -> list[dict[str, str]]:
    best = [each for each in record.get("best") or [] if isinstance(each, dict)]
    others = [each for each in best if each.get("text") and each.get("text") != said]
    return [
        {"text": _short(str(each["text"])), "percent": wording.percent(each.get("probability"))}
        for each in others[:FURTHER]
    ]


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:76]} \N{HORIZONTAL ELLIPSIS}"
