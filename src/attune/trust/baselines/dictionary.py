"""Baselines for tags: what each word, or each run of words, was tagged as in the training rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from attune.data.table import Table
from attune.metrics import spans

OUTSIDE = "O"


def tagging(task: Any, tables: dict[str, Table], gold: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Entities by longest match of those that train has; tags by the word's most frequent one."""
    train, test = _words(tables["train"]), _words(tables["test"])
    if task.entities:
        known = _entities(train, gold["train"])
        yield "dictionary", task.certain([_matched(words, known) for words in test])
        return
    often = _tags(train, gold["train"])
    overall = Counter(tag for tags in gold["train"] for tag in tags).most_common(1)[0][0]
    yield "frequent_tag", task.certain([[often.get(word, overall) for word in words] for words in test])


def _words(table: Table) -> list[list[str]]:
    return [
        [text[begin:end].lower() for begin, end in words]
        for text, words in zip(table.column("text"), table.column("words"), strict=True)
    ]


def _tags(rows: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in zip(rows, gold, strict=True):
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag] += 1
    return {word: found.most_common(1)[0][0] for word, found in counts.items()}


def _entities(rows: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> dict[tuple[str, ...], str]:
    """The commonest type of each run of words that is an entity in at least half of its occurrences as a run.

    Counting the occurrences keeps words such as "may" out, which are a name once and a verb often.
    """
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for words, tags in zip(rows, gold, strict=True):
        for kind, first, last in spans.entities(tags):
            counts[tuple(words[first : last + 1])][kind] += 1
    longest = max(map(len, counts), default=0)
    seen: Counter[tuple[str, ...]] = Counter()
    for words in rows:
        for size in range(1, longest + 1):
            for first in range(len(words) - size + 1):
                if (run := tuple(words[first : first + size])) in counts:
                    seen[run] += 1
    return {
        run: found.most_common(1)[0][0] for run, found in counts.items() if 2 * found.total() >= seen[run]
    }


def _matched(words: Sequence[str], known: dict[tuple[str, ...], str]) -> list[str]:
    longest = max(map(len, known), default=0)
    tags, place = [OUTSIDE] * len(words), 0
    while place < len(words):
        for size in range(min(longest, len(words) - place), 0, -1):
            kind = known.get(tuple(words[place : place + size]))
            if kind is not None:
                tags[place : place + size] = [f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
                place += size - 1
                break
        place += 1
    return tags
