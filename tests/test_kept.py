"""What leaves the frozen layers, kept: the same training as without, the same bits when it goes on after a stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from test_methods import method

from attune.data.table import Table
from attune.models import load
from attune.models.backbone import everywhere
from attune.models.growing import Growing
from attune.models.stream import Known, Stream
from attune.models.tokens import TextEncoder
from attune.recipe import TrainSection
from attune.tasks import build
from attune.training.checkpoint import Store
from attune.training.events import Keeping, Stepped
from attune.training.kept import Kept
from attune.training.loop import Fit, fit, predicted, predictions
from attune.training.optim import adamw
from attune.training.update import Learner

LAST, HEAD, LORA = {"name": "last", "layers": 1}, {"name": "head"}, {"name": "lora", "rank": 2, "alpha": 4.0}


def tables(name):
    rows = tiny.rows(48)
    texts = [text for text, _ in rows]
    if name == "classification":
        cells = {"text": texts, "label": [label for _, label in rows]}
    elif name == "tagging":
        words = [[(m, m + len(w)) for m, w in _places(text)] for text in texts]
        tags = [
            ["A" if text[b:e] in ("good", "bad") else "O" for b, e in w]
            for text, w in zip(texts, words, strict=True)
        ]
        cells = {"text": texts, "words": words, "label": tags}
    else:
        cells = {"text": texts, "pair": texts[::-1], "label": [float(i % 5) for i in range(len(texts))]}
    return Table("rows.csv", tuple(cells), cells, list(range(2, 2 + len(texts))), "")


def _places(text):
    start = 0
    for word in text.split(" "):
        yield start, word
        start += len(word) + 1


def made(folder, out, knobs, name="classification", *, keep=True):
    """A training of a tiny model by a method."""
    task, table = build(name, {}), tables(name)
    task.learn(table)
    gold = task.gold(table)
    encoder = TextEncoder(load.tokenizer(folder), max_tokens=tiny.LIMIT)
    train = task.encode(table.take(range(36)), encoder, gold[:36])
    valid = task.encode(table.take(range(36, 48)), encoder, gold[36:])
    section = TrainSection(lr=3e-3, epochs=3.0, batch=8, seed=5, patience=0)
    model = load.backbone(folder, task.head, task.labels, seed=5, problem=task.problem or "regression")
    torch.manual_seed(5)
    model = method(**knobs).applied(model)
    learner = Learner(task, model, adamw(model.model, weight_decay=0.01), 1.0, str)
    held = Kept(task, model, out) if keep else None
    return Fit(learner, train, valid, gold[36:], section, Store(out), held)


def weights(run):
    return {n: w.detach().clone() for n, w in run.learner.model.model.named_parameters() if w.requires_grad}


@pytest.mark.parametrize(
    ("family", "name", "knobs"),
    [
        ("bert", "classification", LAST),
        ("bert", "classification", HEAD),
        ("bert", "tagging", LAST),
        ("bert", "tagging", HEAD),
        ("bert", "similarity", {"name": "last", "layers": 2}),
        ("roberta", "classification", LAST),
        ("distilbert", "classification", HEAD),
        ("electra", "classification", {"name": "last", "layers": 2}),
        ("albert", "classification", LAST),
        ("modernbert", "classification", LAST),
        ("modernbert", "classification", HEAD),
        ("gpt2", "classification", LAST),
        ("llama", "classification", HEAD),
        ("bart", "classification", LAST),  # inside the decoder, which has three layers
        ("bart", "classification", {"name": "last", "layers": 3}),  # all of the decoder
        ("bart", "classification", {"name": "last", "layers": 4}),  # inside the encoder
        ("bart", "classification", HEAD),
        ("bart", "similarity", LAST),
        ("mbart", "classification", {"name": "last", "layers": 2}),
        ("mbart", "similarity", {"name": "last", "layers": 3}),
        ("t5", "classification", LAST),
        ("t5", "classification", {"name": "last", "layers": 3}),
        ("t5", "classification", {"name": "last", "layers": 4}),
        ("t5", "tagging", LAST),  # an encoder alone
        ("t5", "tagging", HEAD),
        ("mt5", "classification", HEAD),
        ("umt5", "classification", {"name": "last", "layers": 2}),
    ],
    ids=str,
)
def test_the_training_is_that_without_a_cache(checkpoints, tmp_path, family, name, knobs):
    runs = [made(checkpoints(family), tmp_path / str(keep), knobs, name, keep=keep) for keep in (True, False)]
    told = [list(fit(run)) for run in runs]
    assert any(isinstance(event, Keeping) for event in told[0])
    losses = [[event.loss for event in events if isinstance(event, Stepped)] for events in told]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4, abs=1e-5)
    cached, plain = map(weights, runs)
    for name, weight in cached.items():
        # a key's bias has no gradient but rounding, which AdamW makes as large as any other
        if "key" not in name or "bias" not in name:
            torch.testing.assert_close(weight, plain[name], atol=3e-4, rtol=1e-3, msg=name)


def test_the_frozen_layers_are_computed_once(checkpoints, tmp_path, monkeypatch):
    run = made(checkpoints("bert"), tmp_path, LAST)
    calls = []
    model = run.learner.model
    real = model.through
    monkeypatch.setattr(
        model, "through", lambda s, st, w, span: (calls.append(span), real(s, st, w, span))[1]
    )
    list(fit(run))
    assert calls.count(range(2)) == 2  # a batch of each split
    assert calls.count(range(2, 3)) > 10


@pytest.mark.parametrize("knobs", [LAST, HEAD, LORA], ids=str)
@pytest.mark.parametrize("leave_at", [1, 5, 9])
def test_leaving_and_resuming_reaches_the_same_bits(checkpoints, tmp_path, leave_at, knobs):
    keep = knobs is not LORA
    whole = made(checkpoints("bert"), tmp_path / "whole", knobs, keep=keep)
    list(fit(whole))
    events = fit(made(checkpoints("bert"), tmp_path / "cut", knobs, keep=keep))
    next(event for event in events if isinstance(event, Stepped) and event.step == leave_at)
    events.close()
    resumed = made(checkpoints("bert"), tmp_path / "cut", knobs, keep=keep)
    list(fit(resumed))
    one, two = weights(whole), weights(resumed)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("family", tiny.ENCODER_DECODERS)
@pytest.mark.parametrize("layers", [1, 3, 4])
def test_an_encoder_decoder_answers_the_same_from_what_is_kept(checkpoints, family, layers):
    model = method(name="last", layers=layers).applied(load.backbone(checkpoints(family), "qa", (), seed=5))
    torch.manual_seed(1)
    ids = torch.randint(5, 20, (30,)).index_fill_(0, torch.tensor([11, 12, 29]), tiny.END).numpy()
    stream = Stream.joined(ids, None, np.array([12, 1, 17]))
    model.model.eval()
    with torch.inference_mode():
        plain = model.span(stream)
        left = replace(stream, known=Known())
        torch.testing.assert_close(model.span(left), plain, atol=0, rtol=0)
        assert left.known.states.shape == (30, model.leaves)
        known = Known(model.below(stream, everywhere(stream)))
        torch.testing.assert_close(known.states, left.known.states, atol=0, rtol=0)
        torch.testing.assert_close(model.span(replace(stream, known=known)), plain, atol=0, rtol=0)


def test_leaving_while_the_frozen_layers_are_computed_is_safe(checkpoints, tmp_path):
    events = fit(made(checkpoints("bert"), tmp_path, LAST))
    assert isinstance(next(events), Keeping)
    events.close()
    assert list(fit(made(checkpoints("bert"), tmp_path, LAST)))[-1].step == 15


@pytest.mark.parametrize("knobs", [LAST, HEAD], ids=str)
def test_in_a_file_it_is_the_same_as_in_memory_and_leaves_nothing(checkpoints, tmp_path, monkeypatch, knobs):
    in_memory = made(checkpoints("bert"), tmp_path / "memory", knobs)
    list(fit(in_memory))
    monkeypatch.setattr(Growing.__init__, "__defaults__", ((), np.float32, 1000))
    in_file = made(checkpoints("bert"), tmp_path / "file", knobs)
    for event in fit(in_file):
        if isinstance(event, Stepped):
            held = in_file.kept._held.values()
            assert len(held) == 2 and all(isinstance(each.rows.base, np.memmap) for each in held)
    assert not in_file.kept._held
    one, two = weights(in_memory), weights(in_file)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {p.name.split("-")[0] for p in (tmp_path / "file").iterdir()} == {"best", "checkpoint"}


def test_predictions_from_what_is_kept_are_the_same(checkpoints, tmp_path):
    run = made(checkpoints("bert"), tmp_path, HEAD)
    list(fit(run))
    answers = []
    list(run.kept.fill((run.valid, np.arange(len(run.valid)))))
    list(predicted(run.learner.task, run.learner.model, run.valid, answers.append, run.batch))
    expected = predictions(run.learner.task, run.learner.model, run.valid)
    np.testing.assert_allclose(answers[0], expected, atol=1e-5)
