"""A finished run measured once on its test rows: scores, baselines, comparisons, mistakes, all written down."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from attune.metrics import calibration, intervals, labels
from attune.models.backbone import Backbone
from attune.prepare import Prepared
from attune.rundir import RunDir
from attune.trust import attribution, baselines

MISTAKES = 12


def predictions(ready: Prepared, model: Backbone, part: str) -> np.ndarray:
    """The probabilities [N, C] of a split's rows."""
    from attune.training.loop import predicted

    taken: list[np.ndarray] = []
    for _ in predicted(ready.task, model, ready.features[part], taken.append):
        pass
    return np.asarray(ready.task.join(taken[0], ready.features[part]))


def measure(ready: Prepared, model: Backbone, run: RunDir) -> dict[str, Any]:
    """Scores valid and test, writes metrics, details, predictions and explanations; returns the metrics."""
    seed, classes = ready.recipe.train.seed, len(ready.task.labels)
    found: dict[str, Any] = {}
    answers = {part: predictions(ready, model, part) for part in ("test", "valid")}
    for part, probabilities in answers.items():
        bounds = intervals.bootstrap(ready.gold[part], probabilities, classes, seed=seed)
        found[part] = {name: asdict(bound) for name, bound in bounds.items()}
        run.write_lines(f"predictions/{part}.jsonl", _lines(ready, part, probabilities))
    found["baselines"], found["comparisons"] = _against_baselines(ready, answers["test"])
    run.write("metrics.json", found)
    run.write("details.json", _details(ready, answers["test"]))
    run.write("explanations.json", _mistakes(ready, model, answers["test"]))
    return found


def _against_baselines(ready: Prepared, answers: np.ndarray) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    gold, classes, seed = ready.gold["test"], len(ready.task.labels), ready.recipe.train.seed
    texts = {part: ready.rows.texts(part) for part in ("train", "valid", "test")}
    scores, comparisons = {}, []
    for name, probabilities in baselines.classifiers(texts, ready.gold, classes):
        bounds = intervals.bootstrap(gold, probabilities, classes, seed=seed)
        scores[name] = {metric: asdict(bound) for metric, bound in bounds.items()}
        for metric in dict.fromkeys((ready.task.main_metric, "accuracy")):
            gap = intervals.paired(gold, answers, probabilities, classes, metric=metric, seed=seed)
            comparisons.append(
                {
                    "baseline": name,
                    **asdict(gap),
                    "sentence": intervals.sentence(gap, baselines.NAMES[name]),
                }
            )
    return scores, comparisons


def _lines(ready: Prepared, part: str, probabilities: np.ndarray) -> list[dict[str, Any]]:
    table, names = ready.rows.tables[part], ready.task.labels
    return [
        {
            "row": table.place(row),
            "text": text,
            "label": names[ready.gold[part][row]],
            "predicted": names[int(probabilities[row].argmax())],
            "probabilities": {
                name: round(float(p), 6) for name, p in zip(names, probabilities[row], strict=True)
            },
        }
        for row, text in enumerate(ready.rows.texts(part))
    ]


def _details(ready: Prepared, answers: np.ndarray) -> dict[str, Any]:
    gold, names = ready.gold["test"], ready.task.labels
    matrix = labels.confusion(gold, answers.argmax(1), len(names))
    two = len(names) == 2
    return {
        "labels": list(names),
        "test": {
            "per_class": labels.per_class(matrix, names),
            "confusion": matrix.tolist(),
            "calibration": calibration.reliability(gold, answers),
            "roc": labels.roc_curve(gold, answers[:, 1]) if two else None,
            "pr": labels.precision_recall_curve(gold, answers[:, 1]) if two else None,
        },
    }


def _mistakes(ready: Prepared, model: Backbone, answers: np.ndarray) -> list[dict[str, Any]]:
    """The most confident wrong answers, with the words that drove each."""
    gold, said = ready.gold["test"], answers.argmax(1)
    wrong = np.flatnonzero(said != gold)
    worst = wrong[np.argsort(-answers[wrong, said[wrong]], kind="stable")][:MISTAKES]
    texts, table = ready.rows.texts("test"), ready.rows.tables["test"]
    return [
        {
            "row": table.place(int(row)),
            "text": texts[row],
            "label": ready.task.labels[gold[row]],
            "predicted": ready.task.labels[said[row]],
            "probability": float(answers[row, said[row]]),
            "words": attribution.word_weights(model, ready.encoder, texts[row], int(said[row])),
        }
        for row in worst
    ]
