"""attune beside Hugging Face's Trainer: the same model, rows, epochs, batch and learning rate, in turn.

    python benchmarks/peer_trainer.py FOLDER --out results.json [--seeds 3] [--epochs 1] [--lr 1e-4]
        [--rows 3000] [--systems attune,trainer]

FOLDER has train.* and test.* as `attune train` reads them: texts or pairs with labels, or tagged words. Three
systems take turns, seed by seed: attune, the Trainer as it comes, and the Trainer with
`train_sampling_strategy="group_by_length"`. Each is a process of its own; the JSON holds real tokens per second
of training (padding not counted), the score of the test rows and peak memory. Both sides follow `PROTOCOL`;
tests/test_benchmarks.py holds that without dropout, on the same order of rows, they end with the same weights.
Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SYSTEMS = ("attune", "trainer", "trainer_grouped")
# What both sides do; the optimizer is torch's fused AdamW with its own betas and epsilon on both.
PROTOCOL = {
    "batch": 32,
    "max_tokens": 256,
    "clip": 1.0,
    "weight_decay": 0.0,
    "warmup": 0,
    "schedule": "linear",
}
SHUFFLE = 0  # seed of the choice of `--rows`: the same rows for all systems and seeds


@dataclass(frozen=True)
class Job:
    """One training: from which rows and model, how long, how fast, with which seed."""

    folder: str
    model: str
    epochs: int
    lr: float
    seed: int
    rows: int  # training rows; 0: all


def prepared(job: Job):
    """The rows of the folder, understood, split and encoded by attune: what both sides learn from."""
    from attune import prepare, recipe_file
    from attune.models import load

    limit = min(PROTOCOL["max_tokens"], load.positions(job.model))
    knobs = {"model.base": job.model, "model.max_tokens": limit, "train.seed": 0}
    found = prepare.rows(recipe_file.load(job.folder, [], knobs))
    if job.rows:
        order = list(range(len(found.tables["train"])))
        random.Random(SHUFFLE).shuffle(order)
        found.tables["train"] = found.tables["train"].take(order[: job.rows])
    return prepare.prepare(found)


def score_of(ready, predictions) -> dict:
    """The accuracy of the test predictions, or the task's main metric where it has none."""
    scores = ready.task.score(ready.gold["test"], predictions)
    metric = "accuracy" if "accuracy" in scores else ready.task.main_metric
    return {"metric": metric, "score": scores[metric], "n": len(ready.rows.tables["test"])}


def attune_learner(job: Job, ready):
    """What attune trains."""
    from attune.models import load
    from attune.training import optim, update

    task = ready.task
    model = load.backbone(job.model, task.head, task.labels, seed=job.seed, problem=task.problem)
    optimizer = optim.adamw(model.model, weight_decay=PROTOCOL["weight_decay"])
    return update.Learner(task, model, optimizer, PROTOCOL["clip"], str)


def attune_steps(job: Job, train):
    """The rows of each of attune's steps."""
    from attune.training import batches

    return [
        part
        for epoch in range(job.epochs)
        for part in batches.steps_of(train, batch=PROTOCOL["batch"], by="rows", seed=job.seed, epoch=epoch)
    ]


def attune_trained(job: Job, learner, train) -> int:
    """Trains; returns the tokens that were read."""
    import torch

    from attune.tasks.features import batch_of
    from attune.training import batches, schedule, update

    steps, tokens = attune_steps(job, train), 0
    for step, part in enumerate(steps, 1):
        torch.manual_seed(job.seed * 1_000_003 + step)
        micro = (batch_of(train, chosen) for chosen in batches.micro_batches(train, part, tokens=16384))
        lr = job.lr * schedule.factor(PROTOCOL["schedule"], step - 1, len(steps), PROTOCOL["warmup"])
        tokens += update.update(learner, micro, count=train.count(part), lr=lr).tokens
    return tokens


def attune_job(job: Job) -> dict:
    """One training by attune's update, its test rows predicted at the end; no validation, no checkpoints."""
    from attune.training import loop

    ready = prepared(job)
    learner = attune_learner(job, ready)
    began = time.perf_counter()
    tokens = attune_trained(job, learner, ready.features["train"])
    seconds = time.perf_counter() - began
    told = loop.predictions(ready.task, learner.model, ready.features["test"])
    return {"seconds": seconds, "tokens": tokens, **score_of(ready, told)}


def trainer_rows(ready):
    """The training features as the Trainer takes them: encoded before the clock runs, as attune's."""
    from datasets import Dataset

    features = ready.features["train"]
    sequences, offsets = features.sequences, features.wanted_offsets
    made: list[dict] = []
    for feature in range(len(features)):
        ids = sequences[feature].tolist()
        row = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        if sequences.kinds is not None:
            row["token_type_ids"] = sequences.kinds_of(feature).tolist()
        asked = slice(offsets[feature], offsets[feature + 1])
        if ready.task.head == "tagging":
            row["labels"] = [-100] * len(ids)
            for place, target in zip(features.wanted[asked], features.targets[asked], strict=True):
                row["labels"][place] = int(target)
        else:
            row["labels"] = features.targets[asked][0].tolist()
        made.append(row)
    return Dataset.from_list(made)


def trainer_of(job: Job, ready, *, output: str, grouped: bool):
    """The Trainer on the same model and protocol; its other settings are its own defaults."""
    import torch
    import transformers

    from attune.models import load

    transformers.set_seed(job.seed)
    model = getattr(transformers, load.HEADS[ready.task.head][0]).from_pretrained(
        load.locate(job.model), dtype=torch.float32, num_labels=len(ready.task.labels)
    )
    arguments = transformers.TrainingArguments(
        output_dir=output,
        use_cpu=True,
        seed=job.seed,
        num_train_epochs=job.epochs,
        learning_rate=job.lr,
        lr_scheduler_type=PROTOCOL["schedule"],
        warmup_steps=PROTOCOL["warmup"],
        weight_decay=PROTOCOL["weight_decay"],
        max_grad_norm=PROTOCOL["clip"],
        per_device_train_batch_size=PROTOCOL["batch"],
        train_sampling_strategy="group_by_length" if grouped else "random",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=10**6,
        dataloader_pin_memory=False,
    )
    tagging = ready.task.head == "tagging"
    collators = (transformers.DataCollatorWithPadding, transformers.DataCollatorForTokenClassification)
    return transformers.Trainer(
        model,
        arguments,
        train_dataset=trainer_rows(ready),
        data_collator=collators[tagging](ready.tokenizer),
        processing_class=ready.tokenizer,
    )


def trainer_job(job: Job, *, grouped: bool) -> dict:
    """One training by transformers' Trainer on the same rows; what it learned answers one row at a time."""
    import transformers

    transformers.logging.set_verbosity_error()
    ready = prepared(job)
    with tempfile.TemporaryDirectory() as output:
        trainer = trainer_of(job, ready, output=output, grouped=grouped)
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    tokens = int(ready.features["train"].sequences.lengths.sum()) * job.epochs
    return {"seconds": seconds, "tokens": tokens, **score_of(ready, told_by(ready, trainer.model))}


def told_by(ready, model):
    """The test predictions of a transformers model as it comes."""
    import numpy as np
    import torch

    from attune.parity import Plain
    from attune.tasks.features import batch_of

    features, plain, pieces = ready.features["test"], Plain(model.eval()), []
    for feature in range(len(features)):
        batch = batch_of(features, np.asarray([feature]))
        with torch.inference_mode():
            pieces += ready.task.predict(ready.task.logits(plain, batch), batch)
    return ready.task.join(pieces, features)


def one(system: str, job: Job) -> None:
    """Runs one job in this process and prints its result as JSON."""
    import resource

    found = attune_job(job) if system == "attune" else trainer_job(job, grouped=system == "trainer_grouped")
    found["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"system": system, "seed": job.seed, **found}))


def table(results: list[dict]) -> str:
    """Median speed, its ratio to the reference seed by seed, score and memory of each system."""
    reference = reference_of(results)
    lines = [
        f"| system | real tokens/s | x {reference}, median (range) "
        f"| {results[0]['metric']} (each seed) | peak memory MiB |",
        "|---|---|---|---|---|",
    ]
    speed = {(r["system"], r["seed"]): r["tokens"] / r["seconds"] for r in results}
    for system in systems_of(results):
        own = [r for r in results if r["system"] == system]
        ratios = [speed[system, r["seed"]] / speed[reference, r["seed"]] for r in own]
        score = ", ".join(f"{r['score']:.4f}" for r in own)
        lines.append(
            f"| {system} | {statistics.median(speed[system, r['seed']] for r in own):,.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {score} "
            f"| {max(r['peak_memory_mib'] for r in own):,.0f} |"
        )
    return "\n".join(lines)


def paired(results: list[dict]) -> list[dict]:
    """The mean difference in score to the reference over the seeds, with its 95 % t interval."""
    from scipy import stats

    reference, found = reference_of(results), []
    held = {(r["system"], r["seed"]): r["score"] for r in results}
    for system in systems_of(results):
        gaps = [held[system, seed] - held[reference, seed] for name, seed in held if name == system]
        if system == reference:
            continue
        mean, half = statistics.fmean(gaps), float("nan")
        if len(gaps) > 1:
            error = statistics.stdev(gaps) / len(gaps) ** 0.5
            half = float(stats.t.ppf(0.975, len(gaps) - 1)) * error
        found.append(
            {"system": system, "reference": reference, "difference": mean, "half": half, "n": len(gaps)}
        )
    return found


def sentences(gaps: list[dict]) -> str:
    """The paired differences, one a line."""
    lines = []
    for gap in gaps:
        start = f"score of {gap['system']} - {gap['reference']}: {gap['difference']:+.4f}"
        low, high = gap["difference"] - gap["half"], gap["difference"] + gap["half"]
        lines.append(
            f"{start} [{low:+.4f}, {high:+.4f}], 95 % t interval over {gap['n']} seeds"
            if gap["n"] > 1
            else f"{start}, one seed: no interval"
        )
    return "\n".join(lines)


def systems_of(results: list[dict]) -> list[str]:
    """The systems that ran, in the order of their first turn."""
    return list(dict.fromkeys(result["system"] for result in results))


def reference_of(results: list[dict]) -> str:
    """What the others are compared with: the Trainer as it comes, if it ran."""
    ran = systems_of(results)
    return "trainer" if "trainer" in ran else ran[0]


def turn(system: str, job: Job) -> dict:
    """The result of one job in a process of its own; waiting threads sleep in all of them."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    words = [sys.executable, str(Path(__file__).resolve()), job.folder, "--system", system]
    for name, value in asdict(job).items():
        words += [f"--{name}", str(value)] if name != "folder" else []
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{system}, seed {job.seed}, failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--out", default="benchmarks/results/peer_trainer.json")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from --seed on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument(
        "--rows", type=int, default=0, help="the first so many training rows, shuffled; 0: all"
    )
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which of them, by commas")
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
    job = Job(given.folder, given.model, given.epochs, given.lr, given.seed, given.rows)
    if given.system:
        one(given.system, job)
        return
    results: list[dict] = []
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(given.seed, given.seed + given.seeds):
        for system in given.systems.split(","):
            results.append(turn(system, Job(**{**asdict(job), "seed": seed})))
            print(results[-1], flush=True)
            knobs = {**asdict(job), "folder": Path(job.folder).name, "protocol": PROTOCOL}
            found = {"knobs": knobs, "environment": machine.environment(given.seed), "results": results}
            files.write_json(path, found)
    print(f"\n{table(results)}\n\n{sentences(paired(results))}")


if __name__ == "__main__":
    main()
