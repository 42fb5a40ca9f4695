"""Baselines by the words that two texts share: no training, and hard to beat by a small model."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from attune.data.table import Table

WORD = re.compile(r"\w+")
BUCKETS = 4096  # into which words are hashed
SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")


def qa(task: Any, tables: dict[str, Table], gold: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The sentence of the context with most of the question's words; and, where that may be right, no answer."""
    rows = tables["test"]
    pairs = zip(rows.column("text"), rows.column("pair"), strict=True)
    yield "overlap", task.certain([_sentence(question, context) for question, context in pairs])
    if task.unanswerable:
        yield "no_answer", task.certain([[] for _ in range(len(rows))])


def similarity(task: Any, tables: dict[str, Table], gold: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The words that two texts have in common, those that are rare in train weighing more."""
    weights = _rarity(tables["train"])
    rows = tables["test"]
    vectors = [np.stack([_bag(text, weights) for text in rows.column(role)]) for role in ("text", "pair")]
    yield "token_overlap", task.by_vectors(*vectors)


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
    texts = chain(train.column("text"), train.column("pair"))
    seen = Counter(word for text in texts for word in {word.lower() for word in WORD.findall(text)})
    return {word: float(np.log(2 * len(train) / count) + 1) for word, count in seen.items()}


def _bag(text: str, weights: dict[str, float]) -> np.ndarray:
    """A unit vector [BUCKETS] of the words of a text."""
    found = np.zeros(BUCKETS, np.float32)
    rare = max(weights.values(), default=1.0)
    for word in WORD.findall(text):
        found[zlib.crc32(word.lower().encode()) % BUCKETS] += weights.get(word.lower(), rare)
    return np.asarray(found / max(float(np.linalg.norm(found)), 1e-12))
