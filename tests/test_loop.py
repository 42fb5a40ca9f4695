"""The loop: golden events, same bits for the same seed, resume after a kill, refusal of what is not finite."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.data.table import Table
from attune.errors import TrainingError
from attune.models import load
from attune.models.tokens import TextEncoder
from attune.recipe import TrainSection
from attune.tasks.classification import Classification, Options
from attune.tasks.features import batch_of
from attune.training import batches
from attune.training.checkpoint import Store, verify
from attune.training.events import Evaluated, Finished, Saved, Stepped
from attune.training.loop import Fit, fit, predictions
from attune.training.optim import adamw
from attune.training.schedule import factor
from attune.training.update import Learner, update

GOLDEN = Path(__file__).parent / "golden" / "tiny_bert.jsonl"


def _fit(checkpoints, folder, **knobs):
    values = {"epochs": 3.0, "batch": 8, "lr": 2e-3, "patience": 0, "micro_tokens": 64, "seed": 11, **knobs}
    rows = tiny.rows(60)
    cells = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    table = Table("rows.csv", ("text", "label"), cells, list(range(2, 62)), "")
    task = Classification(Options())
    task.learn(table)
    gold = task.gold(table)
    base = checkpoints("bert")
    encoder = TextEncoder(load.tokenizer(base), max_tokens=tiny.LIMIT)
    train = task.encode(table.take(range(44)), encoder, gold[:44])
    valid = task.encode(table.take(range(44, 60)), encoder, gold[44:])
    section = TrainSection(**values)
    model = load.backbone(base, "classification", task.labels, seed=section.seed)
    optimizer = adamw(model.model, weight_decay=0.01, average=section.average)
    learner = Learner(task, model, optimizer, section.clip, str)
    return Fit(learner, train, valid, gold[44:], section, Store(folder))


def _bits(run):
    return {name: tensor.clone() for name, tensor in run.learner.model.model.state_dict().items()}


def _same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _told(event):
    """What of an event does not depend on the clock."""
    return {
        k: v for k, v in event.as_dict().items() if k not in ("seconds", "left_s", "tokens_per_s", "path")
    }


def test_events_are_the_golden_ones(checkpoints, tmp_path):
    told = [_told(event) for event in fit(_fit(checkpoints, tmp_path))]
    golden = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert [(e["event"], e["step"]) for e in told] == [(e["event"], e["step"]) for e in golden]
    for found, expected in zip(told, golden, strict=True):
        for name, value in expected.items():
            if isinstance(value, dict):
                assert found[name] == pytest.approx(value, abs=2e-4), name
            elif isinstance(value, float):
                assert found[name] == pytest.approx(value, rel=1e-3, abs=2e-4), name
            else:
                assert found[name] == value, name


def test_a_second_run_repeats_every_bit(checkpoints, tmp_path):
    first, second = _fit(checkpoints, tmp_path / "a"), _fit(checkpoints, tmp_path / "b")
    assert [_told(e) for e in fit(first)] == [_told(e) for e in fit(second)]
    assert _same(_bits(first), _bits(second))


def test_another_seed_gives_other_weights(checkpoints, tmp_path):
    first, second = _fit(checkpoints, tmp_path / "a"), _fit(checkpoints, tmp_path / "b", seed=12)
    list(fit(first))
    list(fit(second))
    assert not _same(_bits(first), _bits(second))


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("leave_at", [1, 2, 5, 6, 7, 11, 17])
def test_leaving_the_loop_saves_and_resuming_reaches_the_same_bits(checkpoints, tmp_path, leave_at, average):
    whole = _fit(checkpoints, tmp_path / "whole", average=average)
    expected = [_told(event) for event in fit(whole)]
    begun = _fit(checkpoints, tmp_path / "cut", average=average)
    events = fit(begun)
    for event in events:
        if isinstance(event, Stepped) and event.step == leave_at:
            break
    events.close()
    resumed = _fit(checkpoints, tmp_path / "cut", average=average)
    told = [_told(event) for event in fit(resumed)]
    assert _same(_bits(whole), _bits(resumed))
    assert told == [e for e in expected if e["step"] > leave_at or told[0]["step"] == e["step"]][-len(told) :]


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_best_weights_are_in_the_model_at_the_end(checkpoints, tmp_path, average):
    run = _fit(checkpoints, tmp_path, lr=0.05, epochs=4.0, average=average)
    events = list(fit(run))
    best = [event for event in events if isinstance(event, Evaluated) and event.best][-1]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.best_step == best.step
    found = predictions(run.learner.task, run.learner.model, run.valid)
    scores = run.learner.task.score(run.valid_gold, found)
    assert scores["log_loss"] == pytest.approx(best.metrics["log_loss"], abs=1e-9)


def test_the_running_mean_is_what_is_scored_and_stored_and_the_steps_are_the_same(checkpoints, tmp_path):
    knobs = {"epochs": 1.0}
    plain, mean = (_fit(checkpoints, tmp_path / str(a), average=a, **knobs) for a in (0.0, 0.9))
    held, expected, step, seen = {}, {}, 0, []
    for event in fit(mean):
        if isinstance(event, Stepped):
            step += 1
            seen.append(event.loss)
            for name, parameter in mean.learner.model.model.named_parameters():
                share = min(0.9, (1 + step) / (10 + step))
                before = held.get(name, parameter.detach().clone())
                held[name] = share * before + (1 - share) * parameter.detach()
        if isinstance(event, Evaluated):
            expected = event.metrics
    losses = [event.loss for event in fit(plain) if isinstance(event, Stepped)]
    assert losses == seen
    assert step == 6
    for name, parameter in mean.learner.model.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), held[name], atol=1e-6, rtol=1e-5)
    found = predictions(mean.learner.task, mean.learner.model, mean.valid)
    scores = mean.learner.task.score(mean.valid_gold, found)
    assert scores["log_loss"] == pytest.approx(expected["log_loss"], abs=1e-9)
    assert not _same(_bits(plain), _bits(mean))


def test_it_stops_early_when_the_score_no_longer_rises(checkpoints, tmp_path):
    events = list(fit(_fit(checkpoints, tmp_path, lr=1e-12, epochs=30.0, patience=2, schedule="constant")))
    assert events[-1].reason.startswith("stopped early")
    assert events[-1].step < 30 * 6


def test_a_checkpoint_is_saved_after_each_evaluation(checkpoints, tmp_path):
    events = list(fit(_fit(checkpoints, tmp_path)))
    for before, after in itertools.pairwise(events):
        if isinstance(before, Evaluated):
            assert isinstance(after, Saved)


@pytest.mark.parametrize("mutation", ["flip", "truncate", "delete", "no_manifest"])
@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_refused_by_name(checkpoints, tmp_path, name, mutation):
    events = fit(_fit(checkpoints, tmp_path))
    next(event for event in events if isinstance(event, Saved))
    events.close()
    path = next(tmp_path.glob("checkpoint-*"))
    held = (path / name).read_bytes()
    if mutation == "flip":
        (path / name).write_bytes(held[:-9] + bytes([held[-9] ^ 1]) + held[-8:])
    elif mutation == "truncate":
        (path / name).write_bytes(held[: len(held) // 2])
    elif mutation == "delete":
        (path / name).unlink()
    else:
        (path / "manifest.json").unlink()
    assert (name if mutation != "no_manifest" else "manifest.json") in verify(path)
    with pytest.raises(TrainingError, match=r"checkpoint-\d+"):
        list(fit(_fit(checkpoints, tmp_path)))


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_weights_change_and_names_the_rows(checkpoints, tmp_path, poison):
    run = _fit(checkpoints, tmp_path)
    learner = run.learner
    before = _bits(run)
    learner.where = lambda features: f"rows {sorted(features.tolist())}"
    real = learner.task.loss
    if poison == "loss":
        learner.task.loss = lambda logits, batch: real(logits, batch) * float("nan")
    else:
        learner.task.loss = lambda logits, batch: (logits - logits.detach()).abs().sqrt().sum()
    part = run.steps(0)[0]
    from attune.tasks.features import batch_of

    with pytest.raises(TrainingError, match=r"rows \[") as error:
        update(learner, [batch_of(run.train, part)], count=8.0, lr=1.0)
    assert "not finite" in str(error.value)
    assert _same(before, _bits(run))


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 5), st.sampled_from(["rows", "tokens"]))
@settings(max_examples=60, deadline=None)
def test_an_epoch_takes_each_row_once_in_an_order_of_seed_and_epoch(rows, batch, epoch, by):
    from attune.models.tokens import Sequences
    from attune.tasks.base import Features

    lengths = np.random.default_rng(rows).integers(1, 9, rows)
    sequences = Sequences(
        np.zeros(lengths.sum(), np.int32),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.arange(rows),
        lengths,
        lengths,
        0,
    )
    features = Features(
        sequences, np.zeros(rows, int), np.arange(rows + 1), np.zeros(rows, int), np.ones(rows)
    )
    steps = batches.steps_of(features, batch=batch, by=by, seed=3, epoch=epoch)
    assert sorted(np.concatenate(steps).tolist()) == list(range(rows))
    again = batches.steps_of(features, batch=batch, by=by, seed=3, epoch=epoch)
    assert all((a == b).all() for a, b in zip(steps, again, strict=True))
    if by == "rows":
        assert {len(step) for step in steps[:-1]} <= {batch}


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_schedules_equal_those_of_transformers(name):
    import transformers

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = transformers.get_scheduler(
        name if name != "constant" else "constant_with_warmup",
        optimizer,
        num_warmup_steps=5,
        num_training_steps=40,
    )
    for step in range(40):
        assert factor(name, step, 40, 5) == pytest.approx(reference.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        reference.step()


def test_a_step_without_a_target_has_no_gradient(checkpoints, tmp_path):
    run = _fit(checkpoints, tmp_path)
    train = replace(run.train, weights=np.zeros_like(run.train.weights))
    part = np.arange(8)
    done = update(run.learner, [batch_of(train, part)], count=train.count(part), lr=1e-3)
    assert (done.loss, done.grad_norm) == (0.0, 0.0)


def test_biases_and_norms_do_not_decay(checkpoints):
    model = load.backbone(checkpoints("bert"), "classification", ["a", "b"], seed=1).model
    decayed, plain = adamw(model, weight_decay=0.1).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all("bias" in names[id(p)] or "LayerNorm" in names[id(p)] for p in plain["params"])
