"""What Prodigy saves: one JSON object a line, with the answer that the annotator gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from attune.data.problems import count
from attune.data.table import Content
from attune.errors import DataError, Problem

ANSWERS = ("accept", "reject", "ignore")


def recognised(rows: Sequence[dict[str, Any]]) -> bool:
    """True for rows with a text and an answer, or with the hashes that Prodigy writes."""
    return all("text" in row and ("_task_hash" in row or row.get("answer") in ANSWERS) for row in rows[:50])


def content(rows: Sequence[dict[str, Any]], lines: Sequence[int], name: str) -> Content:
    """`text` with `spans`, or with a `label`: only what was accepted.

    Where all rows ask about one label, a rejected row is an example of `not` that label. What was ignored is
    left out, as is every other row that was rejected.
    """
    answers = [row.get("answer", "accept") for row in rows]
    asked = {row["label"] for row in rows if isinstance(row.get("label"), str)}
    spans = any("spans" in row for row in rows)
    choices = any("options" in row for row in rows)
    binary = len(asked) == 1 and not spans and not choices
    wanted = ("accept", "reject") if binary else ("accept",)
    kept = [at for at, answer in enumerate(answers) if answer in wanted]
    if not kept:
        raise DataError(
            Problem(name, "no row was accepted", str(dict(Counter(answers))), "Accept some rows.")
        )
    cells: dict[str, list[Any]] = {"text": [rows[at]["text"] for at in kept]}
    if spans:
        cells["spans"] = [rows[at].get("spans") or [] for at in kept]
    elif choices:
        chosen = [list(rows[at].get("accept") or []) for at in kept]
        one = all(len(each) == 1 for each in chosen)
        cells["label"] = [each[0] for each in chosen] if one else chosen
    elif binary:
        label = asked.pop()
        cells["label"] = [label if answers[at] == "accept" else f"not {label}" for at in kept]
    else:
        cells["label"] = [rows[at].get("label") for at in kept]
    note = f"{name} is an export of Prodigy"
    if len(kept) < len(rows):
        note += f"; {count(len(rows) - len(kept), 'row')} left out that the annotator did not accept"
    return Content(tuple(cells), cells, [lines[at] for at in kept], (f"{note}.",))
