"""The conformance suite: what every task of the catalogue must do, blind to its name, on awkward rows."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tiny
import torch

from attune import tasks
from attune.data.table import Table
from attune.errors import RecipeError
from attune.models import load
from attune.models.tokens import TextEncoder
from attune.tasks.features import batch_of
from attune.training import batches
from attune.training.loop import predictions
from attune.training.optim import adamw
from attune.training.update import Learner, update
from attune.trust import baselines
from attune.trust.baselines import bags

LONG = ("truncate", "head_tail", "windows")
NAMES = [name for name in tasks.CATALOGUE if name not in tasks.PRESETS]
QUICK = ("bert", "llama", "t5")  # an encoder, a decoder, both; the other families are marked slow


def table_of(cells):
    size = len(cells["text"])
    return Table("rows.csv", tuple(cells), cells, list(range(2, 2 + size)), "")


class Case:
    def __init__(self, name, folder, long_texts="windows"):
        self.task = tasks.build(name, {})
        self.table = table_of(self.task.examples())
        self.task.learn(self.table)
        self.gold = self.task.gold(self.table)
        tokenizer = load.tokenizer(folder)
        if long_texts == "windows" and self.task.whole_step:
            long_texts = "head_tail"  # what is compared by one vector reads no windows
        self.encoder = TextEncoder(tokenizer, max_tokens=tiny.LIMIT, long_texts=long_texts)
        self.features = self.task.encode(self.table, self.encoder, self.gold)
        try:
            self.model = load.backbone(
                folder, self.task.head, self.task.labels, seed=5, problem=self.task.problem
            )
        except RecipeError as error:
            pytest.skip(str(error))  # transformers has no such head for the family

    def everything(self):
        return np.arange(len(self.features))

    def learner(self):
        optimizer = adamw(self.model.model, weight_decay=0.0)
        return Learner(self.task, self.model, optimizer, 0.0, str)

    def answers(self, found):
        return [asdict(self.task.answer(found[row], self.table.row(row))) for row in range(len(self.table))]

    def score(self, found):
        return self.task.score(self.gold, found)[self.task.main_metric]


CASES = [
    pytest.param((name, family), marks=() if family in QUICK else pytest.mark.slow, id=f"{name}-{family}")
    for name in NAMES
    for family in tiny.FAMILIES
]


@pytest.fixture(params=CASES)
def case(request, checkpoints):
    name, family = request.param
    return Case(name, checkpoints(family))


def same(found, expected):
    """Whether two answers agree, numbers to 1e-4."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == (pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else expected)


def as_lists(gold):
    return gold.tolist() if isinstance(gold, np.ndarray) else gold


def _gradients(case, tokens):
    case.model.model.zero_grad()
    tiny.without_dropout(case.model.model).train()
    count = case.features.count(case.everything())
    for chosen in batches.micro_batches(case.features, case.everything(), tokens=tokens):
        batch = batch_of(case.features, chosen)
        (case.task.loss(case.task.logits(case.model, batch), batch) / count).backward()
    return {name: p.grad.clone() for name, p in case.model.model.named_parameters() if p.grad is not None}


def test_every_row_makes_features_and_counts_each_target_once(case):
    rows = case.features.sequences.rows
    assert sorted(set(rows.tolist())) == list(range(len(case.table)))
    for row in range(len(case.table)):
        expected = len(case.table.row(row)["words"]) if "words" in case.table.columns else 1
        assert case.features.count(np.flatnonzero(rows == row)) == pytest.approx(expected)


def test_a_batch_knows_its_targets_before_the_forward_pass(case):
    batch = batch_of(case.features, case.everything())
    assert batch.count == pytest.approx(float(batch.weights.sum()))
    assert len(batch.wanted) == len(batch.targets) == len(batch.weights) == sum(batch.asked)
    assert (torch.diff(batch.wanted) >= 0).all()


def test_gradient_does_not_depend_on_the_micro_batch(case):
    if case.task.whole_step:
        pytest.skip("the loss compares the rows of a step, which is never cut")
    whole = _gradients(case, 10**6)
    for tokens in (1, 30, 64):
        parts = _gradients(case, tokens)
        assert parts.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_loss_is_the_sum_over_its_parts(case):
    if case.task.whole_step:
        pytest.skip("the loss compares the rows of a step, which is never cut")
    case.model.model.eval()

    def loss(chosen):
        batch = batch_of(case.features, chosen)
        return case.task.loss(case.task.logits(case.model, batch), batch).item()

    parts = sum(loss(np.asarray([feature])) for feature in case.everything())
    assert loss(case.everything()) == pytest.approx(parts, rel=1e-4)


def test_predictions_do_not_depend_on_the_batch(case):
    together = case.answers(predictions(case.task, case.model, case.features))
    for row, expected in enumerate(together):
        alone = case.table.take([row])
        features = case.task.encode(alone, case.encoder)
        found = predictions(case.task, case.model, features)
        assert same(asdict(case.task.answer(found[0], alone.row(0))), expected)


def test_answers_are_json_and_label_comes_first(case):
    for answer in case.answers(predictions(case.task, case.model, case.features)):
        assert next(iter(answer)) == "label"
        assert json.loads(json.dumps(answer)) == answer


def test_predicting_changes_no_weight(case):
    before = {name: tensor.clone() for name, tensor in case.model.model.state_dict().items()}
    predictions(case.task, case.model, case.features)
    assert all(torch.equal(before[name], tensor) for name, tensor in case.model.model.state_dict().items())


def places_its_tokens(encoder):
    """Whether tokens slice to their text; a tokenizer class of transformers may read the tiny words otherwise."""
    text = "the kettle works"
    _, offsets = next(encoder.with_offsets([text]))
    return "".join(text[begin:end].strip() for begin, end in offsets) == text.replace(" ", "")


def test_a_handful_of_rows_can_be_memorised(case):
    if not places_its_tokens(case.encoder):
        pytest.skip("the tokenizer misplaces its tokens")
    learner = case.learner()
    count = case.features.count(case.everything())
    torch.manual_seed(0)
    best = case.score(case.task.certain(case.gold))
    for lr in (3e-3, 3e-3, 3e-3, 1e-3, 1e-3, 1e-3, 3e-4):
        for _ in range(80):
            update(learner, [batch_of(case.features, case.everything())], count=count, lr=lr)
        found = predictions(case.task, case.model, case.features)
        case.task.settle(case.gold, found)
        if case.score(found) > 0.99 * best:
            return
    assert case.score(found) > 0.99 * best


def test_a_perfect_answer_scores_best_and_an_untrained_one_less(case):
    best = case.score(case.task.certain(case.gold))
    assert best == pytest.approx(1.0) or best == pytest.approx(100.0)
    assert case.score(predictions(case.task, case.model, case.features)) < best
    assert (case.task.severity(case.gold, case.task.certain(case.gold)) == 0).all()


def test_what_was_learned_can_be_stored_and_taken_back(case):
    found = predictions(case.task, case.model, case.features)
    case.task.settle(case.gold, found)
    other = tasks.build(case.task.name, {})
    other.restore(json.loads(json.dumps(case.task.state())))
    answers = [asdict(other.answer(found[row], case.table.row(row))) for row in range(len(case.table))]
    assert answers == case.answers(found)


def test_every_metric_has_an_interval_and_every_row_a_record(case):
    found = predictions(case.task, case.model, case.features)
    bounds = case.task.measured(case.gold, found, seed=1)
    assert case.task.main_metric in bounds
    for bound in bounds.values():
        assert bound.low <= bound.value <= bound.high or np.isnan(bound.value)
    gap = case.task.compared(case.gold, found, found, metric=case.task.main_metric, seed=1)
    assert gap.difference == 0
    kept = []
    for row in range(len(case.table)):
        record = case.task.record(found[row], case.table.row(row), case.gold[row])
        assert {"text", "label", "predicted"} <= record.keys()
        kept.append(json.loads(json.dumps(record)))
    labels = [case.task.truth(record) for record in kept]
    again = replace(case.table, cells={**case.table.cells, "label": labels})
    assert same(as_lists(case.task.gold(again)), as_lists(case.gold))
    json.dumps(case.task.details(case.gold, found))
    json.dumps(case.task.counts(case.gold))


def test_one_row_alone_is_enough(case):
    alone = case.table.take([0])
    features = case.task.encode(alone, case.encoder, case.task.gold(alone))
    everything = np.arange(len(features))
    done = update(case.learner(), [batch_of(features, everything)], count=features.count(everything), lr=1e-3)
    assert np.isfinite(done.loss)
    assert done.grad_norm > 0 or case.task.whole_step  # a row alone has nothing to be compared with


@pytest.mark.parametrize("name", NAMES)
def test_its_baselines_answer_in_its_own_form(checkpoints, name):
    case = Case(name, checkpoints("bert"))
    tables = dict.fromkeys(("train", "valid", "test"), case.table)
    gold = dict.fromkeys(tables, case.gold)
    found = list(baselines.of(case.task, tables, gold))
    assert found
    for key, answers in found:
        assert key in baselines.NAMES
        assert len(case.answers(answers)) == len(case.table)
        assert np.isfinite(case.score(answers)) or key == "mean"  # a constant correlates with nothing


@pytest.mark.parametrize("name", ["classification", "multilabel", "regression"])
def test_a_baseline_of_a_part_of_the_rows_says_so(checkpoints, monkeypatch, name):
    monkeypatch.setattr(bags, "MOST", 5)
    case = Case(name, checkpoints("bert"))
    assert len(case.table) > 5
    tables = dict.fromkeys(("train", "valid", "test"), case.table)
    found = dict(baselines.of(case.task, tables, dict.fromkeys(tables, case.gold)))
    (key,) = [key for key in found if key.startswith("tfidf")]
    assert key.endswith(bags.PART) and "on 100,000 of the rows" in baselines.NAMES[key]
    assert len(case.answers(found[key])) == len(case.table)


@pytest.mark.parametrize("long_texts", LONG)
@pytest.mark.parametrize("name", NAMES)
def test_long_texts_are_counted_and_never_exceed_the_limit(checkpoints, name, long_texts):
    case = Case(name, checkpoints("bert"), long_texts)
    if case.encoder.long_texts != long_texts:
        encoder = TextEncoder(
            load.tokenizer(checkpoints("bert")), max_tokens=tiny.LIMIT, long_texts=long_texts
        )
        with pytest.raises(RecipeError, match="windows"):
            case.task.encode(case.table, encoder, case.gold)
        return
    sequences = case.features.sequences
    assert sequences.lengths.max() <= tiny.LIMIT
    assert (sequences.cut_rows > 0) == (long_texts != "windows")
    long_row = int(sequences.whole.argmax())
    assert sequences.whole[long_row] > 40
    if long_texts == "windows":
        assert (sequences.rows == long_row).sum() > 1


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_read_with_both_texts(checkpoints, name):
    case = Case(name, checkpoints("bert"))
    if "pair" in case.table.columns or "words" in case.table.columns:
        pytest.skip("the task has its own form")
    cells = {**case.table.cells, "pair": case.table.column("text")[::-1]}
    both = table_of(cells)
    features = case.task.encode(both, case.encoder, case.gold)
    assert features.sequences.kinds is not None
    assert features.sequences.lengths.max() <= tiny.LIMIT
    alone = predictions(case.task, case.model, case.task.encode(case.table, case.encoder))
    together = predictions(case.task, case.model, case.task.encode(both, case.encoder))
    assert not np.allclose(alone, together)
