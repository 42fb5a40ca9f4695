"""The special tokens around a text or a pair of texts, read off a tokenizer's own template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class PairFrame:
    """What stands before, between and after two texts, and the token types of the parts."""

    prefix: np.ndarray
    middle: np.ndarray
    suffix: np.ndarray
    kinds: tuple[int, int, int, int, int]  # of prefix, first text, middle, second text, suffix

    @property
    def size(self) -> int:
        """How many special tokens there are."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def around(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sequence of two texts and its token types, both int32."""
        parts = (self.prefix, first, self.middle, second, self.suffix)
        kinds = np.repeat(np.asarray(self.kinds, np.int32), [len(part) for part in parts])
        return np.concatenate(parts), kinds


def single(tokenizer: Any) -> tuple[np.ndarray, np.ndarray]:
    """The special tokens before and after one text."""
    inner = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    begin = _find(framed, inner, 0)
    return _ids(framed[:begin]), _ids(framed[begin + len(inner) :])


def pair(tokenizer: Any) -> PairFrame:
    """The special tokens around two texts; token types are 0 where the tokenizer has none."""
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "b"))
    encoded = tokenizer("a", "b", return_token_type_ids=True)
    framed, kinds = encoded["input_ids"], list(encoded.get("token_type_ids") or [0] * 99)
    a = _find(framed, first, 0)
    b = _find(framed, second, a + len(first))
    after = b + len(second)
    middle = framed[a + len(first) : b]
    places = (0, a, a + len(first), b, min(after, len(framed) - 1))
    return PairFrame(
        _ids(framed[:a]),
        _ids(middle if middle else _separator(tokenizer)),
        _ids(framed[after:]),
        tuple(int(kinds[place]) for place in places),  # type: ignore[arg-type]
    )


def _separator(tokenizer: Any) -> list[int]:
    """Something between two texts for a tokenizer whose template puts nothing there (GPT-2, Llama)."""
    if tokenizer.eos_token_id is not None:
        return [tokenizer.eos_token_id]
    return list(tokenizer("\n", add_special_tokens=False)["input_ids"])


def _find(framed: list[int], inner: list[int], start: int) -> int:
    return next(i for i in range(start, len(framed) + 1) if framed[i : i + len(inner)] == inner)


def _ids(ids: list[int]) -> np.ndarray:
    return np.asarray(ids, np.int32)
