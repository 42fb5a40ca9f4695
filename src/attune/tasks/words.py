"""What tagging needs to know of words: which token answers for one, and which tags may follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attune.data.problems import listed, shown
from attune.data.table import Table
from attune.errors import DataError, Problem
from attune.tasks.features import Batch

OUTSIDE = "O"


def are_entities(names: Iterable[str]) -> bool:
    """Whether these tags mark entities in IOB2, and nothing else."""
    names = set(names)
    marked = all(name == OUTSIDE or name.startswith(("B-", "I-")) for name in names)
    return marked and any(name.startswith("B-") for name in names)


def tagged(entities: Iterable[Mapping[str, Any]], words: Sequence[Sequence[int]]) -> list[str]:
    """The tags (IOB2) of words from the entities as answers tell them; words are their first and last characters."""
    tags = [OUTSIDE] * len(words)
    for entity in entities:
        inside = [n for n, (begin, _) in enumerate(words) if entity["start"] <= begin < entity["end"]]
        for n in inside:
            tags[n] = f"{'B' if n == inside[0] else 'I'}-{entity['type']}"
    return tags


def entities(rows: Table) -> list[list[str]]:
    """The tags of each row's words, where train has entities.

    Raises:
        DataError: for tags that mark none, as in a test file of another kind.
    """
    made = [list(row) for row in rows.column("label")]
    strange = [
        (row, tag)
        for row, tags in enumerate(made)
        for tag in tags
        if tag != OUTSIDE and tag[:2] not in ("B-", "I-")
    ]
    what, fix = "no tag of entities, which train has", "Write O, B-TYPE or I-TYPE, as in train."
    if problems := [Problem(rows.place(row), what, shown(tag), fix) for row, tag in strange]:
        raise DataError(*listed(problems))
    return made


def first_pieces(offsets: np.ndarray, words: Sequence[tuple[int, int]], text: str) -> list[int]:
    """The first token of each word: the first that begins in it, else the one that covers its beginning; or -1.

    Args:
        offsets: [n, 2] characters of each token; a tokenizer may count the blank before a word to it.
        words: the characters of each word.
        text: what both count in.
    """
    begins = [_past_blanks(text, int(begin), int(end)) for begin, end in offsets]
    found, token = [], 0
    for begin, end in words:
        while token < len(begins) and begins[token] < begin:
            token += 1
        if token < len(begins) and begins[token] < end:
            found.append(token)
        else:
            before = token - 1
            found.append(before if before >= 0 and offsets[before][1] > begin else -1)
    return found


def _past_blanks(text: str, begin: int, end: int) -> int:
    while begin < end and text[begin].isspace():
        begin += 1
    return begin


def allowed(labels: Sequence[str]) -> np.ndarray:
    """[C + 1, C] log of whether a tag may follow another (the last row: the beginning)."""
    steps = np.zeros((len(labels) + 1, len(labels)))
    for column, name in enumerate(labels):
        if name.startswith("I-"):
            follows = [other[:1] in "BI" and other[2:] == name[2:] for other in labels]
            steps[:, column] = np.where([*follows, False], 0.0, -np.inf)
    return steps


def best_path(scores: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[n] the best path through log scores [n, C]."""
    best = scores[0] + steps[-1]
    came = np.zeros(scores.shape, np.int64)
    for place in range(1, len(scores)):
        reached = best[:, None] + steps[:-1]
        came[place] = reached.argmax(0)
        best = reached.max(0) + scores[place]
    path = [int(best.argmax())]
    for place in range(len(scores) - 1, 0, -1):
        path.append(int(came[place, path[-1]]))
    return np.asarray(path[::-1])


def joined(words: Sequence[str]) -> list[tuple[int, int]]:
    """The characters of each word where single blanks part them."""
    places, begin = [], 0
    for word in words:
        places.append((begin, begin + len(word)))
        begin += len(word) + 1
    return places


def weights(where: np.ndarray, sizes: Sequence[int], *, known: np.ndarray | None) -> np.ndarray:
    """[U] a word that several windows ask for is shared between them; an unknown tag weighs nothing."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    flat = starts[where[:, 0]] + where[:, 1]
    shares = 1.0 / np.maximum(np.bincount(flat, minlength=int(starts[-1])), 1)[flat]
    return np.asarray(shares if known is None else shares * known)


def begins(batch: Batch) -> Tensor:
    """[B] whether a feature's first word is the first one of its row."""
    where, _ = batch.source.private
    offsets = batch.source.wanted_offsets
    firsts = [int(offsets[f]) if offsets[f] < offsets[f + 1] else -1 for f in batch.features]
    return torch.tensor([first >= 0 and int(where[first, 1]) == 0 for first in firsts])
