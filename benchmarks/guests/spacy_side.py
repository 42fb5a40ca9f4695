"""spaCy with spacy-transformers: a transformer and a text classifier that listens to it."""

from __future__ import annotations

import random

import spacy
from common import finished, given
from spacy.training import Example
from spacy.util import minibatch

job = given()

spacy.util.fix_random_seed(job.seed)
CONFIG = {
    "model": {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": job.model,
        "tokenizer_config": {"use_fast": True},
        "get_spans": {"@span_getters": "spacy-transformers.doc_spans.v1"},
    }
}
LISTENER = {
    "model": {
        "@architectures": "spacy.TextCatReduce.v1",
        "exclusive_classes": True,
        "use_reduce_first": False,
        "use_reduce_last": False,
        "use_reduce_max": False,
        "use_reduce_mean": True,
        "tok2vec": {
            "@architectures": "spacy-transformers.TransformerListener.v1",
            "grad_factor": 1.0,
            "pooling": {"@layers": "reduce_mean.v1"},
        },
    }
}
nlp = spacy.blank("en")
nlp.add_pipe("transformer", config=CONFIG)
nlp.add_pipe("textcat", config=LISTENER)
labels = sorted({label for _, label in job.train})


def example(text, label):
    """A row as spaCy trains on it."""
    return Example.from_dict(nlp.make_doc(text), {"cats": {name: float(name == label) for name in labels}})


train = [example(*row) for row in job.train]
nlp.initialize(lambda: train)
optimizer = nlp.resume_training()
steps, done = job.epochs * -(-len(train) // job.batch), 0
for _ in range(job.epochs):
    random.Random(job.seed).shuffle(train)
    for batch in minibatch(train, job.batch):
        optimizer.learn_rate = job.lr * (1 - done / steps)
        nlp.update(batch, sgd=optimizer, drop=0.1)
        done += 1
finished(
    job, [max(doc.cats, key=doc.cats.get) for doc in nlp.pipe((text for text, _ in job.test), batch_size=32)]
)
