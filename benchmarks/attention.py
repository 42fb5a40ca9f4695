"""How long attention of one layer takes on the compiled kernels and in torch, in turn: the best of many turns.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/attention.py [--turns 12]

12 heads of 32 columns over streams of short, equal and long sequences, where a token sees all of its sequence and
where it sees those before it, with dropout and without. Microseconds of the processor a token.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from attune.models import attention, block
from attune.models.plans import Sight, plan

HEADS, WIDTH = 12, 32
STREAMS = {
    "32 of 4 to 44 tokens": sorted(np.random.default_rng(0).integers(4, 45, 32).tolist()),
    "32 of 20 tokens": [20] * 32,
    "4 of 250 tokens": [250] * 4,
    "2 of 1,000 tokens": [1000] * 2,
}
SIGHTS = {"all": Sight(), "causal": Sight(causal=True)}
SIDES = {"kernels": block.compiled, "torch": lambda: None}


def measured(lengths: list[int], sight: Sight, dropout: float, turns: int) -> dict[str, dict[str, float]]:
    """The best microseconds a token of the forward and of the backward pass, of each side."""
    torch.manual_seed(0)
    shape = (sum(lengths), HEADS, WIDTH)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    g, laid = torch.randn(shape), plan(lengths, sight=sight)
    best = {side: {"forward": float("inf"), "backward": float("inf")} for side in SIDES}
    for _ in range(turns):
        for side, compiled in SIDES.items():
            with mock.patch.object(block, "compiled", compiled):
                began = time.process_time()
                out = attention.attend(q, k, v, laid, scaling=WIDTH**-0.5, dropout=dropout)
                between = time.process_time()
                out.backward(g)
                spent = {"forward": between - began, "backward": time.process_time() - between}
            for name, seconds in spent.items():
                best[side][name] = min(best[side][name], 1e6 * seconds / shape[0])
    return best


def main() -> None:
    """Measures every stream, prints a line for each and writes JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--out", default="benchmarks/results/attention.json")
    given = parser.parse_args()
    found = []
    for name, lengths in STREAMS.items():
        for sees, sight in SIGHTS.items():
            for dropout in (0.0, 0.1):
                us = measured(lengths, sight, dropout, given.turns)
                found.append({"stream": name, "sees": sees, "dropout": dropout, "us": us})
                told = "; ".join(
                    f"{side} {of['forward']:.1f} and {of['backward']:.1f}" for side, of in us.items()
                )
                print(f"{name:22} {sees:7} dropout {dropout:.1f}: {told}", flush=True)
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"threads": torch.get_num_threads(), "results": found}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
