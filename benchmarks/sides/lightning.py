"""Lightning on the same rows, model and protocol: its Trainer around transformers' model and a fused AdamW."""

from __future__ import annotations

import logging
import warnings

from sides.clock import Clock
from sides.job import PROTOCOL, Job, prepared, score_of
from sides.trainer import collator_of, model_of, rows_of, told_by


def run(job: Job) -> dict:
    """One training without validation, logging and checkpoints."""
    import pytorch_lightning
    import torch

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    ready, clock = prepared(job), Clock(job.model)
    pytorch_lightning.seed_everything(job.seed, verbose=False)
    module = _module(model_of(job, ready), job)
    loader = torch.utils.data.DataLoader(
        rows_of(ready), batch_size=PROTOCOL["batch"], shuffle=True, collate_fn=collator_of(ready)
    )
    trainer = pytorch_lightning.Trainer(
        accelerator="cpu",
        max_epochs=job.epochs,
        gradient_clip_val=PROTOCOL["clip"],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with clock.running():
        trainer.fit(module, loader)
    tokens = int(ready.features["train"].sequences.lengths.sum()) * job.epochs
    return clock.told() | {"tokens": tokens} | score_of(ready, told_by(ready, module.model))


def _module(model, job: Job):
    import pytorch_lightning
    import torch

    class Module(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model.train()  # Lightning leaves a model as it comes, and without dropout it comes

        def training_step(self, batch, _):
            return self.model(**batch).loss

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(
                self.parameters(), lr=job.lr, weight_decay=PROTOCOL["weight_decay"], fused=True
            )
            steps = self.trainer.estimated_stepping_batches
            falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": falling, "interval": "step"}}

    return Module()
