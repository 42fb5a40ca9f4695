"""What each method costs beside the usual way to do the same: PEFT, or frozen weights, under transformers' Trainer.

    python benchmarks/methods.py FOLDER --out results.json [--seeds 3] [--epochs 4] [--lr 1e-3] [--rows 3000]
        [--methods full,lora,last,head] [--tuned]

FOLDER is that of `benchmarks/peers.py`, and so are rows, protocol and clocks. Two sides take turns, method by method
and seed by seed, each a process of its own: attune, with what leaves frozen layers kept (its computation is on the
clock), and the Trainer with the same weights trained: `lora` by PEFT's own forward, `last` and `head` by freezing.
The Trainer leaves dropout on in frozen layers, attune does not. `--tuned` groups the Trainer's rows by length.
Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from sides import ours, trainer
from sides.clock import Clock, paced
from sides.job import PROTOCOL, Job, prepared, score_of, turn

METHODS = {
    "full": {"name": "full"},
    "lora": {"name": "lora", "rank": 8, "alpha": 16.0},
    "last": {"name": "last", "layers": 2},
    "head": {"name": "head"},
}
SIDES = ("attune", "trainer", "trainer_tuned")


def applied(job: Job, name: str, model):
    """The backbone whose weights are those that the method trains."""
    import torch

    from attune.models import methods
    from attune.recipe import MethodSection

    torch.manual_seed(job.seed)
    return methods.build(**MethodSection(**METHODS[name]).model_dump()).applied(model)


def by_attune(job: Job, name: str) -> dict:
    """One training by attune's update."""
    import numpy as np

    from attune.models import load
    from attune.training import kept, loop, optim, update

    ready, clock = prepared(job), Clock(job.model)
    task, train = ready.task, ready.features["train"]
    model = load.backbone(job.model, task.head, task.labels, seed=job.seed, problem=task.problem)
    model = applied(job, name, model)
    task.equip(model)
    optimizer = optim.adamw(model.model, weight_decay=PROTOCOL["weight_decay"])
    learner = update.Learner(task, model, optimizer, PROTOCOL["clip"], str)
    with tempfile.TemporaryDirectory() as folder, clock.running():
        once = None
        if model.keeps and model.lowest and job.epochs > 1:
            once = kept.Kept(task, model, Path(folder))
            list(once.fill((train, np.arange(len(train)))))
        tokens = ours.trained(job, learner, train, once and once.batch)
    return (
        clock.told()
        | {"tokens": tokens}
        | score_of(ready, loop.predictions(task, model, ready.features["test"]))
    )


def by_trainer(job: Job, name: str, *, tuned: bool) -> dict:
    """One training by the Trainer, of the same weights."""
    import transformers

    from attune.models.families import family

    transformers.logging.set_verbosity_error()
    ready, clock = prepared(job), Clock(job.model)
    model = trainer.model_of(job, ready)
    backbone = applied(job, name, family(model.config.model_type)(model))
    with tempfile.TemporaryDirectory() as output:
        trains = trainer.trainer_of(job, ready, output=output, tuned=tuned, model=backbone.wrapped or model)
        with clock.running():
            trains.train()
    tokens = int(ready.features["train"].sequences.lengths.sum()) * job.epochs
    return clock.told() | {"tokens": tokens} | score_of(ready, trainer.told_by(ready, trains.model))


def one(system: str, job: Job) -> None:
    """Runs one job in this process and prints its result as JSON."""
    from attune import machine

    side, _, name = system.partition(":")
    found = by_attune(job, name) if side == "attune" else by_trainer(job, name, tuned=side == "trainer_tuned")
    found["peak_memory_mib"] = machine.peak_memory_mib()
    print(json.dumps({"system": system, "seed": job.seed, **found}))


def table(results: list[dict]) -> str:
    """Seconds of both sides, their ratio seed by seed, and scores, a line for each method."""
    held = {(*result["system"].split(":"), result["seed"]): result for result in results}
    lines = [
        "| method | attune s | other s | x at the same pace, median (range) | score of both |",
        "|---|---|---|---|---|",
    ]
    for name in METHODS:
        pairs = [
            (result, held["attune", name, seed])
            for (side, of, seed), result in held.items()
            if side != "attune" and of == name and ("attune", name, seed) in held
        ]
        if not pairs:
            continue
        ratios = [paced(theirs) / paced(own) for theirs, own in pairs]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        seconds, scores = (
            [statistics.median(pair[side][key] for pair in pairs) for side in (1, 0)]
            for key in ("seconds", "score")
        )
        lines.append(
            f"| {name} | {seconds[0]:.1f} | {seconds[1]:.1f} | {spread} | {scores[0]:.4f}, {scores[1]:.4f} |"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--out", default="benchmarks/results/methods.json")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from --seed on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rows", type=int, default=0, help="the first so many training rows; 0: all")
    parser.add_argument("--methods", default=",".join(METHODS), help="which of them, by commas")
    parser.add_argument("--tuned", action="store_true", help="the Trainer groups rows by length")
    parser.add_argument("--system", help="only this job, in this process: SIDE:METHOD")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    known = {f"{side}:{name}" for side in SIDES for name in METHODS}
    if unknown := set(given.methods.split(",")) - set(METHODS):
        parser.error(f"--methods: {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    if given.system and given.system not in known:
        parser.error(f"--system: there are {', '.join(sorted(known))}")
    return given


def main() -> None:
    """Runs both sides of each method in turn, or one of them (`--system`); the JSON is written after each turn."""
    from attune import files, machine

    given = arguments()
    job = Job(given.folder, given.model, given.epochs, given.lr, given.seed, given.rows)
    if given.system:
        one(given.system, job)
        return
    results: list[dict] = []
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = ("attune", "trainer_tuned" if given.tuned else "trainer")
    for seed in range(given.seed, given.seed + given.seeds):
        for name in given.methods.split(","):
            for side in sides:
                results.append(turn(__file__, f"{side}:{name}", Job(**{**asdict(job), "seed": seed})))
                print(results[-1], flush=True)
                knobs = {
                    **asdict(job),
                    "folder": Path(job.folder).name,
                    "protocol": PROTOCOL,
                    "methods": METHODS,
                }
                found = {"knobs": knobs, "environment": machine.environment(given.seed), "results": results}
                files.write_json(path, found)
    print(f"\n{table(results)}")


if __name__ == "__main__":
    main()
