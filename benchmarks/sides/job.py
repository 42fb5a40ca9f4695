"""What all sides of a comparison share: the job, the protocol, the rows, the score, the process of their own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

# What every side does; the optimizer is AdamW with torch's own betas and epsilon on all of them.
PROTOCOL = {
    "batch": 32,
    "max_tokens": 256,
    "clip": 1.0,
    "weight_decay": 0.0,
    "warmup": 0,
    "schedule": "linear",
}
SHUFFLE = 0  # seed of the choice of `rows` and `tests`: the same rows for all systems and seeds


@dataclass(frozen=True)
class Job:
    """One training: from which rows and model, how long, how fast, with which seed."""

    folder: str
    model: str
    epochs: int
    lr: float
    seed: int
    rows: int  # training rows; 0: all
    tests: int = 0  # test rows; 0: all


def prepared(job: Job):
    """The rows of the folder, understood, split and encoded by attune: what both sides learn from."""
    from attune import prepare, recipe_file
    from attune.models import load

    limit = min(PROTOCOL["max_tokens"], load.positions(job.model))
    knobs = {"model.base": job.model, "model.max_tokens": limit, "train.seed": 0}
    found = prepare.rows(recipe_file.load(job.folder, [], knobs))
    for split, most in (("train", job.rows), ("test", job.tests)):
        if most:
            order = list(range(len(found.tables[split])))
            random.Random(SHUFFLE).shuffle(order)
            found.tables[split] = found.tables[split].take(order[:most])
    return prepare.prepare(found)


def length_of(ready) -> float:
    """The mean length of the sequence that a training token stands in."""
    lengths = ready.features["train"].sequences.lengths.astype(float)
    return float((lengths**2).sum() / lengths.sum())


def score_of(ready, predictions) -> dict:
    """The accuracy of the test predictions (or the task's main metric), and the log loss where there is one.

    The loss tells two trainings apart long before the accuracy of some hundred rows does.
    """
    scores = ready.task.score(ready.gold["test"], predictions)
    metric = "accuracy" if "accuracy" in scores else ready.task.main_metric
    return {
        "metric": metric,
        "score": scores[metric],
        "log_loss": scores.get("log_loss"),
        "length": length_of(ready),
        "n": len(ready.rows.tables["test"]),
    }


def turn(script: str, system: str, job: Job) -> dict:
    """The result of one job in a process of its own; waiting threads sleep in all of them."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    words = [sys.executable, str(Path(script).resolve()), job.folder, "--system", system]
    for field in fields(job)[1:]:  # the script knows what is not said
        value = getattr(job, field.name)
        words += [f"--{field.name}", str(value)] if value != field.default else []
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{system}, seed {job.seed}, failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
