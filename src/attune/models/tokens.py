"""Texts as token ids: cut, kept at both ends, or read through windows, and counted either way."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attune.models import frames
from attune.models.growing import Growing
from attune.models.stream import Stream, ranges
from attune.recipe import ModelSection

CHUNK = 8192  # texts tokenized in one call: bounds the memory that their offsets take
MEMORY = 1 << 25  # bytes of tokens that are held in memory; what is more lies in a file


@dataclass(frozen=True)
class Sequences:
    """Token sequences end to end, with the row each came from; F sequences, N rows."""

    tokens: np.ndarray  # [sum of lengths] int32, mapped from a file where they are many
    offsets: np.ndarray  # [F + 1] int64
    rows: np.ndarray  # [F] int32, ascending
    whole: np.ndarray  # [N] int32: tokens each row has uncut, special tokens included
    kept: np.ndarray  # [N] int32: tokens of it that are read at least once
    unknown: int  # tokens that the vocabulary does not have
    kinds: np.ndarray | None = None  # [sum of lengths] int32 token types, where there are second texts

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def stream(self, chosen: np.ndarray) -> Stream:
        """The chosen sequences as one stream, in this order."""
        lengths = self.sizes(chosen)
        places = ranges(self.offsets[chosen], lengths)
        kinds = None if self.kinds is None else self.kinds[places]
        return Stream.joined(self.tokens[places], kinds, lengths)

    @property
    def lengths(self) -> np.ndarray:
        """[F] tokens of each sequence."""
        return np.diff(self.offsets)

    def sizes(self, chosen: np.ndarray) -> np.ndarray:
        """Tokens of each of the chosen sequences; what it takes does not grow with the others."""
        return np.asarray(self.offsets[chosen + 1] - self.offsets[chosen])

    @property
    def cut_rows(self) -> float:
        """Share of the rows of which something is not read."""
        return float((self.kept < self.whole).mean()) if len(self.whole) else 0.0

    @property
    def cut_tokens(self) -> float:
        """Share of the tokens that are not read."""
        total = int(self.whole.sum())
        return float((self.whole - self.kept).sum() / total) if total else 0.0


class TextEncoder:
    """Turns texts, or pairs of texts, into sequences of at most `max_tokens` tokens."""

    def __init__(
        self, tokenizer: Any, *, max_tokens: int, long_texts: str = "truncate", overlap: float = 0.25
    ) -> None:
        self.tokenizer = tokenizer
        self.long_texts = long_texts
        self.overlap = overlap
        self.max_tokens = max_tokens
        self.prefix, self.suffix = frames.single(tokenizer)
        # without special tokens an empty text would have no token at all
        framed = len(self.prefix) + len(self.suffix) > 0
        self._nothing = [] if framed else [tokenizer.eos_token_id or tokenizer.pad_token_id or 0]
        self.room = max_tokens - len(self.prefix) - len(self.suffix)
        assert self.room > 0, "max_tokens leaves no room for the text"

    @staticmethod
    def of(tokenizer: Any, knobs: ModelSection) -> TextEncoder:
        """The encoder of a resolved recipe."""
        assert isinstance(knobs.max_tokens, int), "max_tokens is decided before anything is encoded"
        return TextEncoder(
            tokenizer, max_tokens=knobs.max_tokens, long_texts=knobs.long_texts, overlap=knobs.overlap
        )

    @cached_property
    def pair(self) -> frames.PairFrame:
        """What stands around two texts."""
        return frames.pair(self.tokenizer)

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Sequences:
        """The sequences of these texts (with their second texts, where given), row by row."""
        made = self._single(texts) if pairs is None else self._paired(texts, pairs)
        return collected(made, unknown=self.tokenizer.unk_token_id)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Characters (begin, end) of each token of the whole text, without special tokens."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [(int(begin), int(end)) for begin, end in encoded["offset_mapping"]]

    def ids(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """The token ids of each text, uncut and without special tokens."""
        for first in range(0, len(texts), CHUNK):
            encoded = self.tokenizer(
                list(texts[first : first + CHUNK]),
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            for ids in encoded["input_ids"]:
                yield np.asarray(ids or self._nothing, dtype=np.int32)

    def with_offsets(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As `ids`, with the characters (begin, end) of each token, [n, 2]."""
        for first in range(0, len(texts), CHUNK):
            encoded = self.tokenizer(
                list(texts[first : first + CHUNK]),
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                return_offsets_mapping=True,
                verbose=False,
            )
            for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
                places = offsets if ids else [(0, 0)] * len(self._nothing)
                yield np.asarray(ids or self._nothing, np.int32), np.asarray(places, np.int64).reshape(-1, 2)

    def parts(self, length: int, room: int, *, overlap: float = 0.0) -> Iterator[np.ndarray]:
        """The places [n <= room] that each sequence reads of a text of `length` tokens.

        Windows repeat at least the share `overlap` of the one before.
        """
        places = np.arange(length)
        if length <= room:
            yield places
        elif self.long_texts == "truncate":
            yield places[:room]
        elif self.long_texts == "head_tail":
            head = (room + 1) // 2
            yield np.concatenate([places[:head], places[length - (room - head) :]])
        else:
            step = max(1, room - int(room * max(self.overlap, overlap)))
            for begin in range(0, length - room + step, step):
                # the last window is moved back to be full: no sequence of three stray words
                begin = min(begin, length - room)
                yield places[begin : begin + room]

    def rooms(self, first: int, second: int) -> tuple[int, int]:
        """How many tokens of two texts of so many tokens stand in one sequence."""
        room = self.max_tokens - self.pair.size
        assert room > 1, "max_tokens leaves no room for two texts"
        # the longer text gives way; read by windows, the second one keeps at least half of the room
        for_first = min(first, max(room // 2, room - second))
        return for_first, room - for_first

    def _single(self, texts: Sequence[str]) -> Iterator[Encoded]:
        for ids in self.ids(texts):
            parts = self.parts(len(ids), self.room)
            pieces = [np.concatenate([self.prefix, ids[part], self.suffix]) for part in parts]
            kept = len(ids) if self.long_texts == "windows" else min(len(ids), self.room)
            yield Encoded(pieces, len(ids), kept, len(self.prefix) + len(self.suffix))

    def _paired(self, texts: Sequence[str], pairs: Sequence[str]) -> Iterator[Encoded]:
        for a, b in zip(self.ids(texts), self.ids(pairs), strict=True):
            for_a, for_b = self.rooms(len(a), len(b))
            first = a[next(self.parts(len(a), for_a))]
            made = [self.pair.around(first, b[part]) for part in self.parts(len(b), for_b)]
            kept = len(first) + (len(b) if self.long_texts == "windows" else min(len(b), for_b))
            pieces, kinds = [tokens for tokens, _ in made], [kinds for _, kinds in made]
            yield Encoded(pieces, len(a) + len(b), kept, self.pair.size, kinds)


def least(tokenizer: Any, *, pair: bool) -> int:
    """The fewest tokens of a sequence in which a text, or each of two, has one of its own."""
    if pair:
        return frames.pair(tokenizer).size + 2
    return sum(map(len, frames.single(tokenizer))) + 1


@dataclass(frozen=True)
class Encoded:
    """The sequences that one row became."""

    pieces: list[np.ndarray]
    length: int  # tokens of the uncut row, without special ones
    kept: int  # of them, read at least once
    frame: int  # special tokens
    kinds: list[np.ndarray] | None = None


def collected(rows: Iterable[Encoded], *, unknown: int | None) -> Sequences:
    """The sequences of all rows end to end; rows are taken one by one, and only their tokens stay."""
    folder = Path(tempfile.gettempdir())
    tokens, kinds = (Growing(folder, dtype=np.int32, memory=MEMORY) for _ in range(2))
    lengths, sizes, whole, kept = (array("i") for _ in range(4))
    strange, told = 0, False
    for row in rows:
        for piece in row.pieces:
            tokens.add(piece)
            lengths.append(len(piece))
            strange += int(np.count_nonzero(piece == unknown))
        for kind in row.kinds or ():
            kinds.add(kind)
            told = told or bool(kind.any())
        sizes.append(len(row.pieces))
        whole.append(row.length + row.frame)
        kept.append(row.kept + row.frame)
    return Sequences(
        tokens.whole(),
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        np.repeat(np.arange(len(sizes), dtype=np.int32), np.asarray(sizes, np.int32)),
        np.asarray(whole, np.int32),
        np.asarray(kept, np.int32),
        strange,
        kinds.whole() if told else None,
    )
