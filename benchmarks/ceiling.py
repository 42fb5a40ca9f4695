"""The most that a machine's matrix products give, in the shapes that training a model asks for.

    python benchmarks/ceiling.py [--model starter/bert] [--tokens 800]

A step of T tokens multiplies [T, a] with each weight [a, b] of the layers, and twice more for the gradients of both.
The ceiling is the rate of these products alone, weighted by their operations: the best of several rounds of each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

ROUNDS = 12
TOKENS = 800  # of one step


def shapes(model) -> list[tuple[int, int]]:
    """[in, out] of every matrix as often as it is used; word vectors are looked up, not multiplied."""
    import torch
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    settings, found = model.config, []
    for name, part in model.base_model.named_modules():
        if isinstance(part, (torch.nn.Linear, Conv1D)) and "pooler" not in name:
            shared = "albert_layer_groups" in name  # each group of ALBERT's layers is several layers
            times = settings.num_hidden_layers // settings.num_hidden_groups if shared else 1
            conv = isinstance(part, Conv1D)
            found += [tuple(part.weight.shape) if conv else (part.in_features, part.out_features)] * times
    return found


def flops(model, length: float) -> float:
    """Operations of training on one token, whose sequence has `length` tokens: 6 a weight, and the attention."""
    settings = model.config
    weights = sum(a * b for a, b in shapes(model))
    return 6 * weights + 12 * length * settings.hidden_size * settings.num_hidden_layers


def products(a: int, b: int, tokens: int) -> list[tuple[float, Callable[[], object]]]:
    """(operations, product) of a matrix [a, b] and its two gradients, with so many tokens."""
    import torch

    x, w, g = torch.randn(tokens, a), torch.randn(b, a), torch.randn(tokens, b)
    return [
        (2.0 * tokens * a * b, product) for product in (lambda: x @ w.t(), lambda: g @ w, lambda: g.t() @ x)
    ]


def rate(sizes: list[tuple[int, int]], tokens: int) -> float:
    """Operations a second of these products, each weighted by its operations."""
    done, seconds = 0.0, 0.0
    for a, b in sorted(set(sizes)):
        times = sizes.count((a, b))
        for operations, product in products(a, b, tokens):
            done += times * operations
            seconds += times * min(timed(product) for _ in range(ROUNDS))
    return done / seconds


def timed(product: Callable[[], object]) -> float:
    """Seconds of the clock that it takes."""
    began = time.perf_counter()
    product()
    return time.perf_counter() - began


def main() -> None:
    """Prints the ceiling as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of one step")
    given = parser.parse_args()
    import torch

    from attune.models import load

    model = load.outline(given.model, "classification", ["a", "b"]).model
    found = rate(shapes(model), given.tokens)
    print(
        json.dumps(
            {
                "gflops": found / 1e9,
                "threads": torch.get_num_threads(),
                "mflop_a_token": flops(model, 0) / 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
