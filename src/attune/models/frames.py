"""The special tokens around a text or a pair of texts, read off a tokenizer's own template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import processors


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
    """The special tokens around two texts; token types are 0 where the tokenizer gives none."""
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "b"))
    encoded = tokenizer("a", "b")
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


def with_types(tokenizer: Any, wanted: bool) -> None:
    """Lets a tokenizer give token types to whoever calls it, or not: GPT-2 would add them as words."""
    names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    names += ["token_type_ids"] if wanted else []
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names


def part(tokenizer: Any) -> None:
    """Lets a tokenizer whose template puts nothing between two texts (GPT-2, Qwen) put the end of a text there."""
    inner, end = getattr(tokenizer, "backend_tokenizer", None), tokenizer.eos_token
    prefix, suffix = (ids.tolist() for ids in single(tokenizer))
    a, b = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a", "b"))
    if inner is None or end is None or tokenizer("a", "b")["input_ids"] != [*prefix, *a, *b, *suffix]:
        return
    before = inner.post_processor
    special = {
        tokenizer.convert_ids_to_tokens(token): token for token in (*prefix, *suffix, tokenizer.eos_token_id)
    }
    start, stop = (tokenizer.convert_ids_to_tokens(ids) for ids in (prefix, suffix))
    template = processors.TemplateProcessing(
        single=[*start, "$A", *stop],
        pair=[*start, "$A", end, "$B:0", *stop],
        special_tokens=list(special.items()),
    )
    framed = before is None or isinstance(before, processors.TemplateProcessing)
    inner.post_processor = template if framed else processors.Sequence([before, template])
    made = [tokenizer("a")["input_ids"], tokenizer("a", "b")["input_ids"]]
    if made != [[*prefix, *a, *suffix], [*prefix, *a, tokenizer.eos_token_id, *b, *suffix]]:
        inner.post_processor = before  # a template of another kind: attune parts the texts, others do not


def _separator(tokenizer: Any) -> list[int]:
    """Something between two texts for a tokenizer whose template puts nothing there (GPT-2, Llama)."""
    if tokenizer.eos_token_id is not None:
        return [tokenizer.eos_token_id]
    return list(tokenizer("\n", add_special_tokens=False)["input_ids"])


def _find(framed: list[int], inner: list[int], start: int) -> int:
    return next(i for i in range(start, len(framed) + 1) if framed[i : i + len(inner)] == inner)


def _ids(ids: list[int]) -> np.ndarray:
    return np.asarray(ids, np.int32)
