"""Flair: a TransformerDocumentEmbeddings classifier, fine-tuned as its tutorial does."""

from __future__ import annotations

import tempfile

import flair
import torch
from common import finished, given
from flair.data import Corpus, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import TransformerDocumentEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer

job = given()

flair.device = torch.device("cpu")
flair.set_seed(job.seed)


def sentences(rows):
    """The rows as Flair's sentences with a label."""
    made = [Sentence(text) for text, _ in rows]
    for sentence, (_, label) in zip(made, rows, strict=True):
        sentence.add_label("label", label)
    return made


corpus = Corpus(train=FlairDatapointDataset(sentences(job.train)), sample_missing_splits=False)
embeddings = TransformerDocumentEmbeddings(job.model, fine_tune=True)
classifier = TextClassifier(
    embeddings, label_type="label", label_dictionary=corpus.make_label_dictionary("label")
)
with tempfile.TemporaryDirectory() as folder:
    ModelTrainer(classifier, corpus).fine_tune(
        folder, learning_rate=job.lr, mini_batch_size=job.batch, max_epochs=job.epochs, save_final_model=False
    )
asked = [Sentence(text) for text, _ in job.test]
classifier.predict(asked, mini_batch_size=32)
finished(job, [sentence.get_label("label").value for sentence in asked])
