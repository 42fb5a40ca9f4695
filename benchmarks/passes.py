"""How long the parts of a layer take on one core: products, feed-forward, GELU and dropout, ours beside torch's.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/passes.py [--tokens 2048] [--turns 30]

The shapes are MiniLM's, 384 and 1,536 columns. The best of many turns, all parts in turn; GFLOP/s of products,
microseconds a token of everything else. Parts that the processor or its kernels do not have are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation

from attune import machine
from attune.models import dropout
from attune.models.kernels import fused, inference, integers

HIDDEN, WIDE = 384, 1536
Parts = dict[str, Callable[[], Any]]


def products(tokens: int) -> Parts:
    """[tokens, 384] by [384, 1536] in each precision, as torch takes them."""
    x, w = torch.randn(tokens, HIDDEN), torch.randn(WIDE, HIDDEN)
    parts: Parts = {"product, float32": lambda: x @ w.t()}
    if machine.bfloat16():
        short, narrow = x.bfloat16(), w.bfloat16()
        parts["product, bfloat16"] = lambda: short @ narrow.t()
    if machine.int8():
        a, b = (torch.randint(-127, 128, each.shape, dtype=torch.int8) for each in (x, w))
        parts["product, int8"] = lambda: integers.multiply(a, b.t())
    return parts


def feed_forwards(tokens: int) -> Parts:
    """The whole feed-forward of an answer with its norm: both products, bias and GELU between them."""
    x, up, down, norm = (
        torch.randn(tokens, HIDDEN),
        nn.Linear(HIDDEN, WIDE),
        nn.Linear(WIDE, HIDDEN),
        nn.LayerNorm(HIDDEN),
    )

    def through(*shorts: Tensor | None) -> Tensor:
        return inference.add_norm(inference.feed_forward(x, up, down, shorts), down.bias, x, norm)

    parts: Parts = {"feed-forward, float32": lambda: through(None, None)}
    if machine.bfloat16():
        short = up.weight.detach().bfloat16(), down.weight.detach().bfloat16()
        parts["feed-forward, bfloat16"] = lambda: through(*short)
    if machine.int8():
        whole = integers.Product.of(up), integers.Product.of(down)
        for rows in (128, 256, 512, 2048):
            parts[f"feed-forward, int8, {rows} rows at a time"] = lambda rows=rows: by_rows(
                rows, x, *whole, norm
            )
    return parts


def by_rows(rows: int, *given: Any) -> Tensor:
    """int8's feed-forward with so many rows at a time."""
    usual, integers.ROWS = integers.ROWS, rows
    try:
        return integers.feed_forward(*given)
    finally:
        integers.ROWS = usual


def gelus(tokens: int) -> Parts:
    """A GELU with its bias over 1,536 columns, forward and backward."""
    x, bias = torch.randn(tokens, WIDE, requires_grad=True), torch.randn(WIDE, requires_grad=True)
    g, theirs = torch.randn(tokens, WIDE), NewGELUActivation()
    curves = {
        "GELU, kernel": lambda: fused.Gelu.apply(x, bias, False),
        "GELU by tanh, kernel": lambda: fused.Gelu.apply(x, bias, True),
        "GELU by tanh, transformers": lambda: theirs(x + bias),
    }
    return with_backward(curves, (x, bias), g)


def drops(tokens: int) -> Parts:
    """Dropout with the sum around a sublayer over 384 columns, forward and backward."""
    x, residual = (torch.randn(tokens, HIDDEN, requires_grad=True) for _ in range(2))
    g = torch.randn(tokens, HIDDEN)
    ways = {
        "dropout and sum, kernel": lambda: dropout.added(x, residual, lambda: 0.1),
        "dropout and sum, torch": lambda: nn.functional.dropout(x, 0.1) + residual,
    }
    return with_backward(ways, (x, residual), g)


def with_backward(ways: Parts, leaves: tuple[Tensor, ...], g: Tensor) -> Parts:
    """Each way forward, and its backward pass."""
    parts: Parts = {}
    for name, forward in ways.items():
        held = forward()
        parts[name] = torch.no_grad()(forward)
        parts[f"{name}, backward"] = lambda held=held: torch.autograd.grad(held, leaves, g, retain_graph=True)
    return parts


def best(parts: Parts, turns: int) -> dict[str, float]:
    """The least seconds of each part, all of them in turn."""
    found = dict.fromkeys(parts, float("inf"))
    for _ in range(turns):
        for name, part in parts.items():
            with torch.inference_mode("GELU" not in name and "dropout" not in name):
                began = time.perf_counter()
                part()
                found[name] = min(found[name], time.perf_counter() - began)
    return found


def main() -> None:
    """Measures all parts, prints a line for each and writes JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--out", default="benchmarks/results/passes.json")
    given = parser.parse_args()
    with torch.inference_mode():
        parts = {**products(given.tokens), **feed_forwards(given.tokens)}
    found = best({**parts, **gelus(given.tokens), **drops(given.tokens)}, given.turns)
    operations = 2.0 * given.tokens * HIDDEN * WIDE
    for name, seconds in found.items():
        told = (
            f"{operations / seconds / 1e9:.0f} GFLOP/s"
            if "product" in name
            else f"{1e6 * seconds / given.tokens:.2f} us a token"
        )
        print(f"{name:42} {told}")
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    knobs = {**vars(given), "threads": torch.get_num_threads(), "processor": machine.cpu()}
    path.write_text(json.dumps({"knobs": knobs, "seconds": found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
