"""Slots of user queries as PolyAI publishes them: a text, and spans by slot (Coope et al. 2020, RESTAURANTS-8K)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attune.data.problems import count
from attune.data.table import Content


def recognised(rows: Sequence[dict[str, Any]]) -> bool:
    """True for rows with the user's text under `userInput`."""
    return all(isinstance(row.get("userInput"), dict) and "text" in row["userInput"] for row in rows[:50])


def content(rows: Sequence[dict[str, Any]], lines: Sequence[int], name: str) -> Content:
    """`text` and `spans`; a query without labels has none, a span without begin begins with the text."""
    cells: dict[str, list[Any]] = {"text": [row["userInput"]["text"] for row in rows]}
    cells["spans"] = [[_span(label) for label in row.get("labels", [])] for row in rows]
    note = f"{name} holds queries with spans for slots."
    if said := sum(_asked(row.get("context")) for row in rows):
        note += f" What was asked before ({count(said, 'row')} with a `context`) is not read."
    return Content(tuple(cells), cells, list(lines), (note,))


def _asked(context: Any) -> bool:
    """Whether something was asked before a query."""
    return any(context.values()) if isinstance(context, dict) else bool(context)


def _span(label: dict[str, Any]) -> dict[str, Any]:
    held = label.get("valueSpan", {})
    return {"start": held.get("startIndex", 0), "end": held.get("endIndex"), "label": label.get("slot")}
