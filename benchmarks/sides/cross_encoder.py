"""sentence-transformers' CrossEncoder with its own trainer: classification only, texts tokenized as it goes."""

from __future__ import annotations

import tempfile

from sides.clock import Clock
from sides.job import PROTOCOL, Job, prepared, score_of
from sides.trainer import told_by


def run(job: Job) -> dict:
    """One training on the texts of the same rows."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer
    from sentence_transformers.cross_encoder.losses import CrossEntropyLoss
    from transformers import set_seed

    from attune.models import load

    ready, clock = prepared(job), Clock(job.model)
    set_seed(job.seed)
    model = CrossEncoder(
        str(load.locate(job.model)),
        num_labels=len(ready.task.labels),
        max_length=ready.recipe.model.max_tokens,
        device="cpu",
        model_kwargs={"dtype": torch.float32},
    )
    with tempfile.TemporaryDirectory() as output:
        trainer = CrossEncoderTrainer(
            model, _arguments(job, output), train_dataset=_rows(ready), loss=CrossEntropyLoss(model)
        )
        with clock.running():
            trainer.train()
    tokens = int(ready.features["train"].sequences.lengths.sum()) * job.epochs
    return clock.told() | {"tokens": tokens} | score_of(ready, told_by(ready, model.model))


def _rows(ready):
    from datasets import Dataset

    table, gold = ready.rows.tables["train"], ready.gold["train"]
    seconds = table.column("pair") if "pair" in table.columns else [""] * len(table)
    return Dataset.from_dict({"text": table.column("text"), "pair": seconds, "label": list(map(int, gold))})


def _arguments(job: Job, output: str):
    from sentence_transformers.cross_encoder import CrossEncoderTrainingArguments

    return CrossEncoderTrainingArguments(
        output_dir=output,
        use_cpu=True,
        seed=job.seed,
        num_train_epochs=job.epochs,
        learning_rate=job.lr,
        lr_scheduler_type=PROTOCOL["schedule"],
        weight_decay=PROTOCOL["weight_decay"],
        max_grad_norm=PROTOCOL["clip"],
        per_device_train_batch_size=PROTOCOL["batch"],
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=10**6,
        dataloader_pin_memory=False,
    )
