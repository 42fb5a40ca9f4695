"""Texts that say the same, found in near-linear time.

Identical are texts with the same letters and digits, whatever their case, width, blanks and punctuation.
Near-identical are texts whose sets of 5-letter pieces have a Jaccard similarity of at least 0.85. Candidates
come from MinHash signatures in bands (Broder 1997; Indyk and Motwani 1998); each is then verified exactly.
"""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from attune.data.stored import Writer, scratch_array

SIMILAR = 0.85
PIECE = 5  # characters of a shingle
FEWEST_WORDS = 4  # a text with fewer words has a near-identical one only if it is long, as in Chinese
LONG = 40  # characters
BANDS, BAND = 12, 5  # sees a pair of similarity 0.85 with probability 0.999, one of 0.5 with 0.32
LIKELY = 0.62  # agreement of two signatures below which 0.85 is out of question (five standard deviations)
CROWD = 40  # members of a bucket up to which all pairs are looked at
CROWDED = 1 << 15  # members of crowds that are searched a second time; each costs 8 KB
CHUNK = 1 << 18  # characters hashed at a time, so that they stay in the cache
KIN = 1 << 10  # texts whose pieces are held while they are compared
PAIRS = 1 << 14  # pairs whose signatures are compared at a time


class _Plain(dict[int, str | None]):
    """For `str.translate`: what each character counts for, found out when it is first seen."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        kind = unicodedata.category(char)
        written = kind[0] in "LN" or char == "_" or (kind[0] == "M" and char not in STYLES)
        self[code] = char if written else None if kind == "Cf" or char in STYLES else " "
        return self[code]


STYLES = "\ufe0e\ufe0f"  # a sign shown as text or as a picture
PLAIN = _Plain()


def normalised(text: str) -> str:
    """The letters, vowel signs and digits of a text, folded, single blanks between; empty where it has none."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().translate(PLAIN).split())


def letters(text: str) -> str:
    """What two texts that are the same share: what is written, or of texts of signs only the signs."""
    return normalised(text) or "\0" + "".join(text.split())


def group_near_duplicates(texts: Iterable[str]) -> np.ndarray:
    """A group for each text, [N] int64, numbered by first appearance; texts that say the same share one.

    Texts of signs only (`:)`) are the same only when they are the same signs; empty ones are all the same.
    """
    held, long, digests = Writer(), array("q"), array("Q")
    for row, key in enumerate(map(letters, texts)):
        held.append(key)
        digests.append(_digest(key))
        if key.count(" ") >= FEWEST_WORDS - 1 or len(key) >= LONG:
            long.append(row)
    first, rows = _firsts(np.frombuffer(digests, np.uint64))
    # of the texts that are the same the first stands for all
    names = np.intersect1d(rows, np.frombuffer(long, np.int64), assume_unique=True)
    parents = array("q", range(len(rows)))
    if len(names) > 1:
        places = array("q", np.searchsorted(rows, names).tobytes())
        for one, other in _similar(held.whole().take(names), parents, places):
            _join(parents, one, other)
    roots = np.fromiter((_root(parents, i) for i in range(len(parents))), np.int64, len(parents))
    return renumbered(roots[first]) if len(first) else first


def numbered(names: Iterable[str]) -> np.ndarray:
    """A number for each name, [N] int64, the same for the same, by first appearance; names are not kept."""
    return _firsts(np.frombuffer(array("Q", map(_digest, names)), np.uint64))[0]


def _digest(name: str) -> int:
    """64 bits of a name; of ten million different ones two share theirs with a probability of three in a million."""
    raw = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little")


def _firsts(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the number of each [N] by first appearance, where each number appears first [M] ascending)."""
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first))
    return rank[inverse], first[order]


def tied_together(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N] the groups of rows that share a group in either of two groupings [N], directly or through others."""
    parents = array("q", range(int(other.max(initial=-1)) + 1))
    first: dict[int, int] = {}
    for mine, theirs in zip(one.tolist(), other.tolist(), strict=True):
        _join(parents, first.setdefault(mine, theirs), theirs)
    roots = np.fromiter((_root(parents, group) for group in other.tolist()), np.int64, len(other))
    return renumbered(roots) if len(roots) else roots


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes of the pieces of all texts end to end [P] uint64, where each text begins [N + 1])."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    pieces = len(codes) - PIECE + 1
    hashes = np.zeros(pieces, np.uint64)
    for place in range(PIECE):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[place : place + pieces]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # the finish of splitmix64
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)
    ends = np.cumsum(lengths)
    crossing = (ends[:-1, None] - np.arange(1, PIECE)).ravel()  # pieces that reach into the next text
    kept = np.ones(pieces, bool)
    kept[crossing[crossing < pieces]] = False
    return hashes[kept], np.concatenate([[0], np.cumsum(lengths - PIECE + 1)])


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """The last 8 bits of each text's MinHash, [N, BANDS * BAND]; pieces are in memory for a few texts at a time."""
    random = np.random.default_rng(0)
    factors = random.integers(0, 2**32, BANDS * BAND, dtype=np.uint32) | np.uint32(1)
    offsets = random.integers(0, 2**32, BANDS * BAND, dtype=np.uint32)
    found = scratch_array((len(texts), BANDS * BAND), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    begin = 0
    while begin < len(texts):
        past = CHUNK + (ends[begin - 1] if begin else 0)
        end = max(begin + 1, int(np.searchsorted(ends, past, side="right")))
        hashes, starts = _shingles(texts[begin:end])
        low = (hashes >> np.uint64(32)).astype(np.uint32)
        for index, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            least = np.minimum.reduceat(low * factor + offset, starts[:-1])
            found[begin:end, index] = least.astype(np.uint8)
        begin = end
    return found


def _candidates(signatures: np.ndarray) -> np.ndarray:
    """Pairs of texts whose signatures agree in a whole band and look similar, [M, 2], each once, sorted."""
    n, found = len(signatures), np.empty(0, np.int64)
    for band in range(BANDS):
        pairs = _of_band(signatures, band)
        likely = np.empty(len(pairs), bool)
        for begin in range(0, len(pairs), PAIRS):
            part = slice(begin, begin + PAIRS)
            one, other = signatures[pairs[part] // n], signatures[pairs[part] % n]
            likely[part] = (one == other).mean(axis=1) >= LIKELY
        found = _once(np.concatenate([found, pairs[likely]]))
    return np.stack([found // n, found % n], axis=1)


def _of_band(signatures: np.ndarray, band: int) -> np.ndarray:
    """The pairs that agree in one band, as one number each, [P]."""
    n, found, left = len(signatures), [np.empty(0, np.int64)], CROWDED
    keys = _hashed(np.zeros(n, np.uint64), signatures, band)
    for members in _buckets(keys):
        found.append(_pairs(members, n))
        if members.shape[1] > CROWD and members.size <= left:
            crowd, left = members.ravel(), left - members.size
            for further in range(band + 1, BANDS):
                # as rows made from one template: those alike in another band, too
                both = _hashed(keys[crowd], signatures[crowd], further)
                found += [_pairs(crowd[inner], n) for inner in _buckets(both)]
    return _once(np.concatenate(found))


def _once(numbers: np.ndarray) -> np.ndarray:
    """The different numbers, sorted; `np.unique` hashes them, which takes ten times as long here."""
    held = np.sort(numbers)
    return held[np.append(True, held[1:] != held[:-1])] if len(held) else held


def _hashed(keys: np.ndarray, signatures: np.ndarray, band: int) -> np.ndarray:
    """[N] the keys [N] with one band of the signatures stirred in."""
    for column in signatures[:, band * BAND : (band + 1) * BAND].T:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def _buckets(keys: np.ndarray) -> Iterator[np.ndarray]:
    """The places of equal keys, [M, size] for each size above one."""
    order = np.argsort(keys, kind="stable")
    bounds = np.flatnonzero(np.diff(keys[order])) + 1
    begins, ends = np.concatenate([[0], bounds]), np.concatenate([bounds, [len(keys)]])
    sizes = ends - begins
    for size in np.unique(sizes[sizes > 1]).tolist():
        yield order[begins[sizes == size][:, None] + np.arange(size)]


def _pairs(members: np.ndarray, n: int) -> np.ndarray:
    """The pairs of buckets of one size [M, size], as one number each; of crowds, each with the first and the next."""
    size = members.shape[1]
    if size <= CROWD:
        one, other = np.triu_indices(size, 1)
    else:
        places = np.arange(1, size)
        one, other = np.concatenate([0 * places, places - 1]), np.concatenate([places, places])
    pairs: np.ndarray = members[:, one] * n + members[:, other]
    return pairs.ravel()


def _similar(texts: Sequence[str], parents: array[int], names: array[int]) -> Iterator[tuple[int, int]]:
    """The pairs, by name, whose true similarity is at least SIMILAR and that are not joined yet."""
    held: dict[int, set[str]] = {}
    last, of_one = -1, set[str]()
    for one, other, few in _by_kin(_candidates(_signatures(texts)), len(texts)):
        if _root(parents, names[one]) == _root(parents, names[other]):
            continue
        if one != last:
            last, of_one = one, held.get(one) or _pieces(texts[one])
        of_other = held.get(other) or _pieces(texts[other])
        if few:
            if len(held) > KIN:
                held.clear()
            held[other] = of_other
        shared = len(of_one & of_other)
        if shared >= SIMILAR * (len(of_one) + len(of_other) - shared):
            yield names[one], names[other]


def _by_kin(pairs: np.ndarray, n: int) -> Iterator[tuple[int, int, bool]]:
    """The pairs [M, 2] of `n` texts, those of one kin together, and whether all pieces of that kin can be held.

    A text is compared with several of its kin, which are alike directly or through others.
    """
    kin = array("q", range(n))
    for begin in range(0, len(pairs), PAIRS):
        for one, other in pairs[begin : begin + PAIRS].tolist():
            _join(kin, one, other)
    roots = np.fromiter((_root(kin, text) for text in range(n)), np.int64, n)
    sizes = np.bincount(roots, minlength=n)
    of_pair = roots[pairs[:, 0]]
    order = np.argsort(of_pair, kind="stable")
    for begin in range(0, len(pairs), PAIRS):
        part = order[begin : begin + PAIRS]
        few = sizes[of_pair[part]] <= KIN
        yield from (
            (one, other, small)
            for (one, other), small in zip(pairs[part].tolist(), few.tolist(), strict=True)
        )


def _pieces(text: str) -> set[str]:
    return {text[place : place + PIECE] for place in range(len(text) - PIECE + 1)}


def _root(parents: array[int], key: int) -> int:
    while parents[key] != key:
        parents[key] = parents[parents[key]]
        key = parents[key]
    return key


def _join(parents: array[int], one: int, other: int) -> None:
    low, high = sorted((_root(parents, one), _root(parents, other)))
    parents[high] = low


def renumbered(groups: np.ndarray) -> np.ndarray:
    """The same groups, numbered 0, 1, ... by first appearance."""
    return _firsts(groups)[0]
