"""SetFit: pairs of texts pull a sentence model together or apart, then a logistic regression reads it.

Left to itself it draws every pair, half a million of 1,000 rows: here each row is in one pair of each kind
(`num_iterations=1`), which is the least that it can be asked for. The rate is the job's, its own is 2e-5.
"""

from __future__ import annotations

import tempfile

from common import finished, given
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

job = given()

model = SetFitModel.from_pretrained(job.model)
model.model_body.max_seq_length = job.max_tokens
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder, num_iterations=1, num_epochs=job.epochs, batch_size=job.batch,
        body_learning_rate=job.lr, seed=job.seed, report_to="none", save_strategy="no", show_progress_bar=False,
    )  # fmt: skip
    rows = Dataset.from_dict(
        {"text": [text for text, _ in job.train], "label": [label for _, label in job.train]}
    )
    Trainer(model=model, args=arguments, train_dataset=rows).train()
finished(job, list(model.predict([text for text, _ in job.test], batch_size=32)))
