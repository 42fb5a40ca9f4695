"""A transformer layer in its parts: the modules are transformers', the arithmetic over streams is attune's.

One class serves the families that norm before each sublayer (GPT-2, Llama, ModernBERT, T5, mBART) and BART's,
which norms after; with or without rotary positions and cross attention. Because it takes the wanted positions,
the last layer can leave out queries, output and feed-forward of all others. BERT's kin have `models.block`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attune.models.attention import attend
from attune.models.dropout import Share, added, nothing
from attune.models.plans import Plan, biased

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rotary:
    """The rotation of each position of the stream, as two factors [T, d]."""

    cos: Tensor
    sin: Tensor

    def __call__(self, states: Tensor, wanted: Tensor | None = None) -> Tensor:
        """The states [T or W, heads, d] turned by their positions (Su et al. 2021, in halves as Llama has it)."""
        cos, sin = self.cos, self.sin
        if wanted is not None:
            cos, sin = cos.index_select(0, wanted), sin.index_select(0, wanted)
        first, second = states.chunk(2, dim=-1)
        return states * cos[:, None] + torch.cat((-second, first), dim=-1) * sin[:, None]


@dataclass(frozen=True)
class Seen:
    """How the positions of a stream see each other, and a source where there is one."""

    plan: Plan
    rotary: Rotary | None = None
    source: Tensor | None = None  # [S, H] what cross attention sees
    across: Plan | None = None

    def biased(self, table: Tensor | None) -> Seen:
        """The same with a table [heads, L, L] added to the scores inside the stream, where there is one."""
        return self if table is None else replace(self, plan=biased(self.plan, table))


@dataclass(frozen=True)
class Attention:
    """One attention: products, heads, output."""

    project: Callable[
        [Tensor, Tensor], tuple[Tensor, Tensor, Tensor]
    ]  # asked [W, H], seen [T, H] -> q, k, v [*, H']
    out: Map
    width: int  # of one head
    scaling: float
    dropout: Share  # of the weights
    out_dropout: Share = nothing  # of what it makes
    norms: tuple[Map, Map] | None = None  # of each head's queries and keys

    def __call__(
        self,
        asked: Tensor,
        seen: Tensor,
        plan: Plan,
        rotary: Rotary | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """The mixed states [W, H] of the asked positions."""
        q, k, v = (states.unflatten(-1, (-1, self.width)) for states in self.project(asked, seen))
        if self.norms is not None:
            q, k = self.norms[0](q), self.norms[1](k)
        if rotary is not None:
            q, k = rotary(q, wanted), rotary(k)
        return self.out(attend(q, k, v, plan, scaling=self.scaling, dropout=self.dropout()).flatten(1))


@dataclass(frozen=True)
class Layer:
    """Attention, cross attention where there is a source, feed-forward; each with a norm and a way around it."""

    mix: Attention
    mix_norm: Map
    feed: Map
    feed_norm: Map
    feed_dropout: Share = nothing  # of what it makes
    cross: Attention | None = None
    cross_norm: Map | None = None
    norm_first: bool = True

    def __call__(self, states: Tensor, seen: Seen, wanted: Tensor | None = None) -> Tensor:
        """The layer's result [W, H] at the wanted positions of `states` [T, H], or at all [T, H].

        The plans of `seen` ask for the same positions.
        """
        before = self.mix_norm if self.norm_first else _same
        after = _same if self.norm_first else self.mix_norm
        normed = before(states)
        asked, asked_normed = states, normed
        if wanted is not None:
            asked, asked_normed = states.index_select(0, wanted), normed.index_select(0, wanted)
        mixed = self.mix(asked_normed, normed, seen.plan, seen.rotary, wanted)
        asked = after(added(mixed, asked, self.mix.out_dropout))
        if self.cross is not None and self.cross_norm is not None:
            assert seen.source is not None and seen.across is not None, "a decoder sees a source"
            cross, source, across = self.cross, seen.source, seen.across
            asked = self._around(
                asked, self.cross_norm, lambda x: cross(x, source, across), cross.out_dropout
            )
        return self._around(asked, self.feed_norm, self.feed, self.feed_dropout)

    def _around(self, states: Tensor, norm: Map, sublayer: Map, dropout: Share) -> Tensor:
        if self.norm_first:
            return added(sublayer(norm(states)), states, dropout)
        return norm(added(sublayer(states), states, dropout))


def _same(states: Tensor) -> Tensor:
    return states
