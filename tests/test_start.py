"""A new head begins at a linear model of what it reads, the same as scikit-learn's, in every family."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import test_loop
import tiny
import torch
from sklearn.linear_model import LogisticRegression

from attune import recipe_file, run
from attune.data.table import Table
from attune.models import load
from attune.models.tokens import TextEncoder
from attune.report.wording import began
from attune.tasks import linear
from attune.tasks.classification import Classification, Options
from attune.training import start
from attune.training.checkpoint import Store
from attune.training.events import Started, Starting, Stepped
from attune.training.loop import fit, predictions
from attune.training.start import HeadStart


def _rows(n=200, width=6, outputs=3, seed=0):
    """Inputs of unlike spreads around unlike means, and targets that hang on them."""
    random = np.random.default_rng(seed)
    bare = random.normal(size=(n, width))
    told = (bare @ random.normal(size=(width, outputs)) + random.gumbel(size=(n, outputs))).argmax(1)
    inputs = bare * random.uniform(0.01, 3, width) + random.normal(size=width)
    return linear.Rows(inputs, told, random.uniform(0.5, 2, n), np.arange(n))


def _standard(rows, *, bias=True):
    moved = rows.inputs - (rows.inputs.mean(0) if bias else 0)
    return moved / np.sqrt((moved**2).mean(0))


@pytest.fixture
def one_strength(monkeypatch):
    def known(rows, usual, *, bias):
        begin = np.zeros((len(usual), rows.inputs.shape[1] + 1))
        return 10.0, 1.0, begin  # which knows everything

    monkeypatch.setattr(linear, "_strength", known)
    monkeypatch.setattr(linear, "STEADY", 0.0)
    monkeypatch.setattr(linear, "STEPS", 10_000)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [2, 4])
def test_labels_are_told_as_by_scikit_learn(one_strength, outputs, bias):
    rows = _rows(outputs=outputs)
    # its loss is a sum, ours a mean; of two labels it has one row of weights, the difference of our two
    strength = 10.0 / rows.weights.sum() * (2 if outputs == 2 else 1)
    theirs = LogisticRegression(C=strength, fit_intercept=bias, tol=1e-10, max_iter=10_000)
    theirs.fit(_standard(rows, bias=bias), rows.targets, sample_weight=rows.weights)
    made = linear.fitted(rows, outputs, bias=bias, length=1.0)
    logits = rows.inputs @ made.weight.T + made.bias
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert bias or not made.bias.any()
    np.testing.assert_allclose(ours, theirs.predict_proba(_standard(rows, bias=bias)), atol=2e-3)


def test_it_is_as_loud_as_it_is_right():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(300, 200))
    blind = linear.Rows(inputs, random.integers(0, 2, 300), np.ones(300), np.arange(300))
    strength, known, _ = linear._strength(blind, np.zeros(2), bias=True)
    assert strength <= 0.1  # there is nothing to be told: one of the strongest penalties
    assert known < 0.01
    made = linear.fitted(blind, 2, bias=True, length=0.5)
    assert made.knows < 0.01
    assert np.linalg.norm(made.weight) < 0.1
    plain = linear.Rows(inputs[:, :5], (inputs[:, 0] > 0).astype(int), np.ones(300), np.arange(300))
    strength, known, found = linear._strength(plain, np.zeros(2), bias=True)
    assert known > 0.4
    own = np.linalg.norm(linear._minimised(plain, found, np.zeros(2), strength, bias=True)[0])
    made = linear.fitted(plain, 2, bias=True, length=1e-4)
    assert 1e-2 < np.linalg.norm(made.weight) < own
    made = linear.fitted(plain, 2, bias=True, length=1e4)  # louder than it is by itself it never becomes
    assert np.linalg.norm(made.weight) < 1.2 * own


@pytest.mark.parametrize("bias", [True, False])
def test_how_often_a_label_comes_is_no_knowledge(bias):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1000, 64)) + random.normal(size=64)
    blind = linear.Rows(inputs, (random.random(1000) < 0.9).astype(int), np.ones(1000), np.arange(1000))
    assert linear.fitted(blind, 2, bias=bias, length=0.2).knows < 0.05


def test_windows_of_one_text_are_held_out_together():
    random = np.random.default_rng(0)
    texts = np.repeat(np.arange(100), 5)
    # each text has a place of its own, which says its label, and nothing else does
    inputs = random.normal(size=(100, 50))[texts] + 0.01 * random.normal(size=(500, 50))
    rows = linear.Rows(inputs, random.integers(0, 2, 100)[texts], np.ones(500), texts)
    assert linear.fitted(rows, 2, bias=True, length=0.5).knows < 0.1
    apart = replace(rows, texts=np.arange(500))
    assert linear.fitted(apart, 2, bias=True, length=0.5).knows > 0.5


def test_derivatives_are_those_of_differences():
    outputs, targets = np.random.default_rng(0).normal(size=(5, 3)), np.asarray([0, 1, 2, 1, 0])
    _, slope = linear.cross_entropy(outputs, targets)
    for column in range(3):
        moved = np.zeros_like(outputs)
        moved[:, column] = 1e-6
        more, less = (linear.cross_entropy(outputs + by, targets)[0] for by in (moved, -moved))
        np.testing.assert_allclose((more - less) / 2e-6, slope[:, column], atol=1e-6)


def test_a_label_that_no_row_has_stays_where_it_began(few):
    rows = _rows(outputs=2)
    made = linear.fitted(rows, 5, bias=True, length=1.0)
    assert np.isfinite(made.weight).all() and np.isfinite(made.bias).all()
    assert (rows.inputs @ made.weight.T + made.bias).argmax(1).max() < 2


def _task():
    """A task with its features of short texts, whose label is whether they are good."""
    rows = tiny.rows(120)
    cells = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    table = Table("rows.csv", tuple(cells), cells, list(range(2, 122)), "")
    task = Classification(Options())
    task.learn(table)
    return task, table


@pytest.mark.parametrize("family", tiny.each((*tiny.FAMILIES, *tiny.UNTAUGHT)))
def test_every_family_has_a_start(few, checkpoints, family):
    if not tiny.has(family, "classification"):
        pytest.skip(f"transformers has no classification for {family}")
    base = checkpoints(family)
    task, table = _task()
    encoder = TextEncoder(load.tokenizer(base), max_tokens=tiny.LIMIT)
    features = task.encode(table, encoder, task.gold(table))
    model = load.backbone(base, "classification", task.labels, seed=1)
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    first = _loss(task, model, features)
    list(HeadStart(task, model).take(features, epochs=3.0, seed=3))
    after = model.model.state_dict()
    last = {id(weight) for layer in model.projections(len(task.labels)) for weight in layer.parameters()}
    own = {name for name, weight in model.model.state_dict(keep_vars=True).items() if id(weight) in last}
    assert {name for name in before if not torch.equal(before[name], after[name])} == own
    assert _loss(task, model, features) < first


def _loss(task, model, features):
    from attune.tasks.features import batch_of
    from attune.training.update import logits_of

    model.model.eval()
    batch = batch_of(features, np.arange(len(features)))
    with torch.no_grad():
        return float(task.loss(logits_of(task, model, batch), batch)) / batch.count


@pytest.fixture
def few(monkeypatch):
    """A handful of rows is enough, and little has to be known."""
    monkeypatch.setattr(linear, "LEAST", 10)
    monkeypatch.setattr(start, "KNOWS", 0.0)


def _begun(checkpoints, folder, **knobs):
    run = test_loop._fit(checkpoints, folder, **knobs)
    run.start = HeadStart(run.learner.task, run.learner.model)
    return run


def _left(run, kind):
    """Leaves a run after its first event of a kind."""
    for event in (events := fit(run)):
        if isinstance(event, kind):
            break
    events.close()


@pytest.mark.parametrize("kind", [Starting, Started])
def test_a_run_that_is_left_before_its_first_step_begins_anew(few, checkpoints, tmp_path, kind):
    whole = _begun(checkpoints, tmp_path / "whole")
    assert {type(event) for event in fit(whole)} >= {Starting, Started}
    _left(_begun(checkpoints, tmp_path / "cut"), kind)
    resumed = _begun(checkpoints, tmp_path / "cut")
    assert sum(isinstance(event, Started) for event in fit(resumed)) == 1
    assert test_loop._same(test_loop._bits(whole), test_loop._bits(resumed))


def test_a_run_that_is_left_and_resumed_begins_once_and_ends_at_the_same_bits(few, checkpoints, tmp_path):
    whole = _begun(checkpoints, tmp_path / "whole")
    for _ in fit(whole):
        pass
    _left(_begun(checkpoints, tmp_path / "cut"), Stepped)
    resumed = _begun(checkpoints, tmp_path / "cut")
    assert not any(isinstance(event, Starting | Started) for event in fit(resumed))
    assert test_loop._same(test_loop._bits(whole), test_loop._bits(resumed))


@pytest.mark.parametrize("method", ["lora", "last", "head"])
def test_a_run_of_any_method_goes_on_after_a_start(few, checkpoints, tmp_path, method):
    path = str(tiny.reviews(tmp_path / "r.csv"))
    knobs = {"model.base": str(checkpoints("bert")), "train.epochs": 2}
    ready = run.plan(recipe_file.load(path, [f"method.name={method}"], knobs))
    ends = []
    for folder in ("whole", "cut"):
        trial = run.fitting(ready, Store(tmp_path / folder))
        if folder == "cut":
            _left(trial, Stepped)
            trial = run.fitting(ready, Store(tmp_path / folder))  # as another process makes it
        told = list(fit(trial))
        ends.append(test_loop._bits(trial))
        assert (folder == "whole") is any(isinstance(event, Started) and event.regression for event in told)
    assert test_loop._same(*ends)


@pytest.mark.parametrize(
    ("words", "begins"),
    [([], True), (["train.head_start=false"], False), (["method.name=lora"], True)],
)
def test_a_run_begins_its_new_head_there_unless_it_is_told_not_to(checkpoints, tmp_path, words, begins):
    path = str(tiny.reviews(tmp_path / "r.csv", 200))
    knobs = {"model.base": str(checkpoints("bert")), "train.epochs": 3}
    trial = run.fitting(run.plan(recipe_file.load(path, words, knobs)), Store(tmp_path))
    assert (trial.start is not None) is begins


def test_a_head_that_knows_the_labels_is_left_as_it_is(checkpoints, tmp_path):
    path, held = str(tiny.reviews(tmp_path / "r.csv", 200)), tmp_path / "held"
    ready = run.plan(recipe_file.load(path, [], {"model.base": str(checkpoints("bert"))}))
    assert ready.starts
    model = run.fitting(ready, Store(tmp_path)).learner.model
    load.store(model, ready.tokenizer, held, max_tokens=tiny.LIMIT)
    again = run.plan(recipe_file.load(path, [], {"model.base": str(held)}))
    assert again.own_head
    assert run.fitting(again, Store(tmp_path)).start is None


@pytest.mark.slow
def test_of_the_starter_a_head_knows_something_of_other_rows_before_the_first_step(few, tmp_path):
    ready = run.plan(recipe_file.load(str(files("attune") / "samples" / "reviews.csv")))
    trial = run.fitting(ready, Store(tmp_path))
    losses = []
    for _ in range(2):
        told = predictions(ready.task, trial.learner.model, trial.valid)
        losses.append(ready.task.score(trial.valid_gold, told)["log_loss"])
        list(trial.start.take(trial.train, epochs=3.0, seed=0))
    assert losses[1] < losses[0] - 0.02


@pytest.mark.parametrize("labels", [2, 200])
def test_where_too_few_texts_may_be_read_none_are(checkpoints, tmp_path, labels):
    path = tmp_path / "r.csv"
    path.write_text("text,label\n" + "".join(f"word {n} here,l{n % labels}\n" for n in range(800)))
    knobs = {"model.base": str(checkpoints("bert")), "train.epochs": 3}
    ready = run.plan(recipe_file.load(str(path), [], knobs))
    assert ready.starts is (labels == 2)
    assert (run.fitting(ready, Store(tmp_path)).start is None) is (labels == 200)
    assert not ready.with_epochs(0.1).starts


def test_states_that_are_not_finite_leave_the_head_alone(few, checkpoints, tmp_path):
    run = _begun(checkpoints, tmp_path)
    with torch.no_grad():
        run.learner.model.model.bert.pooler.dense.weight.fill_(float("nan"))
    before = [layer.weight.clone() for layer in run.learner.model.projections(2)]
    list(run.start.take(run.train, epochs=3.0, seed=0))
    after = [layer.weight for layer in run.learner.model.projections(2)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_no_more_is_read_than_a_third_of_an_epoch(monkeypatch):
    lengths = np.random.default_rng(0).integers(3, 40, 500)
    assert 0 < lengths[linear.drawn(lengths, epochs=1.0, seed=0)].sum() <= lengths.sum() / 3
    assert not np.array_equal(*(linear.drawn(lengths, epochs=1.0, seed=seed)[:9] for seed in (0, 5)))
    monkeypatch.setattr(linear, "MOST", 4)
    assert len(linear.drawn(lengths, epochs=1.0, seed=0)) == 4
    monkeypatch.setattr(linear, "TOKENS", 1)
    assert len(linear.drawn(lengths, epochs=1.0, seed=0)) == 0


def test_what_knows_too_little_leaves_the_head_alone_and_says_so(few, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(start, "KNOWS", 1.01)
    run = _begun(checkpoints, tmp_path)
    before = test_loop._bits(run)
    *_, told = run.start.take(run.train, epochs=3.0, seed=0)
    assert not told.regression
    assert 0 <= told.knows <= 1
    assert test_loop._same(before, test_loop._bits(run))
    loss = f"the loss of a logistic regression of {told.rows} training rows is only"
    assert began(told.as_dict()).startswith(f"The new head begins at random weights: {loss}")


@pytest.mark.parametrize(("said", "flushed"), [("0", True), ("1", False), ("", False)])
def test_numbers_too_small_are_taken_for_zero_only_where_the_process_is_the_commands(
    checkpoints, tmp_path, monkeypatch, said, flushed
):
    asked = []
    monkeypatch.setattr(torch, "set_flush_denormal", asked.append)
    monkeypatch.setenv("ATTUNE_DENORMALS", said)
    path = str(tiny.reviews(tmp_path / "r.csv"))
    run.fitting(
        run.plan(recipe_file.load(path, [], {"model.base": str(checkpoints("bert"))})), Store(tmp_path)
    )
    assert asked == ([True] if flushed else [])
