"""The token stream: the sequences of a batch laid end to end, with no padding between them.

T tokens, B sequences, W wanted positions, H width of the model, throughout `models`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from attune.models.place import there
from attune.models.plans import Laid


def ranges(firsts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The numbers from each of `firsts` on, as many as `sizes` says, end to end."""
    begins = np.cumsum(sizes) - sizes
    return np.asarray(np.arange(sizes.sum()) + np.repeat(firsts - begins, sizes))


@dataclass
class Known:
    """A place for the states that leave the frozen layers: a backbone that finds none leaves its own here."""

    states: Tensor | None = None  # [T, H]; where every layer is frozen, those at the wanted positions [W, H]
    wanted: Tensor | None = None  # [W] then; None for every position


@dataclass(frozen=True)
class Stream:
    """Sequences end to end; any order is right, sorted by length is fastest."""

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64, from 0 in each sequence
    kinds: Tensor | None  # [T] int64 token types, where the model has them
    lengths: tuple[int, ...]  # B lengths, their sum is T
    known: Known | None = None  # what need not be computed again
    host: np.ndarray | None = None  # [T] the tokens on the host, where they were moved to a device
    laid: Laid | None = None  # what a model needs not tell again

    @staticmethod
    def joined(tokens: np.ndarray, kinds: np.ndarray | None, lengths: np.ndarray) -> Stream:
        """The stream of token ids [T] that already lie end to end, B sequences of these lengths."""
        assert lengths.min(initial=1) > 0, "a sequence has at least one token"
        return Stream(
            torch.from_numpy(tokens.astype(np.int64)),
            torch.from_numpy(ranges(np.zeros_like(lengths), lengths)),
            None if kinds is None else torch.from_numpy(kinds.astype(np.int64)),
            tuple(lengths.tolist()),
        )

    def on(self, device: torch.device) -> Stream:
        """The same stream on a device."""
        if self.tokens.device == device:
            return self
        known = self.known
        if known is not None and known.states is not None:
            known = replace(known, states=there(known.states, device))
        tokens, positions = there(self.tokens, device), there(self.positions, device)
        kinds = None if self.kinds is None else there(self.kinds, device)
        return Stream(tokens, positions, kinds, self.lengths, known, self.ids)

    @property
    def ids(self) -> np.ndarray:
        """The tokens [T] on the host."""
        return self.tokens.numpy() if self.host is None else self.host

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each sequence begins in the stream, [B]."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)
