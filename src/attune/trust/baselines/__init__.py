"""What a model has to beat, learned from the same training rows: honest, quick, and named by what it does."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from attune.data.table import Table

NAMES = {
    "majority": "the majority class",
    "tfidf_logreg": "TF-IDF + logistic regression",
    "tfidf_logreg_100k": "TF-IDF + logistic regression on 100,000 of the rows",
    "tfidf_ovr": "TF-IDF + one logistic regression a label",
    "tfidf_ovr_100k": "TF-IDF + one logistic regression a label on 100,000 of the rows",
    "frequent_labels": "always the most frequent labels",
    "mean": "always the mean",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "tfidf_ridge_100k": "TF-IDF + ridge regression on 100,000 of the rows",
    "dictionary": "a dictionary of the training entities",
    "frequent_tag": "the most frequent tag of each word",
    "overlap": "the sentence with most words of the question",
    "no_answer": "never an answer",
    "token_overlap": "the overlap of words",
    "untrained": "the same model before training",
}
# the module with `classification(...)`-like functions, one a task
HOMES = {
    "classification": "bags",
    "sentiment": "bags",
    "multilabel": "bags",
    "regression": "bags",
    "tagging": "dictionary",
    "qa": "overlap",
    "similarity": "overlap",
}


def of(task: Any, tables: dict[str, Table], gold: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each baseline's key in NAMES and its predictions for the test rows, in the form of the task's own."""
    name = "classification" if task.name == "sentiment" else task.name
    module = import_module(f"attune.trust.baselines.{HOMES[task.name]}")
    yield from getattr(module, name)(task, tables, gold)
