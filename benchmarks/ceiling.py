"""The most that a machine's matrix products give, in the shapes that training a model asks for.

    python benchmarks/ceiling.py [--model starter/bert] [--tokens 800]

A step of T tokens multiplies [T, a] with each weight [a, b] of the layers, and twice more for the gradients of both.
The ceiling is the rate of these products alone, weighted by their operations: the best of several rounds of each.
"""

from __future__ import annotations

import argparse
import json
import time

ROUNDS = 12


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


def rate(sizes: list[tuple[int, int]], tokens: int) -> float:
    """Operations a second of these products, each weighted by its operations."""
    import torch

    operations, seconds = 0.0, 0.0
    for a, b in sorted(set(sizes)):
        x, w, g = torch.randn(tokens, a), torch.randn(b, a), torch.randn(tokens, b)
        times = sizes.count((a, b))
        for product in (lambda x=x, w=w: x @ w.t(), lambda g=g, w=w: g @ w, lambda g=g, x=x: g.t() @ x):
            operations += times * 2.0 * tokens * a * b
            seconds += times * min(_timed(product) for _ in range(ROUNDS))
    return operations / seconds


def _timed(product) -> float:
    began = time.perf_counter()
    product()
    return time.perf_counter() - began


def main() -> None:
    """Prints the ceiling as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--tokens", type=int, default=800, help="of one step")
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
