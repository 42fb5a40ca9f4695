"""One post-norm encoder layer as attune computes it: the modules are transformers', the arithmetic is ours.

So the last layer can be asked at the wanted positions only, and what every layer does can be made fast in
one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from attune import machine
from attune.models.curves import TANH, gelu_of
from attune.models.kernels import plain, regions
from attune.models.kernels.draws import Draw
from attune.models.plans import Plan

OWN = (None,) * 6  # the layers' own matrices


@cache
def compiled() -> ModuleType | None:
    """The parts on compiled kernels; None where numba is missing, or ATTUNE_KERNELS=0 turns them off."""
    if machine.kernels() != "on":
        return None
    from attune.models.kernels import fused

    return fused


@dataclass(frozen=True)
class Thin:
    """A linear layer to which PEFT's LoRA adds a thin product."""

    base: nn.Linear
    a: Tensor  # [r, in]
    b: Tensor  # [out, r]
    factor: float
    dropout: nn.Module  # on the input of the thin product

    @staticmethod
    def of(part: Any) -> Thin | None:
        """The parts of PEFT's module; None where it does anything but plain LoRA now."""
        if not hasattr(part, "lora_A") or type(part.base_layer) is not nn.Linear:
            return None
        (name,) = part.active_adapters if len(part.active_adapters) == 1 else ("",)
        plain = name in part.lora_A and not (part.disable_adapters or part.merged or part.lora_variant)
        if not plain or part.lora_bias[name]:
            return None
        a, b = part.lora_A[name].weight, part.lora_B[name].weight
        return Thin(part.base_layer, a, b, part.scaling[name], part.lora_dropout[name])


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
    half: bool = False  # whether training takes its products in bfloat16
    regional: bool = False  # whether torch compiles what stands between its products, off the CPU
    answers: str = "float32"  # what the products of answers are taken in
    shorts: tuple[Any, ...] = OWN  # their matrices in bfloat16 or int8, by `_linears`

    @property
    def halves(self) -> bool:
        """Whether training can take its products in bfloat16; what LoRA adds, and adds to, stays float32."""
        return bool(self.curve) and all(part.bias is not None for part in self._linears())

    def answering_in(self, precision: str) -> Block | None:
        """The same layer, whose answers take their products in float32, bfloat16 or int8.

        None where answers are not on the compiled kernels.
        """
        if precision == "float32":
            return replace(self, answers=precision, shorts=OWN)
        if not (self.curve and all(type(part) is nn.Linear for part in self._linears())):
            return None
        if precision == "bfloat16":
            shorts: tuple[Any, ...] = tuple(part.weight.detach().bfloat16() for part in self._linears())
        else:
            assert precision == "int8", precision
            from attune.models.kernels import integers

            shorts = tuple(map(integers.Product.of, self._linears()))
        return replace(self, answers=precision, shorts=shorts)

    def __call__(self, states: Tensor, plan: Plan) -> Tensor:
        """The layer's result [T, H] at every position of `states` [T, H]."""
        return self._layer(states, states, plan)

    def at(self, states: Tensor, wanted: Tensor, plan: Plan) -> Tensor:
        """The layer's result [W, H] at the wanted positions of `states` [T, H]; `plan` asks for the same ones.

        Keys and values need every position; queries, the products after them and the feed-forward do not.
        """
        return self._layer(states.index_select(0, wanted), states, plan)

    def _layer(self, asked: Tensor, states: Tensor, plan: Plan) -> Tensor:
        draws = tuple(Draw.of(dropout.p if dropout.training else 0.0) for dropout in self.dropouts)
        if self._fits(states):
            plain_products = all(type(part) is nn.Linear for part in self._linears())
            if plain_products and not torch.is_grad_enabled() and not any(draw.p for draw in draws):
                answered = self._answered_in_int8 if self.answers == "int8" else self._answered
                return answered(asked, states, plan)
            return self._fused(compiled(), asked, states, plan, draws)
        on_weights, on_out, on_down = draws
        q, k, v = (
            linear(source).unflatten(-1, (-1, self.width))
            for linear, source in ((self.query, asked), (self.key, states), (self.value, states))
        )
        add_norm = regions.add_norm if self.regional else plain.add_norm
        mixed = plain.attention(q, k, v, plan, self.width**-0.5, on_weights).flatten(1)
        asked = add_norm(self.out(mixed), asked, self.attention_norm, on_out)
        return add_norm(self.down(self.activation(self.up(asked))), asked, self.norm, on_down)

    def _fused(
        self, parts: Any, asked: Tensor, states: Tensor, plan: Plan, draws: tuple[Draw, ...]
    ) -> Tensor:
        on_weights, on_out, on_down = draws
        norm = self.attention_norm
        q, k, v = self._inputs(parts, asked, states)
        heads = q.shape[1] // self.width
        mixed = parts.Attention.apply(q, k, v, plan, heads, self.width**-0.5, on_weights)
        mixed = _product(parts, mixed, self.out, half=self.half)
        asked = parts.AddNorm.apply(mixed, self.out.bias, asked, norm.weight, norm.bias, norm.eps, on_out)
        tanh = self.curve == TANH
        if type(self.up) is nn.Linear and type(self.down) is nn.Linear:
            fed = parts.FeedForward.apply(
                asked, self.up.weight, self.up.bias, self.down.weight, tanh, self.half
            )
        else:
            active = parts.Gelu.apply(_product(parts, asked, self.up), self.up.bias, tanh)
            fed = _product(parts, active, self.down)
        norm = self.norm
        made: Tensor = parts.AddNorm.apply(
            fed, self.down.bias, asked, norm.weight, norm.bias, norm.eps, on_down
        )
        return made

    def _inputs(self, parts: Any, asked: Tensor, states: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values."""
        three = (self.query, self.key, self.value)
        if self.half or any(type(layer) is not nn.Linear for layer in three):
            read = zip(three, (asked, states, states), strict=True)
            return tuple(_product(parts, source, layer, layer.bias, half=self.half) for layer, source in read)
        held = (each for layer in three for each in (layer.weight, layer.bias))
        made: tuple[Tensor, ...] = parts.Inputs.apply(asked, None if asked is states else states, *held)
        return made

    def _answered(self, asked: Tensor, states: Tensor, plan: Plan) -> Tensor:
        from attune.models.kernels import inference

        query, key, value, out, *wide = self.shorts
        q = inference.with_bias(asked, self.query, query)
        k, v = inference.with_bias(states, self.key, key), inference.with_bias(states, self.value, value)
        mixed = inference.product(inference.attention(q, k, v, plan, self.width), self.out, out)
        asked = inference.add_norm(mixed, self.out.bias, asked, self.attention_norm)
        fed = inference.feed_forward(asked, self.up, self.down, (wide[0], wide[1]), tanh=self.curve == TANH)
        return inference.add_norm(fed, self.down.bias, asked, self.norm)

    def _answered_in_int8(self, asked: Tensor, states: Tensor, plan: Plan) -> Tensor:
        from attune.models.kernels import inference, integers

        query, key, value, out, up, down = self.shorts
        seen = integers.Short.of(states)
        own = seen if asked is states else integers.Short.of(asked)
        mixed = inference.attention(query(own), key(seen), value(seen), plan, self.width)
        asked = integers.add_norm(integers.Short.of(mixed), out, asked, self.attention_norm)
        return integers.feed_forward(asked, up, down, self.norm, tanh=self.curve == TANH)

    def _fits(self, states: Tensor) -> bool:
        """True where the compiled kernels do what the modules would: in float32 on a CPU, training or answering.

        A gradient without training is attribution's, which asks for no weight's.
        """
        return (
            states.device.type == "cpu"
            and states.dtype == torch.float32
            and (self.dropouts[0].training or not torch.is_grad_enabled())
            and bool(self.curve)
            and all(type(part) is nn.Linear or Thin.of(part) is not None for part in self._linears())
            and all(part.bias is not None for part in self._linears())
            and compiled() is not None
        )

    @property
    def curve(self) -> str:
        """The GELU that the activation is, or nothing."""
        return gelu_of(self.activation)

    def _linears(self) -> tuple[nn.Linear, ...]:
        return self.query, self.key, self.value, self.out, self.up, self.down


def _product(
    parts: Any, states: Tensor, layer: Any, bias: Tensor | None = None, *, half: bool = False
) -> Tensor:
    """states @ weight.T + bias, with what LoRA adds where it does; that is float32 always."""
    thin = Thin.of(layer)
    if thin is None:
        made: Tensor = parts.Linear.apply(states, layer.weight, bias, half)
    elif isinstance(thin.dropout, nn.Identity):
        made = parts.LowRank.apply(states, thin.base.weight, bias, thin.a, thin.b, thin.factor)
    else:
        made = parts.Linear.apply(states, thin.base.weight, bias, False)
        made = made + thin.factor * (thin.dropout(states) @ thin.a.t() @ thin.b.t())
    return made
