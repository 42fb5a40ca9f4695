"""Multi-label classification: where a new head begins, and that a trained one is left alone."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from attune import tasks
from attune.data.table import Table
from attune.models import load, methods
from attune.recipe import MethodSection

LABELS = [["a"], ["a", "b"], [], ["a"], ["a", "b"], ["a"], ["a"], [], ["c"]]
HAVE = np.array([6, 2, 1])


def learned():
    task = tasks.build("multilabel", {})
    task.learn(table(LABELS))
    return task


def table(labels):
    cells = {"text": ["x"] * len(labels), "label": labels}
    return Table("x.jsonl", tuple(cells), cells, list(range(len(labels))), "")


def made(task, base, seed=3, **knobs):
    model = load.backbone(base, task.head, task.labels, seed=seed, problem=task.problem)
    torch.manual_seed(seed)
    return methods.build(**MethodSection(**knobs).model_dump()).applied(model)


def test_the_odds_are_those_of_the_training_rows():
    task = learned()
    assert list(task.labels) == ["a", "b", "c"]
    np.testing.assert_allclose(1 / (1 + np.exp(-task.log_odds)), (HAVE + 0.5) / 10)


def test_a_label_of_every_row_has_finite_odds():
    task = tasks.build("multilabel", {})
    task.learn(table([["a"]] * 4))
    assert np.isfinite(task.log_odds).all()


@pytest.mark.parametrize(
    ("family", "name"),
    [
        *((family, "full") for family in tiny.FAMILIES if tiny.has(family, "classification")),
        *((family, name) for family in ("bert", "t5", "gpt2") for name in ("lora", "last", "head")),
    ],
)
def test_a_new_head_answers_with_the_rates_of_the_labels(checkpoints, family, name):
    task = learned()
    model = made(task, checkpoints(family), name=name)
    last = [layer for layer in model.projections(3) if layer.bias is not None]
    task.equip(model)
    for layer in last:
        np.testing.assert_allclose(layer.bias.detach().numpy(), task.log_odds, rtol=1e-6)
    assert bool(last) == (family not in ("gpt2", "llama", "qwen2", "mistral", "qwen3"))


def test_a_head_that_was_trained_is_left_alone(checkpoints):
    task = learned()
    model = made(task, checkpoints("bert"))
    with torch.no_grad():
        model.model.classifier.bias.fill_(0.25)
    task.equip(model)
    assert model.model.classifier.bias.tolist() == [0.25] * 3
