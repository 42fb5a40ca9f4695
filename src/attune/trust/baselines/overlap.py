"""Baselines by the words that two texts share: no training, and hard to beat by a small model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from attune.data.table import Table

WORD = re.compile(r"\w+")
SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")


def qa(task: Any, tables: dict[str, Table], gold: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The sentence of the context with most of the question's words; and, where that may be right, no answer."""
    rows = tables["test"]
    pairs = zip(rows.column("text"), rows.column("pair"), strict=True)
    yield "overlap", task.certain([_sentence(question, context) for question, context in pairs])
    if task.unanswerable:
        yield "no_answer", task.certain([[] for _ in range(len(rows))])


def similarity(task: Any, tables: dict[str, Table], gold: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The share of their words that two texts have in common, words weighed by how rare they are in train."""
    weights = _rarity(tables["train"])
    rows = tables["test"]
    yield "token_overlap", task.by_vectors(_bags(rows, weights))


def _sentence(question: str, context: str) -> list[dict[str, Any]]:
    asked = {word.lower() for word in WORD.findall(question)}
    best, most = None, -1
    for found in SENTENCE.finditer(context):
        shared = len(asked & {word.lower() for word in WORD.findall(found.group())})
        if shared > most:
            best, most = found, shared
    if best is None:
        return []
    text = best.group().strip()
    return [{"text": text, "start": best.start() + len(best.group()) - len(best.group().lstrip())}]


def _rarity(train: Table) -> dict[str, float]:
    texts = [*train.column("text"), *train.column("pair")]
    seen = Counter(word for text in texts for word in {word.lower() for word in WORD.findall(text)})
    return {word: float(np.log(len(texts) / count) + 1) for word, count in seen.items()}


def _bags(rows: Table, weights: dict[str, float]) -> dict[str, Any]:
    """A sparse unit vector [N, V] of each text by role: its words, the rare ones weighing more."""
    from scipy.sparse import csr_matrix

    places: dict[str, int] = {}
    rare = max(weights.values(), default=1.0)
    made = {}
    for role in ("text", "pair", "negative"):
        if role in rows.columns:
            made[role] = [Counter(word.lower() for word in WORD.findall(text)) for text in rows.column(role)]
            for bag in made[role]:
                for word in bag:
                    places.setdefault(word, len(places))
    found = {}
    for role, bags in made.items():
        cells = [
            (row, places[word], weights.get(word, rare) * n)
            for row, bag in enumerate(bags)
            for word, n in bag.items()
        ]
        row_of, column, value = (
            (np.asarray(part) for part in zip(*cells, strict=True)) if cells else ([], [], [])
        )
        matrix = csr_matrix((value, (row_of, column)), shape=(len(bags), max(1, len(places))))
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
        found[role] = csr_matrix(matrix.multiply(1.0 / np.maximum(norms, 1e-12)[:, None]))
    return found
