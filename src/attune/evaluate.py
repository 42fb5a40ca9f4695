"""What a finished training is worth: the test rows scored once, beside baselines, with its worst answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from attune.metrics.intervals import sentence
from attune.models import load
from attune.models.backbone import Backbone
from attune.prepare import Prepared
from attune.rundir import RunDir
from attune.training.loop import predictions
from attune.trust import attribution, baselines

MISTAKES = 12
EXPLAINED = 6  # of them; each costs as much as training on some of the longest rows


def measure(ready: Prepared, model: Backbone, run: RunDir) -> Iterator[str]:
    """Scores valid and test; writes metrics, details, predictions and explanations.

    Yields:
        What it does next, in words.
    """
    yield "scoring the test rows"
    task, seed = ready.task, ready.recipe.train.seed
    answers: dict[str, Any] = {}
    for part in ("valid", "test"):
        answers[part] = predictions(task, model, ready.features[part])
        if part == "valid":
            task.settle(ready.gold[part], answers[part])
    found: dict[str, Any] = {}
    for part in ("test", "valid"):
        bounds = task.measured(ready.gold[part], answers[part], seed=seed)
        found[part] = {name: asdict(bound) for name, bound in bounds.items()}
        run.write_lines(f"predictions/{part}.jsonl", _records(ready, part, answers[part]))
    yield "training the baselines"
    found["baselines"], found["comparisons"] = _against_baselines(ready, answers["test"])
    run.write("metrics.json", found)
    details = {
        "labels": list(task.labels),
        "shown": list(task.shown),
        "test": task.details(ready.gold["test"], answers["test"]),
    }
    run.write("details.json", details)
    yield "looking into the worst answers"
    run.write("explanations.json", list(_mistakes(ready, model, answers["test"])))


def _against_baselines(ready: Prepared, answers: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    task, gold, seed = ready.task, ready.gold["test"], ready.recipe.train.seed
    scores: dict[str, Any] = {}
    comparisons = []
    for name, theirs in (*baselines.of(task, ready.rows.tables, ready.gold), *_before(ready)):
        bounds = task.measured(gold, theirs, seed=seed)
        scores[name] = {metric: asdict(bound) for metric, bound in bounds.items()}
        for metric in task.judged_by:
            gap = task.compared(gold, answers, theirs, metric=metric, seed=seed)
            told = sentence(gap, baselines.NAMES[name])
            comparisons.append({"baseline": name, **asdict(gap), "sentence": told})
    return scores, comparisons


def _before(ready: Prepared) -> Iterator[tuple[str, Any]]:
    """What the model answered before training, where it could."""
    task, recipe = ready.task, ready.recipe
    if task.untrained:
        model = load.backbone(recipe.model.base, task.head, task.labels, seed=recipe.train.seed)
        yield "untrained", predictions(task, model, ready.features["test"])


def _records(ready: Prepared, part: str, answers: Any) -> Iterator[dict[str, Any]]:
    table, gold = ready.rows.tables[part], ready.gold[part]
    for row in range(len(table)):
        yield {"row": table.place(row), **ready.task.record(answers[row], table.row(row), gold[row])}


def _mistakes(ready: Prepared, model: Backbone, answers: Any) -> Iterator[dict[str, Any]]:
    """The worst answers, with the words that drove each where the answer is a label."""
    table, gold = ready.rows.tables["test"], ready.gold["test"]
    severity = np.asarray(ready.task.severity(gold, answers), np.float64)
    for number, row in enumerate(np.argsort(-severity, kind="stable")[:MISTAKES]):
        if severity[row] <= 0:
            return
        place = int(row)
        cells = table.row(place)
        record = {"row": table.place(place), **ready.task.record(answers[place], cells, gold[place])}
        record["severity"] = round(float(severity[place]), 6)
        target = ready.task.explained(answers[place])
        if target is not None and number < EXPLAINED:
            texts = [cells[role] for role in ("text", "pair") if role in cells]
            told = attribution.word_weights(model, ready.encoder, texts, target)
            record |= dict(zip(("words", "pair_words"), told, strict=False))
        yield record
