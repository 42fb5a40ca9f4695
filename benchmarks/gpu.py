"""attune on a GPU beside transformers' Trainer there, and how far its answers are from those of a CPU.

    python benchmarks/gpu.py [FOLDER] [--sizes starter/bert,bert-base] [--rows 4000] [--rounds 2] [--batch 32,128]
        [--steps 200]

FOLDER has train.* and test.* as `attune train` reads them; without it, the bundled reviews. All train in bfloat16
beside float32 weights, on the same rows, model, batch and rate: attune as it comes, with compiled regions
(`train.compile`), and with recorded passes, too (`train.graphs`), after all shapes were met twice; the Trainer as it
comes and grouped by length, with its fused AdamW. They take turns; `--steps` full batches of each are timed, after
the first ones. What is printed: real tokens per second, peak memory of the GPU, the part of the model's products in
what the GPU could do (`--tflops`, its data sheet's), moments of a step at which the host waited, and the largest
difference of a probability from float32 on the CPU.
Needs the extra `bench`. `--device cpu` runs the same code without a GPU, for its test.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, product
from pathlib import Path

import sizes
from bench import bundled
from ceiling import flops
from sides import ours, trainer
from sides.job import PROTOCOL, Job, length_of, prepared

WARM = 20  # steps that are not counted: allocations, autotuning
SYSTEMS = ("attune", "attune_compiled", "attune_graphs", "trainer", "trainer_tuned")


def place_of(device: str):
    """Where attune trains."""
    from attune.models.place import Place

    return Place.of(device, "bfloat16" if device == "cuda" else "float32")


def by_attune(job: Job, ready, place, batch: int, timed: int, *, graphs: bool = False) -> dict:
    """Tokens a second of so many of attune's updates, and how often one made the host wait."""
    import torch

    from attune.tasks.features import batch_of
    from attune.training import batches, update
    from attune.training.graphs import Graphs, cuda_recorder

    learner = ours.learner_of(job, ready, place)
    if graphs and place.device.type == "cuda":
        learner.graphs = Graphs(cuda_recorder())
    train = ready.features["train"]
    warm = [part for part, _ in zip(_whole_steps(job, train, batch), range(WARM), strict=False)]
    steps = [part for part, _ in zip(_whole_steps(job, train, batch), range(timed), strict=False)]
    if graphs:  # a shape is recorded at its second batch
        warm = [*warm, *steps, *steps]
    steps, warm = [*warm, *steps], len(warm)
    tokens, began = 0, 0.0
    for step, part in enumerate(steps):
        if step == warm:
            place.wait()
            tokens, began = 0, time.perf_counter()
        made = [batch_of(train, chosen) for chosen in batches.micro_batches(train, part, tokens=32768)]
        tokens += update.update(learner, made, count=train.count(part), lr=job.lr).tokens
    place.wait()
    seconds = time.perf_counter() - began
    waits = 0
    if place.device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as held:
            warnings.simplefilter("always")
            update.update(learner, [batch_of(train, steps[0])], count=train.count(steps[0]), lr=job.lr)
        torch.cuda.set_sync_debug_mode("default")
        waits = sum("synchroniz" in str(each.message) for each in held)
    shapes = len(learner.graphs.held) if learner.graphs else 0
    return {"tokens_per_s": tokens / seconds, "waits": waits, "steps": timed, "shapes": shapes}


def _whole_steps(job: Job, train, batch: int) -> Iterator:
    """The rows of each step, epoch after epoch, without the last ones of an epoch, which fill no batch."""
    from attune.training import batches

    if len(train) < batch:
        sys.exit(f"{len(train)} rows fill no batch of {batch}: give more rows or a smaller --batch")
    for epoch in count():
        parts = batches.steps_of(train, batch=batch, by="rows", seed=job.seed, epoch=epoch)
        yield from (part for part in parts if len(part) == batch)


def by_trainer(job: Job, ready, place, batch: int, timed: int, *, tuned: bool) -> dict:
    """Tokens a second of the Trainer over as many steps, of batches that are full."""
    import transformers

    class Clock(transformers.TrainerCallback):
        began, counted = 0.0, 0

        def on_step_end(self, args, state, control, **more):
            if state.global_step == WARM:
                place.wait()
                self.began, self.counted = time.perf_counter(), state.max_steps - state.global_step

    transformers.logging.set_verbosity_error()
    clock, gpu = Clock(), place.device.type == "cuda"
    with tempfile.TemporaryDirectory() as output:
        made = trainer.trainer_of(
            job, ready, output=output, tuned=tuned, use_cpu=not gpu, bf16=gpu,
            per_device_train_batch_size=batch, optim="adamw_torch_fused", max_steps=WARM + timed,
            dataloader_drop_last=True,
        )  # fmt: skip
        made.add_callback(clock)
        made.train()
        place.wait()
        seconds = time.perf_counter() - clock.began
        mean = float(ready.features["train"].sequences.lengths.mean())
        return {"tokens_per_s": clock.counted * batch * mean / seconds}


def apart(job: Job, ready, place) -> float:
    """The largest difference of a test probability between the place and float32 on the CPU."""
    import numpy as np

    from attune.models.place import Place
    from attune.training import loop

    learner = ours.learner_of(job, ready)
    found = []
    for where in (Place(), place):
        learner.model.move(where)
        found.append(np.asarray(loop.predictions(ready.task, learner.model, ready.features["test"])))
    return float(np.abs(found[0] - found[1]).max())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", default="")
    parser.add_argument("--sizes", default="starter/bert,bert-base", help="by commas")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200, help="that are timed, after the first ones")
    parser.add_argument("--batch", default="32,128", help="rows of a step, by commas")
    parser.add_argument("--tflops", type=float, default=989.0, help="of the GPU in bfloat16; an H100's")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--out", default="benchmarks/results/gpu.json")
    return parser.parse_args()


def turns(given: argparse.Namespace, place, scratch: Path) -> Iterator[dict]:
    """Every turn's result: model by model, round by round, batch by batch, system by system."""
    folder = given.folder or str(bundled(scratch))
    for size in given.sizes.split(","):
        model = size if size not in sizes.SIZES else sizes.written(size, scratch)
        job = Job(folder, model, 1, 1e-4, 0, given.rows)
        ready = prepared(job)
        work = flops(ours.learner_of(job, ready).model.model, length_of(ready))
        told = {"size": size, "apart": apart(job, ready, place)}
        for _, batch, system in product(range(given.rounds), map(int, given.batch.split(",")), SYSTEMS):
            gc.collect()  # a trainer holds on to itself
            place.forget_peak()
            if system.startswith("attune"):
                where = replace(place, regional=system != "attune" and place.device.type == "cuda")
                found = by_attune(job, ready, where, batch, given.steps, graphs=system == "attune_graphs")
            else:
                found = by_trainer(job, ready, place, batch, given.steps, tuned=system == "trainer_tuned")
            found |= {"system": system, "batch": batch, "peak_memory_mib": place.peak_memory_mib()}
            yield told | found | {"share": work * found["tokens_per_s"] / 1e12 / given.tflops}


def main() -> None:
    """Runs all of it; the JSON is written after each turn."""
    import torch

    from attune import files, machine

    given = arguments()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA GPU here: `attune doctor` tells what it finds")
    place, results = place_of(given.device), []
    told = {"place": str(place), "protocol": PROTOCOL, "environment": machine.environment(0, given.device)}
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for found in turns(given, place, Path(scratch)):
            results.append(found)
            print(found, flush=True)
            files.write_json(Path(given.out), {**told, "results": results})
    print(table(results))


def table(results: list[dict]) -> str:
    """A line for each size and batch: medians, and what attune is beside the others."""
    lines = ["| model | batch | system | real tokens/s | attune is | MiB |", "|---|---|---|---|---|---|"]
    kinds = dict.fromkeys((each["size"], each["batch"]) for each in results)
    for size, batch in kinds:
        held = [each for each in results if (each["size"], each["batch"]) == (size, batch)]
        speed = {
            name: statistics.median(each["tokens_per_s"] for each in held if each["system"] == name)
            for name in SYSTEMS
        }
        memory = {
            name: max(each["peak_memory_mib"] for each in held if each["system"] == name) for name in SYSTEMS
        }
        for name in SYSTEMS:
            ratio = "" if name.startswith("attune") else f"{speed['attune'] / speed[name]:.2f} x"
            lines.append(
                f"| {size} | {batch} | {name} | {speed[name]:,.0f} | {ratio} | {memory[name]:,.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
