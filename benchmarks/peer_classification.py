"""attune beside Hugging Face's Trainer: the same model, rows, epochs, batch and learning rate, in turn.

    python benchmarks/peer_classification.py FOLDER --out results.json [--seeds 3] [--epochs 1] [--lr 1e-4]

FOLDER has train.* and test.* as `attune train` reads them. Three systems take turns, seed by seed: attune, the
Trainer as it comes, and the Trainer with `train_sampling_strategy="group_by_length"`. Each is a process of its
own; the JSON holds real tokens per second of training (padding not counted), test accuracy and peak memory.
Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SYSTEMS = ("attune", "trainer", "trainer_grouped")


def rows(folder: str):
    """Texts and labels of train and test, as attune reads them, and the label names."""
    from attune.data import read, roles

    tables = read.read_splits(folder)
    found = roles.infer(tables["train"])
    names = sorted({str(label) for label in tables["train"].column(found.label)})
    split = {
        part: (
            tables[part].column(found.text),
            [names.index(str(x)) for x in tables[part].column(found.label)],
        )
        for part in ("train", "test")
    }
    return split, names


def attune_job(folder: str, knobs: dict) -> dict:
    """One training by attune's loop, its test rows predicted at the end; no validation, no checkpoints."""
    import numpy as np
    import torch

    from attune.models import load
    from attune.models.tokens import TextEncoder
    from attune.tasks.base import batch_of
    from attune.tasks.classification import Classification, Options
    from attune.training import batches, loop, optim, schedule, update

    split, names = rows(folder)
    task = Classification(Options())
    task.labels = tuple(names)
    encoder = TextEncoder(load.tokenizer(knobs["model"]), max_tokens=256)
    features = {part: task.encode(texts, encoder, np.asarray(gold)) for part, (texts, gold) in split.items()}
    model = load.backbone(knobs["model"], "classification", names, seed=knobs["seed"])
    learner = update.Learner(task, model, optim.adamw(model.model, weight_decay=0.0), 1.0, str)
    train = features["train"]
    parts = [
        part
        for epoch in range(knobs["epochs"])
        for part in batches.steps_of(train, batch=32, by="rows", seed=knobs["seed"], epoch=epoch)
    ]
    began, tokens = time.perf_counter(), 0
    for step, part in enumerate(parts, 1):
        torch.manual_seed(knobs["seed"] * 1_000_003 + step)
        micro = (batch_of(train, chosen) for chosen in batches.micro_batches(train, part, tokens=16384))
        lr = knobs["lr"] * schedule.factor("linear", step - 1, len(parts), 0)
        tokens += update.update(learner, micro, count=train.count(part), lr=lr).tokens
    seconds = time.perf_counter() - began
    taken: list = []
    for _ in loop.predicted(task, model, features["test"], taken.append):
        pass
    accuracy = float((task.join(taken[0], features["test"]).argmax(1) == np.asarray(split["test"][1])).mean())
    return {"seconds": seconds, "tokens": tokens, "accuracy": accuracy}


def trainer_job(folder: str, knobs: dict, *, grouped: bool) -> dict:
    """One training by transformers' Trainer on the same rows."""
    import numpy as np
    import torch
    import transformers
    from datasets import Dataset

    from attune.models import load

    transformers.logging.set_verbosity_error()
    split, names = rows(folder)
    place = load.locate(knobs["model"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    made = {}
    for part, (texts, gold) in split.items():
        held = tokenizer(list(texts), truncation=True, max_length=256)
        held = {"input_ids": held["input_ids"], "attention_mask": held["attention_mask"]}
        made[part] = Dataset.from_dict(
            {**held, "labels": gold, "length": [len(x) for x in held["input_ids"]]}
        )
    transformers.set_seed(knobs["seed"])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        place, dtype=torch.float32, num_labels=len(names)
    )
    arguments = transformers.TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        seed=knobs["seed"],
        num_train_epochs=knobs["epochs"],
        learning_rate=knobs["lr"],
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        train_sampling_strategy="group_by_length" if grouped else "random",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=10**6,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=made["train"],
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    said = trainer.predict(made["test"]).predictions.argmax(1)
    tokens = sum(made["train"]["length"]) * knobs["epochs"]
    return {
        "seconds": seconds,
        "tokens": tokens,
        "accuracy": float((said == np.asarray(split["test"][1])).mean()),
    }


def one(system: str, folder: str, knobs: dict) -> None:
    """Runs one job in this process and prints its result as JSON."""
    import resource

    if system == "attune":
        found = attune_job(folder, knobs)
    else:
        found = trainer_job(folder, knobs, grouped=system.endswith("grouped"))
    found["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"system": system, "seed": knobs["seed"], **found}))


def table(results: list[dict]) -> str:
    """The means over the seeds, and the ratio to the Trainer as it comes, seed by seed."""
    lines = [
        "| system | real tokens/s | x Trainer | accuracy (each seed) | peak memory MiB |",
        "|---|---|---|---|---|",
    ]
    speed = {(r["system"], r["seed"]): r["tokens"] / r["seconds"] for r in results}
    for system in SYSTEMS:
        own = [r for r in results if r["system"] == system]
        ratios = [speed[system, r["seed"]] / speed["trainer", r["seed"]] for r in own]
        accuracy = ", ".join(f"{r['accuracy']:.4f}" for r in own)
        lines.append(
            f"| {system} | {statistics.median(speed[system, r['seed']] for r in own):,.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {accuracy} "
            f"| {max(r['peak_memory_mib'] for r in own):,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs all systems in turn, or one of them (`--system`)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--out", default="benchmarks/results/peer_classification.json")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--system", choices=SYSTEMS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.system:
        one(
            given.system,
            given.folder,
            {name: getattr(given, name) for name in ("model", "epochs", "lr", "seed")},
        )
        return
    results = []
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    for seed in range(given.seeds):
        for system in SYSTEMS:
            words = [sys.executable, __file__, given.folder, "--system", system, "--seed", str(seed)]
            words += ["--model", given.model, "--epochs", str(given.epochs), "--lr", str(given.lr)]
            done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
            results.append(json.loads(done.stdout.strip().splitlines()[-1]))
            print(results[-1], flush=True)
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"knobs": vars(given), "results": results}, indent=1), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
