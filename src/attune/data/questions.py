"""Rows of questions: where each answer stands in its context, with wrong places put right and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attune.data.cells import decoded
from attune.data.columns import Roles
from attune.data.looks import is_missing
from attune.data.problems import SHOWN, count, listed, shown
from attune.data.table import Finding, Table
from attune.errors import DataError, Problem

FEW = 0.01  # share of rows whose answer is not in their context, up to which they are left out

Answer = dict[str, Any]  # {"text": str, "start": int}


def canonical(table: Table, roles: Roles, *, labelled: bool) -> Table:
    """`text` is the question, `pair` the context, `label` [{"text", "start"}], empty where there is no answer.

    An answer that does not stand where its start says is put to its nearest occurrence. Rows with no answer
    that can be found are left out where they are few.

    Raises:
        DataError: for answers of another form, and for answers that do not stand in their context where they
            are many.
    """
    cells: dict[str, Sequence[Any]] = {"text": table.column(roles.text), "pair": table.column(roles.pair)}
    if roles.group in table.columns:
        named = zip(table.column(roles.group), cells["pair"], strict=True)
        cells["group"] = [str(context if is_missing(name) else name) for name, context in named]
    if not labelled or roles.labels[0] not in table.columns:
        return replace(table, columns=tuple(cells), cells=cells)
    found = _Answers(table, empty=all(map(is_missing, table.column(roles.labels[0]))))
    answers = zip(cells["pair"], table.column(roles.labels[0]), strict=True)
    cells["label"] = [found.of(row, context, cell) for row, (context, cell) in enumerate(answers)]
    findings = found.findings()
    made = replace(table, columns=tuple(cells), cells=cells, findings=(*table.findings, *findings))
    return made.take(row for row in range(len(made)) if row not in found.lost) if found.lost else made


class _Answers:
    """Takes the answers of rows, and keeps what was wrong with some."""

    def __init__(self, table: Table, *, empty: bool) -> None:
        self.table = table
        self.unlabelled = empty  # nothing in any row: nobody has answered these questions yet
        self.none: list[int] = []  # rows in which nothing stands
        self.moved: list[int] = []
        self.dropped: list[int] = []
        self.lost: dict[int, str] = {}  # rows with no answer that can be found, and one of theirs
        self.odd: list[Problem] = []

    def of(self, row: int, context: Any, cell: Any) -> list[Answer] | None:
        """The answers of one row: none where nothing stands in the cell; None where that is so in every row."""
        if is_missing(cell):
            self.none.append(row)
            return None if self.unlabelled else []
        given = _given(cell)
        if given is None:
            fix = 'Write {"text": ["..."], "answer_start": [0]}, or a list of {"text", "answer_start"}.'
            self.odd.append(Problem(self.table.place(row), "answers in another form", shown(cell), fix))
            return []
        found, gone = [], []
        for text, start in given:
            place = _place(str(context), text, start)
            if place is None:
                gone.append(text)
                continue
            # a text without a start was never in a wrong place
            self.moved += [row] if start is not None and place["start"] != start else []
            found.append(place)
        if gone and not found:
            self.lost[row] = gone[0]
        elif gone:
            self.dropped.append(row)
        return found

    def findings(self) -> list[Finding]:
        """What was mended and left out; raises where too much would be."""
        problems = listed(self.odd) if self.odd else ()
        if len(self.lost) > max(1, FEW * len(self.table)):
            what, fix = (
                "the answer does not stand in its context",
                "Write it as it stands there, letter by letter.",
            )
            every = [
                Problem(self.table.place(row), what, shown(text), fix) for row, text in self.lost.items()
            ]
            problems += listed(every)
        if problems:
            raise DataError(*problems)
        gone = "that does not stand in the context, left out"
        told = [
            (
                self.moved,
                "answer",
                "answer_start",
                "found elsewhere than its start says, put to the nearest place",
            ),
            (self.dropped, "row", "answers", f"with one of several answers {gone}"),
            (list(self.lost), "row", "answers", f"with an answer {gone}"),
            (
                [] if self.unlabelled else self.none,
                "row",
                "answers",
                "with nothing in place of an answer: questions without one",
            ),
        ]
        found = []
        for rows, noun, check, say in told:
            if rows:
                sentence = f"{count(len(rows), noun)} of {self.table.name} {say}."
                where = tuple(self.table.place(row) for row in dict.fromkeys(rows))
                found.append(Finding(check, "warning", sentence, where[:SHOWN]))
        return found


def _given(cell: Any) -> list[tuple[str, int | None]] | None:
    """(text, start) of each answer that is not empty, start None where none is given; None for other forms."""
    held = decoded(cell)
    if isinstance(held, str):
        held = [held]
    if isinstance(held, list):
        held = [{"text": each} if isinstance(each, str) else each for each in held]
    if isinstance(held, Mapping):
        texts = held.get("text", None)
        starts = held.get("answer_start", held.get("start", None))
        if isinstance(texts, str):
            texts, starts = (
                [texts],
                None if starts is None else starts if isinstance(starts, list) else [starts],
            )
        if not isinstance(texts, list) or (starts is not None and len(texts) != len(starts)):
            return None
        pairs = list(zip(texts, starts if starts is not None else [None] * len(texts), strict=True))
    elif isinstance(held, list) and all(isinstance(each, Mapping) for each in held):
        pairs = [(each.get("text"), each.get("answer_start", each.get("start"))) for each in held]
    else:
        return None
    whole = [(text, _whole(start)) for text, start in pairs]
    if not all(isinstance(text, str) and (start is None or isinstance(start, int)) for text, start in whole):
        return None
    return [(text, start) for text, start in whole if text.strip()]


def _whole(start: Any) -> Any:
    """72.0 as 72: a table with an empty cell in the column makes all of it fractions."""
    return int(start) if isinstance(start, float) and start.is_integer() else start


def _place(context: str, text: str, start: int | None) -> Answer | None:
    """The answer where it stands, nearest to `start`; None where it does not."""
    if start is not None and context.startswith(text, max(start, 0)):
        return {"text": text, "start": max(start, 0)}
    for each in dict.fromkeys((text, text.strip())):
        places, at = [], context.find(each)
        while at >= 0:
            places.append(at)
            at = context.find(each, at + 1)
        if places:
            return {"text": each, "start": min(places, key=lambda place: abs(place - (start or 0)))}
    return None
