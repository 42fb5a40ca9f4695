"""How long attention of one layer takes, forward and backward, on the compiled kernels: the best of many turns.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/attention.py [--turns 40]

12 heads of 32 columns with a dropout of 0.1, over streams of short, equal and long sequences. To compare with another
commit, run this file with PYTHONPATH at the `src` of its checkout, in turn. Milliseconds of the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from attune.models.kernels import fused
from attune.models.kernels.draws import Draw
from attune.models.plans import plan

HEADS, WIDTH = 12, 32
STREAMS = {
    "32 of 4 to 44 tokens": sorted(np.random.default_rng(0).integers(4, 45, 32).tolist()),
    "32 of 20 tokens": [20] * 32,
    "4 of 250 tokens": [250] * 4,
}


def measured(lengths: list[int], turns: int) -> dict[str, float]:
    """The best milliseconds of the forward and of the backward pass."""
    torch.manual_seed(0)
    shape = (sum(lengths), HEADS * WIDTH)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    g, laid = torch.randn(shape), plan(lengths)
    best = {"forward": float("inf"), "backward": float("inf")}
    for turn in range(turns):
        began = time.process_time()
        out = fused.Attention.apply(q, k, v, laid, HEADS, WIDTH**-0.5, Draw(0.1, turn))
        between = time.process_time()
        out.backward(g)
        spent = {"forward": between - began, "backward": time.process_time() - between}
        best = {name: min(best[name], 1e3 * seconds) for name, seconds in spent.items()}
    return best


def main() -> None:
    """Measures every stream, prints a line for each and writes JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--out", default="benchmarks/results/attention.json")
    given = parser.parse_args()
    found = {name: measured(lengths, given.turns) for name, lengths in STREAMS.items()}
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"threads": torch.get_num_threads(), "ms": found}, indent=1), encoding="utf-8")
    for name, ms in found.items():
        print(f"{name:22} forward {ms['forward']:.2f} ms, backward {ms['backward']:.2f} ms")


if __name__ == "__main__":
    main()
