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
BIASLESS = ("gpt2", "llama", "qwen2", "mistral", "qwen3")
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


@pytest.mark.parametrize("family", tiny.each([f for f in tiny.FAMILIES if tiny.has(f, "classification")]))
def test_a_new_head_answers_with_the_rates_of_the_labels(checkpoints, family):
    assert biases(checkpoints(family)) == (family not in BIASLESS)


@pytest.mark.parametrize("name", ["lora", "last", "head"])
@pytest.mark.parametrize("family", ["bert", "t5", "gpt2"])
def test_so_it_does_whatever_the_method(checkpoints, family, name):
    assert biases(checkpoints(family), name=name) == (family not in BIASLESS)


def biases(base, **knobs):
    """Whether the head's last layers have biases; they hold the log-odds then."""
    task = learned()
    model = made(task, base, **knobs)
    last = [layer for layer in model.projections(3) if layer.bias is not None]
    task.equip(model)
    for layer in last:
        np.testing.assert_allclose(layer.bias.detach().numpy(), task.log_odds, rtol=1e-6)
    return bool(last)


def test_a_head_that_was_trained_is_left_alone(checkpoints):
    task = learned()
    model = made(task, checkpoints("bert"))
    with torch.no_grad():
        model.model.classifier.bias.fill_(0.25)
    task.equip(model)
    assert model.model.classifier.bias.tolist() == [0.25] * 3
