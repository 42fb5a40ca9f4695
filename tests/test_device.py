"""Training beside the CPU: the same numbers, no tensor on the wrong device, one wait of the host a step."""

from __future__ import annotations

import numpy as np
import pytest
import standin
import tiny
import torch
from safetensors.torch import load_file
from test_families import CASES, answers, sequences_of
from test_loop import _fit
from test_task_contract import NAMES, QUICK, Case

from attune import machine, prepare, spoken
from attune.errors import MachineError, RecipeError
from attune.models import load, plans
from attune.models.kernels import ragged as kernel
from attune.models.place import Place, best, faster, offer
from attune.models.plans import Sight, plan
from attune.recipe import Recipe
from attune.tasks.features import batch_of
from attune.training import loop
from attune.training.events import Saved
from attune.training.optim import adamw
from attune.training.update import update

LABELS = {"classification": ["a", "b", "c"], "tagging": ["O", "B-X", "I-X"], "qa": [], "similarity": []}
LENGTHS = [5, 3, 9, 3, 1, 7]
HERE = Place(standin.DEVICE)


class _Half(Place):
    def computing(self):
        return standin.Autocast()


HALF = _Half(standin.DEVICE, half=True)


@pytest.fixture
def ragged(monkeypatch):
    """As if the device had the kernel for sequences of any length."""
    monkeypatch.setattr(plans, "has_ragged", lambda device: device.type != "cpu")


def _found(model, head, stream):
    """The answers and all gradients, on the host and in float32."""
    model.model.zero_grad()
    with model.place.computing():
        found = answers(model, head, stream.on(model.place.device)).float()
    found.square().sum().backward()
    gradients = {name: p.grad.cpu() for name, p in model.model.named_parameters() if p.grad is not None}
    model.model.zero_grad()
    return found.detach().cpu(), gradients


PAIRS = [
    pytest.param(case, marks=() if case[0] in QUICK and case[1] != "similarity" else pytest.mark.slow)
    for case in CASES
    if case[0] in tiny.FAMILIES
]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_answers_and_gradients_are_those_of_the_cpu(checkpoints, monkeypatch, pair):
    family, head = pair
    model = load.backbone(checkpoints(family), head, LABELS[head], seed=3)
    tiny.without_dropout(model.model).train()
    stream = tiny.stream(sequences_of(LENGTHS))
    expected, gradients = _found(model, head, stream)
    monkeypatch.setattr(kernel, "PRECISION", torch.float32)  # how attention is told, not how it rounds
    with standin.device():
        model.move(HERE)
        for has_ragged in (False, True):
            monkeypatch.setattr(
                plans, "has_ragged", lambda device, has=has_ragged: has and device.type != "cpu"
            )
            found, others = _found(model, head, stream)
            assert torch.allclose(found, expected, atol=1e-4)
            assert others.keys() == gradients.keys()
            for name, gradient in gradients.items():
                assert torch.allclose(others[name], gradient, atol=1e-4 * float(1 + gradient.abs().max())), (
                    name
                )


def test_bfloat16_takes_the_ragged_kernel_where_it_can_say_what_is_seen(ragged):
    causal, near = Sight(causal=True), Sight(window=2)
    with standin.device():
        device = standin.DEVICE
        assert plan([3, 5], None, device).ragged is not None
        assert plan([3, 5], None, device, near).ragged.sight == near
        assert plan([3, 5], np.asarray([2, 7]), device, causal).ragged.longest == (1, 5)
        assert (
            plan([3, 5], np.asarray([0, 7]), device, causal).ragged is None
        )  # the first of three is not the last
        assert plan([3, 5], np.asarray([0, 7]), device).ragged is not None
        assert plan([3, 5], None, device, biased=True).ragged is None
    assert plan([3, 5], None, torch.device("cpu")).ragged is None


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_and_the_answers_of_each_task_are_those_of_the_cpu(checkpoints, name):
    case = Case(name, checkpoints("bert"))
    tiny.without_dropout(case.model.model)
    batch = batch_of(case.features, case.everything())
    expected = case.task.loss(case.task.logits(case.model, batch), batch)
    told = loop.predictions(case.task, case.model, case.features)
    with standin.device():
        case.model.move(HERE)
        moved = batch.on(standin.DEVICE)
        found = case.task.loss(case.task.logits(case.model, moved), moved)
        assert found.device == standin.DEVICE
        assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
        again = loop.predictions(case.task, case.model, case.features)
    assert case.score(again) == pytest.approx(case.score(told), abs=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "similarity"])
@pytest.mark.parametrize("place", [HERE, HALF], ids=["float32", "bfloat16"])
def test_the_host_waits_once_a_step(checkpoints, monkeypatch, name, place):
    monkeypatch.setattr(plans, "has_ragged", lambda device: place.half and device.type != "cpu")
    case = Case(name, checkpoints("bert"))
    with standin.device():
        case.model.move(place)
        learner = case.learner()
        batches = [batch_of(case.features, case.everything())] * 2
        standin.WAITS.clear()
        update(learner, batches, count=2 * batches[0].count, lr=1e-3)
        assert len(standin.WAITS) == 1


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_a_step_moves_the_weights_as_on_the_cpu(checkpoints, clip):
    moved = []
    for place in (Place(), HERE):
        case = Case("classification", checkpoints("bert"))
        tiny.without_dropout(case.model.model)
        with standin.device():
            case.model.move(place)
            learner = case.learner()
            learner.clip = clip
            for lr in (1e-2, 5e-3, 1e-3):
                done = update(learner, [batch_of(case.features, case.everything())], count=5.0, lr=lr)
            moved.append((done, {name: p.detach().cpu() for name, p in case.model.model.named_parameters()}))
    (here, weights), (there, others) = moved
    assert there.loss == pytest.approx(here.loss, rel=1e-3)
    for name, weight in weights.items():
        assert torch.allclose(others[name], weight, atol=2e-4), name


def test_checkpoints_hold_what_was_trained_there(checkpoints, tmp_path):
    run = _fit(checkpoints, tmp_path, average=0.9)
    learner = run.learner
    learner.model.base.get_input_embeddings().sparse = False  # as an optimizer that is made there leaves it
    with standin.device():
        learner.model.move(HERE)
        learner.optimizer = adamw(learner.model.model, weight_decay=0.01, average=0.9)
        events = loop.fit(run)
        saved = next(event for event in events if isinstance(event, Saved))
        name = "classifier.weight"
        parameter = dict(learner.model.model.named_parameters())[name]
        weight, mean = parameter.detach().cpu(), learner.optimizer.state[parameter]["average"].cpu()
        folder = tmp_path / saved.path
        assert torch.equal(load_file(folder / "weights.safetensors")[name], weight)
        assert torch.equal(load_file(folder / "optimizer.safetensors")[f"{name}:average"], mean)
        events.close()


def test_what_is_not_finite_stops_there_too(checkpoints):
    from attune.errors import TrainingError

    case = Case("classification", checkpoints("bert"))
    with standin.device():
        case.model.move(HERE)
        learner = case.learner()
        with torch.no_grad():
            case.model.model.classifier.bias.fill_(float("nan"))
        before = [p.detach().cpu().clone() for p in case.model.model.parameters()]
        with pytest.raises(TrainingError, match="the loss is not finite"):
            update(learner, [batch_of(case.features, case.everything())], count=5.0, lr=1e-3)
        for held, parameter in zip(before, case.model.model.parameters(), strict=True):
            assert torch.equal(held, parameter.cpu()) or held.isnan().any()


def test_auto_is_what_is_here_and_what_is_not_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best("auto", "auto") == ("cpu", "float32")
    with pytest.raises(MachineError, match="'cuda'"):
        Place.of("cuda", "float32")
    monkeypatch.setattr(machine, "bfloat16", lambda: False)
    with pytest.raises(MachineError, match="bfloat16"):
        Place.of("cpu", "bfloat16")
    assert faster("cpu", "auto") == ""
    monkeypatch.setattr(machine, "bfloat16", lambda: True)
    assert str(Place.of("cpu", "bfloat16")) == "cpu, bfloat16 beside float32 weights"
    assert best("cpu", "auto") == ("cpu", "float32")  # it has to be asked for, and the plan says so
    assert "train.precision=bfloat16" in faster("cpu", "auto")
    assert faster("cpu", "float32") == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    for capability, precision in (((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_, c=capability: c)
        assert best("cuda", "auto") == ("cuda", precision)
    assert best("auto", "auto") == ("cpu", "float32")  # a GPU has to be asked for
    assert "a GPU is here and not used; train.device=cuda" in offer("auto")
    assert offer("cpu") == ""
    assert str(Place.of("cuda", "bfloat16")) == "a GPU, bfloat16 beside float32 weights"


def test_the_plan_names_a_gpu_that_is_not_used(checkpoints, reviews, monkeypatch):
    monkeypatch.setattr("attune.models.place.offer", lambda device: f"a GPU beside {device}")
    recipe = Recipe.model_validate(
        {"data": {"train": str(reviews)}, "model": {"base": checkpoints("bert"), "max_tokens": 16}}
    )
    ready = prepare.prepare(prepare.rows(recipe))
    assert "a GPU beside auto" in ready.offers
    assert any("a GPU beside auto" in line for line in spoken.planned(ready))
    assert not ready.rows.notes  # it says nothing of the data, and so does not stand in the report


@pytest.mark.parametrize("family", ["gpt2", "modernbert"])
def test_bfloat16_on_a_cpu_is_refused_where_it_would_be_ignored(checkpoints, reviews, monkeypatch, family):
    monkeypatch.setattr(machine, "bfloat16", lambda: True)
    base = {"base": checkpoints(family), "max_tokens": 16}
    recipe = Recipe.model_validate(
        {"data": {"train": str(reviews)}, "model": base, "train": {"precision": "bfloat16"}}
    )
    with pytest.raises(RecipeError, match=f"BERT's kin.*found {family}"):
        prepare.prepare(prepare.rows(recipe))
