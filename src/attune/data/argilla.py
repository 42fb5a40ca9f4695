"""Records of Argilla: for each question the responses of several people, their status, and a suggestion."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from attune.data.looks import is_missing
from attune.data.problems import SHOWN, count
from attune.data.table import Content, Finding

PARTS = (
    *(".responses", ".responses.users", ".responses.status"),
    *(".suggestion", ".suggestion.score", ".suggestion.agent"),
)
BESIDE = ("id", "status", "inserted_at", "updated_at", "_server_id")


def recognised(columns: tuple[str, ...]) -> bool:
    """True for columns such as `sentiment.responses` and `sentiment.suggestion`."""
    return any(name.endswith(".responses") for name in columns)


def content(held: Content, name: str) -> Content:
    """The fields of the records, and a column for each question: the most frequent submitted response.

    Where nobody submitted one the suggestion stands in, and a warning says so; without either the record has
    no label.
    """
    questions = [each.removesuffix(".responses") for each in held.columns if each.endswith(".responses")]
    parts = {f"{question}{part}" for question in questions for part in PARTS}
    fields = [each for each in held.columns if each not in parts and each not in BESIDE]
    cells = {field: held.cells[field] for field in fields if not field.startswith("metadata.")}
    findings = list(held.findings)
    for question in questions:
        answers: list[Any] = []
        suggested = []
        for row, line in enumerate(held.lines):
            values = _submitted(held, question, row)
            suggestion = held.cells.get(f"{question}.suggestion", [None] * len(held.lines))[row]
            if not values and not is_missing(suggestion):
                suggested.append(line)
            answers.append(_most_frequent(values) if values else suggestion)
        cells[question] = answers
        if suggested:
            what = (
                f"{count(len(suggested), 'record')} of {name} without a submitted {question!r}; suggestions,"
            )
            what += " which nobody confirmed, are taken in their place."
            where = tuple(f"{name}:{line}" for line in suggested[:SHOWN])
            findings.append(Finding("suggestions", "warning", what, where))
    note = f"{name} holds records of Argilla; its questions are the columns {', '.join(questions)}."
    return Content(tuple(cells), cells, held.lines, (*held.notes, note), tuple(findings))


def _submitted(held: Content, question: str, row: int) -> list[Any]:
    """The responses that were submitted; all of them where no status is kept."""
    values = held.cells[f"{question}.responses"][row] or []
    status = held.cells.get(f"{question}.responses.status", [None] * len(held.lines))[row]
    if not isinstance(values, list):
        return [values]
    if not isinstance(status, list) or len(status) != len(values):
        return list(values)
    return [value for value, said in zip(values, status, strict=True) if said == "submitted"]


def _most_frequent(values: list[Any]) -> Any:
    """The value that most people gave; of equally many the first."""
    names = Counter(json.dumps(value, sort_keys=True, default=str) for value in values)
    best = names.most_common(1)[0][0]
    return next(value for value in values if json.dumps(value, sort_keys=True, default=str) == best)
