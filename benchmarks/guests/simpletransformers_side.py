"""simpletransformers: ClassificationModel, with its own defaults but for what the job says."""

from __future__ import annotations

import tempfile

import pandas
from common import finished, given
from simpletransformers.classification import ClassificationArgs, ClassificationModel

job = given()

labels = sorted({label for _, label in job.train})
with tempfile.TemporaryDirectory() as folder:
    args = ClassificationArgs(
        num_train_epochs=job.epochs, learning_rate=job.lr, train_batch_size=job.batch, eval_batch_size=32,
        max_seq_length=job.max_tokens, manual_seed=job.seed, output_dir=folder, overwrite_output_dir=True,
        no_save=True, use_multiprocessing=False, use_multiprocessing_for_evaluation=False,
        reprocess_input_data=True, no_cache=True, labels_list=labels, silent=True,
    )  # fmt: skip
    model = ClassificationModel("bert", job.model, num_labels=len(labels), args=args, use_cuda=False)
    model.train_model(pandas.DataFrame(job.train, columns=["text", "labels"]))
    told, _ = model.predict([text for text, _ in job.test])
finished(job, told)
