"""How long attune trains until it is as good as the Trainer is after three epochs at its own defaults.

    python benchmarks/time_to_accuracy.py FOLDER [--rows 3000] [--seeds 3] [--every 10]

The Trainer takes its defaults (batch 8, rate 5e-5, linear to zero, three epochs, random order); its score on the test
rows at the end is the target. attune takes its own defaults (batch 32, the rate and warm-up of its recipe, three
epochs planned, a new head that begins at a linear model, whose time is counted) and is scored on the same rows every
`--every` steps; the time is that at the first of two scores in a row that reach the target, so that no lucky one
counts. Only training is on the clocks: not reading, not scoring. Both are processes of their own, in turn, seed by
seed. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from sides import ours, trainer
from sides.clock import Clock, paced
from sides.job import PROTOCOL, Job, prepared, score_of

DEFAULTS = {"per_device_train_batch_size": 8, "learning_rate": 5e-5}  # the Trainer's own, said for the record
EPOCHS = 3
IN_A_ROW = 2


def by_trainer(job: Job) -> dict:
    """The Trainer at its defaults, to the end."""
    ready, clock = prepared(job), Clock(job.model)
    with tempfile.TemporaryDirectory() as output:
        trains = trainer.trainer_of(job, ready, output=output, tuned=False, **DEFAULTS)
        with clock.running():
            trains.train()
    return clock.told() | score_of(ready, trainer.told_by(ready, trains.model))


def by_attune(job: Job, target: float, every: int) -> dict:
    """attune's own defaults, until the target is reached twice in a row; nothing where it never is."""
    from attune.training import loop
    from attune.training.start import HeadStart

    PROTOCOL["warmup"] = 0.1  # as in its recipe
    ready, clock = prepared(job), Clock(job.model)
    learner, train = ours.learner_of(job, ready), ready.features["train"]
    scores, reached = [], []

    def after(step: int) -> bool:
        if step % every:
            return False
        with clock.stopped():
            found = score_of(ready, loop.predictions(ready.task, learner.model, ready.features["test"]))
            scores.append([step, found["score"]])
            reached.append({**clock.told(), **found, "steps": step} if found["score"] >= target else None)
        return len(reached) >= IN_A_ROW and all(reached[-IN_A_ROW:])

    with clock.running():
        list(HeadStart(ready.task, learner.model).take(train, epochs=job.epochs, seed=job.seed))
        ours.trained(job, learner, train, after=after)
    first = reached[-IN_A_ROW] if len(reached) >= IN_A_ROW and all(reached[-IN_A_ROW:]) else None
    return {"reached": first is not None, **(first or clock.told()), "scores": scores}


def told(words: list[str]) -> dict:
    """What a process of this script printed."""
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Both sides in turn, or one of them (`--target` says which)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument(
        "--lr", type=float, default=1e-4, help="attune's rate; auto of its recipe for starter/bert"
    )
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--out", default="benchmarks/results/time_to_accuracy.json")
    parser.add_argument("--seed", type=int, default=-1, help="one side of this seed, in this process")
    parser.add_argument("--target", type=float, default=-1.0, help="attune's; below 0: the Trainer's side")
    given = parser.parse_args()
    job = Job(given.folder, given.model, EPOCHS, given.lr, given.seed, given.rows)
    if given.seed >= 0:
        side = by_trainer(job) if given.target < 0 else by_attune(job, given.target, given.every)
        print(json.dumps(side))
        return
    from attune import files, machine

    out, results = Path(given.out), []
    out.parent.mkdir(parents=True, exist_ok=True)
    common = [given.folder, "--rows", str(given.rows), "--lr", str(given.lr), "--every", str(given.every)]
    for seed in range(given.seeds):
        theirs = told([*common, "--seed", str(seed)])
        own = told([*common, "--seed", str(seed), "--target", str(theirs["score"])])
        results.append({"seed": seed, "trainer": theirs, "attune": own})
        share = paced(own) / paced(theirs)
        print(
            f"seed {seed}: {theirs['score']:.4f} after {theirs['cpu_seconds']:.0f} s of CPU; attune", end=" "
        )
        print(f"after {own['cpu_seconds']:.0f} s: {share:.2f}" if own["reached"] else "never", flush=True)
        files.write_json(out, {"environment": machine.environment(0), "results": results})
    shares = [paced(r["attune"]) / paced(r["trainer"]) for r in results if r["attune"]["reached"]]
    if shares:
        print(f"median {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})")


if __name__ == "__main__":
    main()
