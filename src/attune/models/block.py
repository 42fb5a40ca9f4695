"""One post-norm encoder layer as attune computes it: the modules are transformers', the arithmetic is ours.

So the last layer can be asked at the wanted positions only, and what every layer does can be made fast in
one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from attune.models.attention import attend
from attune.models.stream import Plan


@dataclass(frozen=True)
class Block:
    """The parts of one post-norm encoder layer: x = norm(x + attention(x)); x = norm(x + feed_forward(x))."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear
    attention_norm: nn.LayerNorm
    up: nn.Linear
    activation: Callable[[Tensor], Tensor]
    down: nn.Linear
    norm: nn.LayerNorm
    width: int  # of one head
    dropouts: tuple[nn.Dropout, nn.Dropout, nn.Dropout]  # on the attention weights, after `out`, after `down`

    def __call__(self, states: Tensor, plan: Plan) -> Tensor:
        """The layer's result [T, H] at every position of `states` [T, H]."""
        return self._of(states, states, plan)

    def at(self, states: Tensor, wanted: Tensor, plan: Plan) -> Tensor:
        """The layer's result [W, H] at the wanted positions of `states` [T, H]; `plan` asks for the same ones.

        Keys and values need every position; queries, the products after them and the feed-forward do not.
        """
        return self._of(states.index_select(0, wanted), states, plan)

    def _of(self, asked: Tensor, states: Tensor, plan: Plan) -> Tensor:
        q, k, v = (
            linear(source).unflatten(-1, (-1, self.width))
            for linear, source in ((self.query, asked), (self.key, states), (self.value, states))
        )
        on_weights, on_out, on_down = self.dropouts
        dropout = on_weights.p if on_weights.training else 0.0
        mixed = attend(q, k, v, plan, scaling=self.width**-0.5, dropout=dropout).flatten(1)
        asked = self.attention_norm(on_out(self.out(mixed)) + asked)
        fed = self.down(self.activation(self.up(asked)))
        normed: Tensor = self.norm(on_down(fed) + asked)
        return normed
