"""transformers' Trainer on the same rows, model and protocol; its other settings are its own defaults."""

from __future__ import annotations

import tempfile

from sides.clock import Clock
from sides.job import PROTOCOL, Job, prepared, score_of


def rows_of(ready):
    """The training features as the Trainer takes them: encoded before the clock runs, as attune's."""
    from datasets import Dataset

    features = ready.features["train"]
    sequences, offsets = features.sequences, features.wanted_offsets
    made: list[dict] = []
    for feature in range(len(features)):
        ids = sequences[feature].tolist()
        row = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        if sequences.kinds is not None:
            own = slice(sequences.offsets[feature], sequences.offsets[feature + 1])
            row["token_type_ids"] = sequences.kinds[own].tolist()
        asked = slice(offsets[feature], offsets[feature + 1])
        if ready.task.head == "qa":
            row["start_positions"], row["end_positions"] = features.targets[feature].tolist()
        elif ready.task.head == "tagging":
            row["labels"] = [-100] * len(ids)
            for place, target in zip(features.wanted[asked], features.targets[asked], strict=True):
                row["labels"][place] = int(target)
        else:
            row["labels"] = features.targets[asked][0].tolist()
        made.append(row)
    return Dataset.from_list(made)


def model_of(job: Job, ready):
    """transformers' model with a head from the seed."""
    import torch
    import transformers

    from attune.models import load

    transformers.set_seed(job.seed)
    return getattr(transformers, load.HEADS[ready.task.head][0]).from_pretrained(
        load.locate(job.model), dtype=torch.float32, **load.outputs(ready.task.head, ready.task.labels)
    )


def collator_of(ready):
    """What makes padded batches of rows."""
    import transformers

    if ready.task.head == "tagging":
        return transformers.DataCollatorForTokenClassification(ready.tokenizer)
    return transformers.DataCollatorWithPadding(ready.tokenizer)


def trainer_of(job: Job, ready, *, output: str, tuned: bool, model=None, **more):
    """The Trainer on the same model (or the one that is given) and protocol, else with its own defaults.

    Tuned, it groups rows by length and does not look for infinite losses at every step; `more` are arguments of it.
    """
    import transformers

    usual = {
        "use_cpu": True,
        "num_train_epochs": job.epochs,
        "learning_rate": job.lr,
        "lr_scheduler_type": PROTOCOL["schedule"],
        "warmup_steps": PROTOCOL["warmup"],
        "weight_decay": PROTOCOL["weight_decay"],
        "max_grad_norm": PROTOCOL["clip"],
        "per_device_train_batch_size": PROTOCOL["batch"],
        "train_sampling_strategy": "group_by_length" if tuned else "random",
        "logging_nan_inf_filter": not tuned,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 10**6,
        "dataloader_pin_memory": False,
    }
    arguments = transformers.TrainingArguments(output_dir=output, seed=job.seed, **(usual | more))
    return transformers.Trainer(
        model_of(job, ready) if model is None else model,
        arguments,
        train_dataset=rows_of(ready),
        data_collator=collator_of(ready),
        processing_class=ready.tokenizer,
    )


def run(job: Job, *, tuned: bool = False, **more) -> dict:
    """One training on the same rows; what it learned answers one row at a time. `more` are arguments of it."""
    import transformers

    transformers.logging.set_verbosity_error()
    ready, clock = prepared(job), Clock(job.model)
    with tempfile.TemporaryDirectory() as output:
        trainer = trainer_of(job, ready, output=output, tuned=tuned, **more)
        with clock.running():
            trainer.train()
    tokens = int(ready.features["train"].sequences.lengths.sum()) * job.epochs
    return clock.told() | {"tokens": tokens} | score_of(ready, told_by(ready, trainer.model))


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
