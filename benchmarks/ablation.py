"""What each saving is worth: training steps with all of them, and with one of them taken away.

    python benchmarks/ablation.py [FOLDER] --steps 10 --rounds 3

FOLDER has train.* with texts and labels; without it, texts are made whose lengths are those of short reviews. All
variants run in one process in turn, and a ratio compares neighbours in time; `cpu` counts the processor's seconds of
all threads, which a busy machine distorts less than the clock. The last two variants hand the layers to transformers:
on rows sorted into batches of near-equal length, and on one batch as long as its longest text.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from sides.clock import Clock, paced

from attune import files, machine
from attune.data.read import read_splits
from attune.data.roles import infer
from attune.data.table import Table
from attune.models import block, load, plans
from attune.models.families import padded
from attune.models.kernels import fused, plain
from attune.models.tokens import TextEncoder
from attune.tasks.classification import Classification, Options
from attune.tasks.features import batch_of
from attune.training import batches, optim, update


class _PlainAttention:
    @staticmethod
    def apply(q, k, v, plan, heads, scaling, draw):
        """What fused.Attention gives."""
        split = [states.view(len(states), heads, -1) for states in (q, k, v)]
        return plain.attention(*split, plan, scaling, draw).flatten(1)


class _PlainNorm:
    @staticmethod
    def apply(x, bias, residual, weight, shift, epsilon, draw):
        """What fused.AddNorm gives."""
        dropped = torch.nn.functional.dropout(x + bias, draw.p)
        return torch.nn.functional.layer_norm(dropped + residual, x.shape[-1:], weight, shift, epsilon)


class _PlainFeedForward:
    @staticmethod
    def apply(x, up, bias, down, tanh, half):
        """What fused.FeedForward gives."""
        linear, curve = torch.nn.functional.linear, "tanh" if tanh else "none"
        return linear(torch.nn.functional.gelu(linear(x, up, bias), approximate=curve), down)


def _rows_off(learner: update.Learner) -> contextlib.AbstractContextManager:
    return mock.patch.object(learner.model.base.get_input_embeddings(), "sparse", False)


def _last_everywhere(learner: update.Learner) -> contextlib.AbstractContextManager:
    """The last layer at every position, of which the head then takes those that it reads."""

    def through(self, states, stream, wanted, span):
        if not span:
            return states
        whole = plans.plan(stream.lengths, device=states.device)
        for number in span:
            states = self.layers[number](states, whole)
        return states.index_select(0, wanted)

    return mock.patch.object(type(learner.model), "through", through)


def _clipped_apart(learner: update.Learner) -> contextlib.AbstractContextManager:
    """Gradients scaled in a pass of their own before the optimizer's."""
    step = learner.optimizer.step

    def apart(*, scale: float = 1.0) -> None:
        for group in learner.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.mul_(scale)
        step()

    return mock.patch.object(learner.optimizer, "step", apart)


@contextlib.contextmanager
def _by_transformers(learner: update.Learner, *, grouped: bool) -> Iterator[None]:
    """transformers' own forward on padded batches, with attune's loss and optimizer."""
    cut = padded.near_equal if grouped else lambda lengths: [np.arange(len(lengths))]
    theirs = padded.Padded(learner.model.model)
    with mock.patch.object(padded, "near_equal", cut), mock.patch.object(learner, "model", theirs):
        yield


VARIANTS = {
    "all": lambda learner: contextlib.nullcontext(),
    "attention in torch": lambda learner: mock.patch.object(fused, "Attention", _PlainAttention),
    "norm in torch": lambda learner: mock.patch.object(fused, "AddNorm", _PlainNorm),
    "feed-forward in torch": lambda learner: mock.patch.object(fused, "FeedForward", _PlainFeedForward),
    "dense word gradients": _rows_off,
    "optimizer in torch": lambda learner: mock.patch.object(optim, "_kernels", lambda: None),
    "clipping in a pass of its own": _clipped_apart,
    "last layer at every position": _last_everywhere,
    "layers in torch": lambda learner: mock.patch.object(block, "compiled", lambda: None),
    "transformers, near-equal lengths": partial(_by_transformers, grouped=True),
    "transformers, padded to the longest": partial(_by_transformers, grouped=False),
}


def texts(folder: str | None, count: int) -> list[str]:
    """The rows to learn from."""
    if folder:
        table = read_splits(folder)["train"]
        return table.column(infer(table, task="classification").text)[:count]
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(2.8, 0.6, count), 2, 60).astype(int)
    words = np.array(["good", "bad", "so", "very", "not", "the", "a", "film", "plot", "works", "and", "slow"])
    return [" ".join(words[random.integers(0, len(words), length)]) for length in lengths]


def measure(given: argparse.Namespace) -> dict:
    """What a thousand tokens take in each variant, round after round: seconds, and GFLOP at the machine's pace."""
    rows = texts(given.folder, 32 * given.steps)
    task = Classification(Options())
    task.labels = ("0", "1")
    encoder = TextEncoder(load.tokenizer(given.model), max_tokens=given.max_tokens)
    table = Table("", ("text",), {"text": rows}, list(range(len(rows))), "")
    features = task.encode(table, encoder, np.arange(len(rows)) % 2)
    model = load.backbone(given.model, "classification", ["0", "1"], seed=0)
    learner = update.Learner(task, model, optim.adamw(model.model, weight_decay=0.0), 1.0, str)
    parts = batches.steps_of(features, batch=32, by="rows", seed=0, epoch=0)

    def run(chosen: list[np.ndarray]) -> dict[str, float]:
        clock, tokens = Clock(given.model), 0
        with clock.running():
            for step, part in enumerate(chosen):
                torch.manual_seed(step)
                micro = (
                    batch_of(features, one) for one in batches.micro_batches(features, part, tokens=16384)
                )
                tokens += update.update(learner, micro, count=features.count(part), lr=1e-5).tokens
        told = clock.told()
        return {
            "paced": 1e3 * paced(told) / tokens,
            "clock": 1e3 * told["seconds"] / tokens,
            "cpu": 1e3 * told["cpu_seconds"] / tokens,
        }

    began = time.perf_counter()
    run(parts[:1])
    first = time.perf_counter() - began
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(given.rounds):
        for name, change in VARIANTS.items():
            with change(learner):
                run(parts[:1])
                seen[name].append(run(parts))
    return {"first_step_s": first, "slower_without": ratios(seen), "per_1000_tokens": seen}


def ratios(seen: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """What each variant takes beside all savings, the median over the rounds."""
    return {
        name: {
            key: statistics.median(
                one[key] / whole[key] for one, whole in zip(found, seen["all"], strict=True)
            )
            for key in ("paced", "clock", "cpu")
        }
        for name, found in seen.items()
    }


def main() -> None:
    """Measures, prints the ratios and writes everything as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--out", default="benchmarks/results/ablation.json")
    given = parser.parse_args()
    found = measure(given)
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    knobs = {**vars(given), "threads": torch.get_num_threads()}
    files.write_json(path, {"knobs": knobs, "environment": machine.environment(0), **found})
    print(f"first step: {found['first_step_s']:.1f} s")
    for name, ratio in found["slower_without"].items():
        print(f"{name:36} {ratio['paced']:.2f} x at one pace, {ratio['cpu']:.2f} x in processor time")


if __name__ == "__main__":
    main()
