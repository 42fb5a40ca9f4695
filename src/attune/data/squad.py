"""SQuAD's nested JSON, versions 1 and 2, as rows: one question each (Rajpurkar et al. 2016, 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attune.data.problems import listed, shown
from attune.data.table import Content
from attune.errors import DataError, Problem

COLUMNS = ("id", "title", "context", "question", "answers")


def recognised(value: Any) -> bool:
    """True for an object whose `data` are articles with paragraphs."""
    data = value.get("data") if isinstance(value, dict) else None
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "paragraphs" in data[0]


def content(value: dict[str, Any], name: str) -> Content:
    """A row for each question, numbered through the file; a question without answer has an empty list.

    Raises:
        DataError: for questions without the keys they need, by the number of the question.
    """
    cells: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    problems: list[Problem] = []
    number = 0
    for number, (title, context, question) in enumerate(_questions(value["data"]), 1):
        asked = question.get("question") if isinstance(question, dict) else None
        answers = question.get("answers", []) if isinstance(question, dict) else None
        if question.get("is_impossible") if isinstance(question, dict) else False:
            answers = []
        if not isinstance(context, str) or not isinstance(asked, str) or not isinstance(answers, list):
            fix = "Each question needs `question` and `answers`, each paragraph `context` and `qas`."
            problems.append(Problem(f"{name}:{number}", "not a question of SQuAD", shown(question), fix))
            continue
        held = (str(question.get("id", number)), title, context, asked, answers)
        for column, cell in zip(COLUMNS, held, strict=True):
            cells[column].append(cell)
    if problems:
        raise DataError(*listed(problems))
    if not number:
        raise DataError(Problem(name, "holds no questions", fix="Add paragraphs with `qas` to `data`."))
    if not any(cells["title"]):
        del cells["title"]  # without titles a context is an article of its own
    elif not all(cells["title"]):
        cells["title"] = [t or c for t, c in zip(cells["title"], cells["context"], strict=True)]
    notes = (f"{name} is in the format of SQuAD; its rows are numbered by question.",)
    return Content(tuple(cells), cells, list(range(1, number + 1)), notes)


def _questions(articles: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """(title of the article, context, question) throughout."""
    for article in articles:
        for paragraph in article.get("paragraphs", []) if isinstance(article, dict) else []:
            held = paragraph if isinstance(paragraph, dict) else {}
            for question in held.get("qas", []):
                yield str(article.get("title", "")), held.get("context"), question
