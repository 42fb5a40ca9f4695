"""Exports of Label Studio: its JSON, with results nested in annotations, and JSON-MIN, one flat object a task."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from attune.data.problems import SHOWN, count
from attune.data.table import Content, Finding
from attune.errors import DataError, Problem

VALUES = {"labels": "labels", "choices": "choices", "rating": "rating"}
BESIDE = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")  # in JSON-MIN


def nested(rows: Sequence[dict[str, Any]]) -> bool:
    """True for tasks with `data` and `annotations`, as the JSON export has them."""
    return all(isinstance(row.get("data"), dict) and isinstance(_annotations(row), list) for row in rows[:50])


def flat(rows: Sequence[dict[str, Any]]) -> bool:
    """True for tasks as JSON-MIN has them."""
    return all("annotation_id" in row and "annotator" in row for row in rows[:50])


def content(rows: Sequence[dict[str, Any]], lines: Sequence[int], name: str) -> Content:
    """The data of each task, and for each control of the labelling page a column: spans, choices or ratings.

    Of several annotations that were not cancelled, choices and ratings are the most frequent, spans the first.
    Tasks that nobody annotated are left out.
    """
    kinds: dict[str, str] = {}  # of each control
    kept: list[tuple[int, dict[str, Any], list[dict[str, list[Any]]]]] = []
    bare: list[int] = []
    for line, row in zip(lines, rows, strict=True):
        counted = [one for one in _annotations(row) or [] if not one.get("was_cancelled")]
        held = [_results(one, kinds, row["data"]) for one in counted]
        if held:
            kept.append((line, row["data"], held))
        else:
            bare.append(line)
    if not kept or not kinds:
        raise DataError(
            Problem(name, "no task has an annotation", fix="Annotate some tasks, and export again.")
        )
    columns = dict.fromkeys(key for _, data, _ in kept for key in data)
    cells: dict[str, list[Any]] = {key: [data.get(key) for _, data, _ in kept] for key in columns}
    torn = []
    for control, kind in kinds.items():
        column = control if control not in cells else f"{control}_label"
        made = [_chosen([each.get(control, []) for each in held]) for _, _, held in kept]
        cells[column] = made if kind == "labels" else _alone(made)
        torn += [line for line, _, held in kept if not _agree([each.get(control, []) for each in held])]
    several = [line for line, _, held in kept if len(held) > 1]
    findings = _findings(name, bare, several, sorted(set(torn)))
    note = f"{name} is an export of Label Studio; its controls are the columns {', '.join(kinds)}."
    return Content(tuple(cells), cells, [line for line, _, _ in kept], (note,), findings)


def filled(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON-MIN with every key in every row: no spans where other rows have spans, no value elsewhere."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in BESIDE)
    spans = {key for row in rows for key, value in row.items() if isinstance(value, list)}
    several = {key for row in rows for key, value in row.items() if isinstance(value, dict)}
    return [
        {key: _value(row.get(key, [] if key in spans else None), several=key in several) for key in keys}
        for row in rows
    ]


def _value(value: Any, *, several: bool) -> Any:
    """`{"choices": ["a", "b"]}` as its list; one choice as a list, too, where others are several."""
    if isinstance(value, dict) and set(value) == {"choices"}:
        return value["choices"]
    return [value] if several and isinstance(value, str) else value


def _annotations(row: dict[str, Any]) -> Any:
    return row.get("annotations", row.get("completions"))


def _results(annotation: dict[str, Any], kinds: dict[str, str], data: dict[str, Any]) -> dict[str, list[Any]]:
    """The values of an annotation by control; spans as {start, end, labels}."""
    found: dict[str, list[Any]] = {}
    for result in annotation.get("result", []):
        kind, value = result.get("type", ""), result.get("value", {})
        if kind not in VALUES:
            continue
        control = str(result.get("from_name", kind))
        kinds.setdefault(control, kind)
        each = value.get(VALUES[kind])
        if kind == "labels":
            begin, end = _place(value, data)
            each = [{"start": begin, "end": end, "labels": each}]
        found.setdefault(control, []).extend(each if isinstance(each, list) else [each])
    return found


def _place(value: dict[str, Any], data: dict[str, Any]) -> tuple[Any, Any]:
    """Where a span stands, in characters; older exports count in units of UTF-16, as browsers do."""
    begin, end, text = value.get("start"), value.get("end"), value.get("text")
    if not (isinstance(begin, int) and isinstance(end, int) and isinstance(text, str)):
        return begin, end
    for held in (cell for cell in data.values() if isinstance(cell, str)):
        units = held.encode("utf-16-le", "surrogatepass")
        before, inside = units[: 2 * begin], units[2 * begin : 2 * end]
        if held[begin:end] != text and inside == text.encode("utf-16-le", "surrogatepass"):
            start = len(before.decode("utf-16-le", "replace"))
            return start, start + len(text)
    return begin, end


def _chosen(given: Sequence[list[Any]]) -> list[Any]:
    """What several annotations make together: the spans of the first, the most frequent choices."""
    if any(isinstance(one, dict) for each in given for one in each):
        return given[0]
    best: list[Any] = json.loads(Counter(json.dumps(each) for each in given).most_common(1)[0][0])
    return best


def _alone(made: list[list[Any]]) -> list[Any]:
    """The one choice of each task, None where there is none; lists where some task has several."""
    if any(len(each) > 1 for each in made):
        return list(made)
    return [each[0] if each else None for each in made]


def _agree(given: Sequence[list[Any]]) -> bool:
    return len({json.dumps(each, sort_keys=True) for each in given}) == 1


def _findings(name: str, bare: list[int], several: list[int], torn: list[int]) -> tuple[Finding, ...]:
    found = []
    if bare:
        what = f"{count(len(bare), 'task')} of {name} without an annotation that counts, left out."
        found.append(Finding("unannotated", "warning", what, _places(name, bare)))
    if several:
        what = (
            f"{count(len(several), 'task')} of {name} annotated more than once; in {len(torn):,} of them the"
        )
        what += " annotations differ: the most frequent choice is taken, and the spans of the first."
        found.append(Finding("annotators", "warning" if torn else "note", what, _places(name, torn)))
    return tuple(found)


def _places(name: str, lines: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{name}:{line}" for line in lines[:SHOWN])
