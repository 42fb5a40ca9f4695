"""How the scores of each metric are explained and written; their scale is that of `metrics.scales`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from attune.metrics.scales import SCALES, scale
from attune.report import wording
from attune.report.folder import finite
from attune.report.kinds import Kind

# one line each; {label}, {unit} and {row} are the words of the kind of run
EXPLAINED = {
    "accuracy": "share of the {unit}s that get the right {label}",
    "f1_macro": "balance of precision and recall, every {label} counting the same",
    "f1_micro": "balance of precision and recall over all {unit}s",
    "f1_weighted": "balance of precision and recall, {label}s counting by their {unit}s",
    "f1_samples": "balance of precision and recall within each row, mean over the rows",
    "precision_macro": "how often a predicted {label} is right, mean over the {label}s",
    "precision_micro": "how often a predicted {label} is right",
    "precision_weighted": "how often a predicted {label} is right, {label}s counting by their {unit}s",
    "recall_macro": "how many {unit}s of a {label} are found, mean over the {label}s",
    "recall_micro": "how many of the true {label}s are found",
    "recall_weighted": "how many {unit}s of a {label} are found, {label}s counting by their {unit}s",
    "matthews_correlation": "agreement beyond chance: 0 is guessing, 1 is perfect",
    "log_loss": "penalty for confident mistakes",
    "ece": "mean gap between stated probability and share of right answers",
    "roc_auc": "chance that a positive row is ranked above a negative one",
    "average_precision": "mean precision over all thresholds",
    "subset_accuracy": "share of the rows whose labels are exactly right: none missed, none invented",
    "hamming_loss": "share of all yes-or-no decisions, one a row and label, that are wrong",
    "overall_f1": "balance of entity precision and entity recall; only whole entities of the right type count",
    "overall_precision": "share of the entities it names that are right, in extent and type",
    "overall_recall": "share of the true entities that it finds, in extent and type",
    "overall_accuracy": "share of the words that get the right tag",
    "strict": "an entity is right when its extent and its type are",
    "exact": "an entity is right when its extent is, whatever its type",
    "partial": "like the extent alone, but an overlap counts half",
    "type": "an entity is right when it overlaps a true one of its type",
    "exact_match": "share of the questions answered word for word",
    "f1": "overlap in words of an answer with the true one, mean over the questions",
    "HasAns_exact": "share of the questions with an answer that are answered word for word",
    "HasAns_f1": "words shared with the true answer, over the questions that have one",
    "NoAns_exact": "share of the questions without an answer of which the model says so",
    "NoAns_f1": "share of the questions without an answer of which the model says so",
    "pearson": "how well the predictions follow the true numbers on a straight line",
    "spearmanr": "agreement of the order of the predictions with the true order",
    "quadratic_weighted_kappa": "agreement beyond chance, far misses counting more than near ones",
    "r2": "share of the spread of the true numbers that the predictions explain; 0 is always saying the mean",
    "mse": "mean of the squared errors: large errors count most",
    "rmse": "typical size of an error, large errors counting more",
    "mae": "mean size of an error, in the unit of the numbers",
    "mrr": "mean of 1 / place of the right partner among all texts of the test",
    "recall": "share of the texts whose right partner is among the {k} nearest",
}
BASELINES = {
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


def baseline(key: str) -> str:
    """The name of a baseline as people write it."""
    return BASELINES.get(key, key.replace("_", " "))


def explained(metric: str, kind: Kind) -> str:
    """What a metric is, in a line; empty for one that is not known."""
    scheme, _, measure = metric.partition("_")
    if k := nearest(metric):
        return EXPLAINED["recall"].format(k=k)
    if measure in ("precision", "recall", "f1") and scheme in ("strict", "exact", "partial", "type"):
        return EXPLAINED[scheme]
    if metric not in EXPLAINED or metric in ("strict", "exact", "partial", "type", "recall"):
        return ""
    units = wording.plural(kind.unit)
    return EXPLAINED[metric].replace("{unit}s", units).format(label=kind.label)


def nearest(metric: str) -> str:
    """The k of recall among the k nearest; empty for other metrics."""
    found = re.fullmatch(r"recall@(\d+)", metric)
    return found[1] if found else ""


def lower_is_better(metric: str) -> bool:
    """Whether the metric is an error."""
    return scale(metric).lower_is_better


def perfect(metric: str) -> str:
    """What the best value is, as the end of a sentence; empty where nothing bounds it."""
    of = scale(metric)
    if lower_is_better(metric):
        return "lower is better, 0 is perfect"
    if not math.isfinite(of.high):
        return ""
    return f"{of.high:g} is perfect" + (", 0 is no relation" if of.low == -1 else "")


def order(metric: str) -> tuple[int, str]:
    """The place of a metric in a list: that of `metrics.scales`, unknown ones last."""
    known = list(SCALES)
    return (known.index(metric) if metric in SCALES else len(known), metric)


def written(metric: str, value: Any, digits: int = 3) -> str:
    """A score with the decimals of its scale: three of [0, 1] are one of [0, 100]."""
    return wording.score(value, _digits(metric, value, digits))


def change(metric: str, value: Any, digits: int = 3) -> str:
    """A difference of scores with its sign."""
    return wording.change(value, _digits(metric, value, digits))


def interval(metric: str, entry: Mapping[str, Any], digits: int = 3) -> str:
    """`[low, high]`, or nothing where it was not measured."""
    return wording.interval(entry, _digits(metric, entry.get("value"), digits))


def note(entry: Mapping[str, Any]) -> str:
    """What makes a score or its bounds doubtful; empty where nothing is known to."""
    if entry.get("note"):
        return str(entry["note"]).rstrip(". ")
    return "the interval is not to be trusted" if entry.get("trusted") is False else ""


def _digits(metric: str, value: Any, digits: int) -> int:
    if scale(metric).high == 100:
        return max(0, digits - 2) or 1
    if finite(value) and abs(value) >= 10:  # errors in the unit of large numbers
        return 1 if abs(value) < 1000 else 0
    return digits
