"""The section of wrong answers: the worst ones, shown as it fits what the run answers with."""

from __future__ import annotations

from typing import Any

from attune.report import answers, entities, label_sets, numbers, strips, wording
from attune.report.folder import KEPT_MISTAKES, Folder, finite
from attune.report.kinds import Kind, kind_of
from attune.report.records import wrongness
from attune.report.shaded import legends, shaded

FORMS = {
    "multilabel": "sets",
    "entities": "marked",
    "tags": "marked",
    "qa": "answers",
    "regression": "numbers",
    "similarity": "numbers",
    "retrieval": "partners",
}
NAMES = ("first text", "second text")


def mistakes(folder: Folder) -> dict[str, Any]:
    """The view data of the section; texts without explanation are shown unshaded."""
    kind = kind_of(folder)
    explained = [each for each in folder.explanations if isinstance(each, dict) and wrongness(each) > 0]
    source = (explained or folder.mistakes)[:KEPT_MISTAKES]
    form = FORMS.get(kind.name, "labels")
    items = [{"form": form, "texts": [], **_item(form, each, folder)} for each in source]
    texts = [text for item in items for text in item["texts"]]
    marks = [item["pieces"] for item in items] if form == "marked" else []
    return {
        "heading": kind.worst,
        "form": form,
        "label": kind.label,
        "shaded": any(piece["paint"] for text in texts for piece in text["pieces"]),
        "unread": legends(texts, folder.knob("model", "max_tokens")),
        "types": entities.types_of(marks),
        "states": entities.states_of(marks, kind.label),
        "items": items,
        "sentences": _sentences(folder, kind, len(items)),
    }


def _item(form: str, record: dict[str, Any], folder: Folder) -> dict[str, Any]:
    if form == "marked":
        return entities.worst(record, folder)
    if form == "answers":
        return answers.worst(record)
    item = {"place": str(record.get("row") or ""), "texts": _texts(record, folder)}
    if form == "sets":
        return {**item, "chips": label_sets.chips(record)}
    if form == "numbers":
        return {**item, "lines": numbers.compared(record, folder)}
    if form == "partners":
        return {
            **item,
            "rank": _rank(record.get("severity")),
            "cosine": wording.score(record.get("predicted"), 2),
        }
    probability = record.get(
        "probability", (record.get("probabilities") or {}).get(str(record.get("predicted")))
    )
    return {
        **item,
        "label": str(record.get("label")),
        "predicted": str(record.get("predicted")),
        "percent": wording.percent(probability),
        "bar": strips.bar(probability if finite(probability) else 0.0, "b"),
    }


def _texts(record: dict[str, Any], folder: Folder) -> list[dict[str, Any]]:
    """One view a text of the row; two have the names of their columns."""
    roles = folder.data.get("roles") or {}
    texts = [shaded(str(record.get("text") or ""), _words(record, "words"))]
    if record.get("pair") is not None:
        texts.append(shaded(str(record["pair"]), _words(record, "pair_words")))
    names = [str(roles.get(role) or name) for role, name in zip(("text", "pair"), NAMES, strict=True)]
    return [
        {"name": name if len(texts) > 1 else "", **text} for name, text in zip(names, texts, strict=False)
    ]


def _words(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    words = record.get(key)
    return [each for each in words if isinstance(each, dict)] if isinstance(words, list) else []


def _rank(severity: Any) -> str:
    """The place of the right partner, from 1 - 1 / place."""
    if not finite(severity) or severity <= 0:
        return ""
    return f"place {wording.count(1 / (1 - severity))}" if severity < 0.995 else "a place beyond 200"


def _sentences(folder: Folder, kind: Kind, shown: int) -> list[str]:
    if not shown:
        return ["No wrong answer is known."]
    if kind.choice:
        return [*_wrong_labels(folder, kind), *_surest(kind, shown)]
    told = {
        "multilabel": "Below stand the {} with the largest misses. ",
        "entities": "Below stand the {} with the most wrong entities. ",
        "tags": "Below stand the {} with the most wrong words. ",
        "qa": "Below stand the {} where the model was surest of a wrong answer. ",
        "regression": "Below stand the {} that are furthest off. ",
        "similarity": "Below stand the {} whose place among all pairs is furthest off. ",
        "retrieval": "Below stand the {} whose partner came latest. ",
    }[kind.name].format(wording.counted(shown, kind.row))
    first = label_sets.sentences(folder) if kind.name == "multilabel" else []
    return [*first, told + "Read them: what is given as true may be wrong, too."]


def _wrong_labels(folder: Folder, kind: Kind) -> list[str]:
    entry = (folder.metrics.get("test") or {}).get("accuracy") or {}
    if not (finite(entry.get("value")) and entry.get("n")):
        return []
    wrong = round((1 - entry["value"]) * entry["n"])
    return [f"{wording.count(wrong)} of {wording.counted(entry['n'], 'test row')} got a wrong {kind.label}."]


def _surest(kind: Kind, shown: int) -> list[str]:
    if shown == 1:
        return ["Below stands the one that the model was surest of."]
    return [
        f"Below stand the {shown} that the model was surest of. "
        f"Read them: the given {kind.label} may be wrong, too."
    ]
