"""Recorded passes: batches of few shapes, which weigh what the bare ones do, played on other batches of the shape."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import standin
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_device import HALF, HERE
from test_task_contract import NAMES, Case

from attune import prepare, recipe_file, tasks
from attune.errors import RecipeError
from attune.models import load, plans
from attune.models.kernels import plain, regions
from attune.models.kernels import ragged as kernel
from attune.models.kernels.draws import Draw
from attune.recipe import Recipe
from attune.tasks.features import batch_of
from attune.training import graphs
from attune.training.graphs import Graphs, Shape, filled, rung
from attune.training.update import update

ONE_EACH = [name for name in NAMES if tasks.build(name, {}).head == "classification"]
FAST = [("classification", "bert"), ("multilabel", "roberta")]
KIN = ("bert", "roberta", "electra", "distilbert", "albert")


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80))
def test_a_shape_has_room_for_its_batch_and_little_more(lengths):
    stream = tiny.stream([np.zeros(length, np.int64) for length in lengths])
    shape = Shape.of(stream)
    assert shape.sequences > len(lengths) and shape.longest >= max(lengths)
    assert shape.tokens <= 1.125 * (sum(lengths) + shape.sequences - len(lengths)) + 1
    assert rung(rung(sum(lengths))) == rung(sum(lengths)) >= sum(lengths)


@pytest.mark.parametrize("name", ONE_EACH)
@pytest.mark.parametrize("family", KIN)
def test_a_batch_that_was_filled_up_weighs_what_the_bare_one_does(checkpoints, name, family):
    case = Case(name, checkpoints(family))
    tiny.without_dropout(case.model.model).train()
    bare = batch_of(case.features, case.everything())
    shape, found = Shape.of(bare.stream), []
    full = filled(bare, shape)
    assert (len(full.stream.tokens), len(full.stream.lengths)) == (shape.tokens, shape.sequences)
    assert sum(full.stream.lengths) == shape.tokens and max(full.stream.lengths) <= shape.longest
    for batch in (bare, full):
        case.model.model.zero_grad()
        loss = case.task.loss(case.task.logits(case.model, batch), batch)
        loss.backward()
        gradients = {
            n: p.grad.to_dense().clone() for n, p in case.model.model.named_parameters() if p.grad is not None
        }
        found.append((float(loss.detach()), gradients))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert found[1][1].keys() == found[0][1].keys()
    for key, gradient in found[0][1].items():
        assert torch.allclose(found[1][1][key], gradient, atol=1e-5 * float(1 + gradient.abs().max())), key


def _steps(case, held):
    """The losses of some steps, and the weights after them; the batches have few shapes."""
    learner, losses = case.learner(), []
    learner.graphs = held
    parts = [[0, 1, 2], [3, 4, 5, 0], [2, 1], [5, 0, 3, 1, 2], [4, 6, 2]]
    for part in parts:
        batch = batch_of(case.features, np.asarray(part) % len(case.features))
        # as of rare labels, so that neither weights nor their sum are the same in two steps
        batch = replace(batch, weights=torch.linspace(0.5, 1.5, len(part)) * len(part))
        losses.append(update(learner, [batch, batch], count=2 * float(batch.weights.sum()), lr=2e-3).loss)
    return losses, {name: p.detach().cpu() for name, p in case.model.model.named_parameters()}


@pytest.fixture
def placed(monkeypatch):
    """The stand-in as a GPU that has attention over sequences of any length, in float32 so that sums agree."""
    monkeypatch.setattr(plans, "has_ragged", lambda device: device.type != "cpu")
    monkeypatch.setattr(kernel, "PRECISION", torch.float32)
    with standin.device():
        yield standin.recorder(monkeypatch)


PAIRS = [
    pytest.param(name, family, marks=() if (name, family) in FAST else pytest.mark.slow)
    for name in ONE_EACH
    for family in KIN
]


@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_recorded_passes_teach_other_batches_what_they_would_learn_by_themselves(
    checkpoints, monkeypatch, placed, name, family
):
    # one shape for all, so that what was recorded with one batch is played with many others
    monkeypatch.setattr(Shape, "of", staticmethod(lambda stream: Shape(96, 8, 96, stream.kinds is not None)))
    found = []
    for held in (None, Graphs(placed)):
        case = Case(name, checkpoints(family), long_texts="truncate")
        tiny.without_dropout(case.model.model)
        case.model.move(HERE)
        found.append(_steps(case, held))
        assert held is None or len(held.held) == 1
    (losses, weights), (others, moved) = found
    assert others == pytest.approx(losses, rel=1e-3)
    for key, weight in weights.items():
        assert torch.allclose(moved[key], weight, atol=2e-4), key


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it compiles
def test_regions_are_compiled_once_and_give_what_plain_torch_does():
    if shutil.which("g++") is None:
        pytest.skip("torch compiles for a CPU with g++, which is not here")
    norm, counters = torch.nn.LayerNorm(16), torch._dynamo.utils.counters["stats"]
    torch.nn.init.normal_(norm.weight)
    before = counters["unique_graphs"]
    for rows in (40, 64, 7):
        x, residual = torch.randn(rows, 16, requires_grad=True), torch.randn(rows, 16)
        made, told = (each.add_norm(x, residual, norm, Draw.of(0.0)) for each in (regions, plain))
        assert torch.allclose(made, told, atol=1e-5)
        own, theirs = (torch.autograd.grad(each.square().sum(), x)[0] for each in (made, told))
        assert torch.allclose(own, theirs, atol=1e-4)
    assert counters["unique_graphs"] == before + 1
    dropped = regions.add_norm(torch.ones(4000, 16), torch.zeros(4000, 16), norm, Draw(0.25, 1)) - norm.bias
    # a row of nothing but zeros and 4 / 3 has as many signs of either kind as were kept and dropped
    kept = (dropped * norm.weight.sign() > 0).float().mean()
    assert float(kept) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("knob", ["compile", "graphs"])
def test_a_cpu_refuses_what_is_for_gpus(checkpoints, tmp_path, knob):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"good film {n},a\nbad film {n},b\n" for n in range(40)))
    recipe = recipe_file.load(str(path), [f"train.{knob}=true"], {"model.base": str(checkpoints("bert"))})
    with pytest.raises(RecipeError, match=rf"train\.{knob}: this is for CUDA GPUs"):
        prepare.prepare(prepare.rows(recipe))


@pytest.mark.parametrize(
    ("family", "head", "knob", "words"),
    [
        ("gpt2", "classification", "compile", r"train\.compile: this is for BERT's kin; found gpt2"),
        ("gpt2", "classification", "graphs", r"train\.graphs: this is for BERT's kin"),
        (
            "bert",
            "tagging",
            "graphs",
            r"train\.graphs: what is recorded are labels and numbers of whole texts",
        ),
        ("bert", "tagging", "compile", ""),
    ],
)
def test_what_a_model_or_task_cannot_do_on_a_gpu_is_refused_not_ignored(
    checkpoints, family, head, knob, words
):
    recipe = Recipe.model_validate(
        {"data": {"train": "x.csv"}, "task": {"name": head}, "model": {"base": "x"}}
    )
    asked = recipe.updated("train", device="cuda", precision="bfloat16", **{knob: True})
    ready = SimpleNamespace(recipe=asked, rows=SimpleNamespace(recipe=asked), model_type=family, offers=())
    outline = load.outline(str(checkpoints(family)), head, ["a", "b"])
    if not words:
        prepare._check_precision(ready, outline, head)
        return
    with pytest.raises(RecipeError, match=words):
        prepare._check_precision(ready, outline, head)


def test_a_recorder_shows_what_the_host_alone_knew(placed):
    """The test above could fail: what is sent over while it is written down stays what it was."""
    host = [torch.tensor([1.0])]
    there = torch.tensor([1.0]).to(standin.DEVICE)
    play, made = placed(lambda: there * host[0].to(standin.DEVICE))
    play()
    host[0] = torch.tensor([5.0])
    there.copy_(torch.tensor([3.0]).to(standin.DEVICE))
    play()
    assert float(made.cpu()) == 3.0  # and not 15


def test_steps_wait_once_when_they_are_played(checkpoints, placed):
    case = Case("classification", checkpoints("bert"), long_texts="truncate")
    case.model.move(HALF)
    learner = case.learner()
    learner.graphs = Graphs(placed)
    batch = batch_of(case.features, np.arange(3))
    for _ in range(3):
        standin.WAITS.clear()
        update(learner, [batch], count=batch.count, lr=1e-3)
        assert len(standin.WAITS) == 1
    assert len(learner.graphs.held) == 1


ODD = [*((name, "bert") for name in NAMES), ("classification", "t5"), ("classification", "llama")]


@pytest.mark.parametrize(("name", "family"), ODD)
def test_what_cannot_be_recorded_is_asked_for_step_by_step(checkpoints, placed, monkeypatch, name, family):
    monkeypatch.setattr(graphs, "LARGEST", 1 if family == "bert" else graphs.LARGEST)
    case = Case(name, checkpoints(family), long_texts="truncate")
    case.model.move(HERE)
    learner = case.learner()
    learner.graphs = Graphs(placed)
    batch = batch_of(case.features, case.everything()[:4])
    for _ in range(3):
        assert np.isfinite(update(learner, [batch], count=batch.count, lr=1e-3).loss)
    assert not learner.graphs.held
