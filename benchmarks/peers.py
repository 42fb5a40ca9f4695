"""attune beside its peers on one job: the same model, rows, epochs, batch and learning rate, in turn.

    python benchmarks/peers.py FOLDER --out results.json [--seeds 3] [--epochs 1] [--lr 1e-4] [--rows 3000]
        [--systems attune,trainer]

FOLDER has train.* and test.* as `attune train` reads them: texts or pairs with labels, tagged words, or questions.
The systems take turns, seed by seed: attune, from a head of random weights like the others, and from the start that a
run of its own gives it (`attune_start`, whose time is counted); transformers' Trainer as it comes, and tuned (grouped
by length, without its search for infinite losses); Lightning; sentence-transformers' CrossEncoder (labels only); and,
where the processor multiplies bfloat16, attune and the tuned Trainer in that (`attune_bf16`, `trainer_bf16`). Each is
a process of its own; the JSON holds real tokens per second of training (padding not counted) by the clock, by
processor seconds and at the machine's pace meanwhile (`sides/clock.py`), the score of the test rows and peak memory.
All follow `PROTOCOL`; tests/test_benchmarks.py holds that without dropout, on the same order of rows, attune and the
Trainer end with the same weights. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import comparison
from sides import cross_encoder, lightning, ours, trainer
from sides.job import PROTOCOL, Job, turn

SYSTEMS = {
    "attune": ours.run,
    "attune_start": partial(ours.run, start=True),
    "attune_bf16": partial(ours.run, precision="bfloat16"),
    "trainer": trainer.run,
    "trainer_tuned": partial(trainer.run, tuned=True),
    "trainer_bf16": partial(trainer.run, tuned=True, bf16=True),
    "lightning": lightning.run,
    "cross_encoder": cross_encoder.run,
}


def one(system: str, job: Job) -> None:
    """Runs one job in this process and prints its result as JSON."""
    from attune import machine

    found = SYSTEMS[system](job)
    found["peak_memory_mib"] = machine.peak_memory_mib()
    print(json.dumps({"system": system, "seed": job.seed, **found}))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--out", default="benchmarks/results/peers.json")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from --seed on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument(
        "--rows", type=int, default=0, help="the first so many training rows, shuffled; 0: all"
    )
    parser.add_argument("--tests", type=int, default=0, help="so many test rows, drawn once; 0: all")
    parser.add_argument("--systems", default="attune,trainer,trainer_tuned", help="which of them, by commas")
    parser.add_argument("--system", choices=SYSTEMS, help="only this job, in this process")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    unknown = set(given.systems.split(",")) - set(SYSTEMS)
    if unknown:
        parser.error(f"--systems: {', '.join(sorted(unknown))}; there are {', '.join(SYSTEMS)}")
    return given


def main() -> None:
    """Runs the systems in turn, or one of them (`--system`); the JSON is written after each turn."""
    from attune import files, machine

    given = arguments()
    job = Job(given.folder, given.model, given.epochs, given.lr, given.seed, given.rows, given.tests)
    if given.system:
        one(given.system, job)
        return
    results: list[dict] = []
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(given.seed, given.seed + given.seeds):
        for system in given.systems.split(","):
            results.append(turn(__file__, system, Job(**{**asdict(job), "seed": seed})))
            print(results[-1], flush=True)
            knobs = {**asdict(job), "folder": Path(job.folder).name, "protocol": PROTOCOL}
            found = {"knobs": knobs, "environment": machine.environment(given.seed), "results": results}
            files.write_json(path, found)
    print(f"\n{comparison.speeds(results)}\n\n{comparison.sentences(comparison.paired(results))}")


if __name__ == "__main__":
    main()
