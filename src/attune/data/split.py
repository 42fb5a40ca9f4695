"""Splits without leaks: near-identical texts stand on one side, labels keep their shares, a seed decides.

Near-identical means a Jaccard similarity of word pairs of at least 0.8, found by MinHash (Broder 1997) and
checked before it counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

SIMILAR = 0.8
HASHES, BANDS = 32, 8  # 8 bands of 4: a pair of similarity 0.8 is seen with probability 0.985
FEWEST_WORDS = 4  # shorter texts are alike only when they are the same
PRIME = np.uint64((1 << 61) - 1)


def normalised(text: str) -> str:
    """The words of a text without case, punctuation and width of characters."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def group_near_duplicates(texts: Sequence[str]) -> np.ndarray:
    """A group for each text, [N] int64; identical and near-identical texts share one.

    Texts without a single word are alike only when they are the same characters.
    """
    keys: dict[str, int] = {}
    words = [normalised(text) for text in texts]
    first = np.asarray([keys.setdefault(w or f"\0{t}", len(keys)) for w, t in zip(words, texts, strict=True)], np.int64)
    parents = list(range(len(keys)))
    shingled = [(key, _shingles(text)) for text, key in keys.items() if len(text.split()) >= FEWEST_WORDS]
    for a, b in _candidates(shingled):
        one, other = shingled[a][1], shingled[b][1]
        if len(one & other) >= SIMILAR * len(one | other):
            _join(parents, shingled[a][0], shingled[b][0])
    roots = np.asarray([_root(parents, key) for key in range(len(keys))], np.int64)
    return roots[first] if len(first) else first


def _shingles(text: str) -> frozenset[int]:
    """Hashes of the word pairs; stable across processes, unlike `hash`."""
    words = text.split()
    return frozenset(_stable(f"{a} {b}") for a, b in zip(words, words[1:], strict=False))


def _stable(text: str) -> int:
    value = 14695981039346656037  # FNV-1a
    for byte in text.encode():
        value = ((value ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return value


def _candidates(shingled: Sequence[tuple[int, frozenset[int]]]) -> Iterable[tuple[int, int]]:
    """Pairs whose MinHash agrees in a whole band; each text is paired with the first of its bucket."""
    if not shingled:
        return
    random = np.random.default_rng(0)
    factors = random.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
    sizes = [len(shingles) for _, shingles in shingled]
    flat = np.fromiter((value for _, shingles in shingled for value in shingles), np.uint64, sum(sizes))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    signature = np.stack(
        # the high bits of a product are the well mixed ones
        [np.minimum.reduceat((flat * factor) >> np.uint64(11), starts) for factor in factors], axis=1
    )
    seen: set[tuple[int, int]] = set()
    for band in np.split(signature, BANDS, axis=1):
        buckets: dict[bytes, int] = {}
        for place, row in enumerate(np.ascontiguousarray(band)):
            head = buckets.setdefault(row.tobytes(), place)
            if head != place and (head, place) not in seen:
                seen.add((head, place))
                yield head, place


def _root(parents: list[int], key: int) -> int:
    while parents[key] != key:
        parents[key] = parents[parents[key]]
        key = parents[key]
    return key


def _join(parents: list[int], a: int, b: int) -> None:
    low, high = sorted((_root(parents, a), _root(parents, b)))
    parents[high] = low


def split(
    groups: np.ndarray, labels: Sequence[str], shares: Mapping[str, float], *, seed: int
) -> dict[str, np.ndarray]:
    """The rows of each split, sorted; a group is never cut.

    Args:
        groups: [N] group of each row.
        labels: [N] label of each row; a group goes by its most frequent label.
        shares: share of the rows for each split, adding up to 1.
        seed: the same seed makes the same split.
    """
    random = np.random.default_rng(seed)
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        rows_of[group].append(row)
    by_label: dict[str, list[list[int]]] = defaultdict(list)
    for rows in rows_of.values():
        held = [labels[row] for row in rows]
        by_label[max(sorted(set(held)), key=held.count)].append(rows)
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for label in sorted(by_label):
        members = by_label[label]
        shuffled = [members[i] for i in random.permutation(len(members))]
        for name, rows in _dealt(shuffled, shares):
            parts[name].extend(rows)
    return {name: np.asarray(sorted(rows), np.int64) for name, rows in parts.items()}


def _dealt(members: list[list[int]], shares: Mapping[str, float]) -> Iterable[tuple[str, list[int]]]:
    """Deals the groups of one label, each to the split that lacks most; large groups first, to the largest."""
    total = sum(len(rows) for rows in members)
    lacking = {name: share * total for name, share in shares.items()}
    waiting = list(shares)  # every split gets one group of the label before shares decide, if there are enough
    enough = len(members) >= len(shares)
    for rows in sorted(members, key=len, reverse=True):
        choice = max(waiting if enough and waiting else lacking, key=lambda name: lacking[name])
        lacking[choice] -= len(rows)
        if choice in waiting:
            waiting.remove(choice)
        yield choice, rows
