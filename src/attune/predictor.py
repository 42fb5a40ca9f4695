"""A trained model that answers: the same cutting, the same engine, the same labels as in its run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from attune import recipe_file, rundir, tasks
from attune.errors import Problem, RecipeError
from attune.models import load, tokens
from attune.models.backbone import Backbone

CHUNK = 1024  # texts answered at once: sorted by length within, so that no sequence waits for a longer one


@dataclass(frozen=True)
class Prediction:
    """The answer for one text."""

    label: str
    probability: float
    probabilities: dict[str, float]


class Predictor:
    """The model of a finished run."""

    def __init__(self, task: Any, model: Backbone, encoder: tokens.TextEncoder) -> None:
        self.task, self.model, self.encoder = task, model, encoder

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The answers for these texts, in their order."""
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """The answers one after the other, for as many texts as come."""
        source = iter(texts)
        while chunk := list(islice(source, CHUNK)):
            yield from self._answers(chunk)

    def _answers(self, texts: list[str]) -> Iterator[Prediction]:
        from attune.training.loop import predicted

        features = self.task.encode(texts, self.encoder)
        taken: list[np.ndarray] = []
        for _ in predicted(self.task, self.model, features, taken.append):
            pass
        for row in self.task.join(taken[0], features):
            held = dict(zip(self.task.labels, (float(p) for p in row), strict=True))
            best = max(held, key=lambda name: held[name])
            yield Prediction(best, held[best], held)


def open_run(name: str) -> Predictor:
    """The predictor of a finished run; `last` is the newest one.

    Raises:
        RecipeError: for a run that is not finished.
    """
    run = rundir.find(name)
    if run.read("run.json")["status"] != "finished" or not run.model.is_dir():
        fix = f"Let it finish: attune resume {name}"
        raise RecipeError(Problem(name, "the run has no finished model yet", fix=fix))
    recipe = recipe_file.load(str(run.path / "recipe.yaml"))
    task = tasks.build(recipe.task.name, recipe.task.options)
    task.labels = tuple(run.read("data.json")["labels"])
    model = load.backbone(str(run.model), task.head, task.labels, seed=recipe.train.seed)
    encoder = tokens.TextEncoder.of(load.tokenizer(str(run.model)), recipe.model)
    return Predictor(task, model, encoder)
