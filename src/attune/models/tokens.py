"""Texts as token ids: cut, kept at both ends, or read through windows, and counted either way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attune.recipe import ModelSection

CHUNK = 8192  # texts tokenized in one call: bounds the memory that their offsets take


@dataclass(frozen=True)
class Sequences:
    """Token sequences end to end, with the row each came from; F sequences, N rows."""

    tokens: np.ndarray  # [sum of lengths] int32
    offsets: np.ndarray  # [F + 1] int64
    rows: np.ndarray  # [F] int64, ascending
    whole: np.ndarray  # [N] int64: tokens each row has uncut, special tokens included
    kept: np.ndarray  # [N] int64: tokens of it that are read at least once
    unknown: int  # tokens that the vocabulary does not have

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """[F] tokens of each sequence."""
        return np.diff(self.offsets)

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
    """Turns texts into sequences of at most `max_tokens` tokens."""

    def __init__(
        self, tokenizer: Any, *, max_tokens: int, long_texts: str = "truncate", overlap: float = 0.25
    ) -> None:
        self.tokenizer = tokenizer
        self.long_texts = long_texts
        self.overlap = overlap
        self.prefix, self.suffix = _frame(tokenizer)
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

    def encode(self, texts: Sequence[str]) -> Sequences:
        """The sequences of these texts, row by row."""
        frame = len(self.prefix) + len(self.suffix)
        flat: list[np.ndarray] = []
        rows, whole, kept, unknown = [], [], [], 0
        for row, ids in enumerate(self._ids(texts)):
            whole.append(len(ids) + frame)
            kept.append(min(len(ids), len(ids) if self.long_texts == "windows" else self.room) + frame)
            unknown += int((ids == self.tokenizer.unk_token_id).sum())
            for piece in self._pieces(ids):
                flat.append(np.concatenate([self.prefix, piece, self.suffix]))
                rows.append(row)
        lengths = [len(piece) for piece in flat]
        return Sequences(
            np.concatenate(flat) if flat else np.zeros(0, np.int32),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.asarray(rows, np.int64),
            np.asarray(whole, np.int64),
            np.asarray(kept, np.int64),
            unknown,
        )

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Characters (begin, end) of each token of the whole text, without special tokens."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return [(int(begin), int(end)) for begin, end in encoded["offset_mapping"]]

    def _ids(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        for first in range(0, len(texts), CHUNK):
            chunk = list(texts[first : first + CHUNK])
            encoded = self.tokenizer(
                chunk,
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            for ids in encoded["input_ids"]:
                yield np.asarray(ids or self._nothing, dtype=np.int32)

    def _pieces(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        if len(ids) <= self.room:
            yield ids
        elif self.long_texts == "truncate":
            yield ids[: self.room]
        elif self.long_texts == "head_tail":
            head = (self.room + 1) // 2
            yield np.concatenate([ids[:head], ids[len(ids) - (self.room - head) :]])
        else:
            step = max(1, self.room - int(self.room * self.overlap))
            for begin in range(0, len(ids) - self.room + step, step):
                # the last window is moved back to be full: no sequence of three stray words
                begin = min(begin, len(ids) - self.room)
                yield ids[begin : begin + self.room]


def _frame(tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """The special tokens before and after a text, read off the tokenizer's own template."""
    inner = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    begin = next(i for i in range(len(framed) + 1) if framed[i : i + len(inner)] == inner)
    return np.asarray(framed[:begin], np.int32), np.asarray(framed[begin + len(inner) :], np.int32)
