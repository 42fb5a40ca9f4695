"""The conformance suite: what every task of the catalogue must do, blind to its name, on awkward rows."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch

from attune import tasks
from attune.data.table import Table
from attune.models import load
from attune.models.tokens import TextEncoder
from attune.tasks.base import batch_of
from attune.training import batches
from attune.training.optim import adamw
from attune.training.update import Learner, update

LONG = ("truncate", "head_tail", "windows")


class Case:
    def __init__(self, name, family, folder, long_texts="windows"):
        self.task = tasks.build(name, {})
        rows = self.task.examples()
        cells = {"text": rows["texts"], "label": rows["labels"]}
        self.table = Table("rows.csv", ("text", "label"), cells, list(range(2, 2 + len(rows["texts"]))), "")
        self.task.learn(self.table, "label")
        self.gold = self.task.gold(self.table, "label")
        self.encoder = TextEncoder(load.tokenizer(folder), max_tokens=tiny.LIMIT, long_texts=long_texts)
        self.features = self.task.encode(self.table.column("text"), self.encoder, self.gold)
        self.model = load.backbone(folder, self.task.head, self.task.labels, seed=5)

    def everything(self):
        return np.arange(len(self.features))

    def learner(self, lr_scale=1.0):
        optimizer = adamw(self.model.model, weight_decay=0.0)
        return Learner(self.task, self.model, optimizer, 0.0, str)


@pytest.fixture(
    params=[tiny.case(family, name) for name in tasks.CATALOGUE for family in tiny.FAMILIES], ids="-".join
)
def case(request, checkpoints):
    family, name = request.param
    return Case(name, family, checkpoints(family))


def _gradients(case, tokens):
    case.model.model.zero_grad()
    tiny.without_dropout(case.model.model).train()
    count = case.features.count(case.everything())
    for chosen in batches.micro_batches(case.features, case.everything(), tokens=tokens):
        batch = batch_of(case.features, chosen)
        (case.task.loss(case.task.logits(case.model, batch), batch) / count).backward()
    return {name: p.grad.clone() for name, p in case.model.model.named_parameters() if p.grad is not None}


def test_every_row_makes_features_and_counts_its_targets_once(case):
    rows = case.features.sequences.rows
    assert sorted(set(rows.tolist())) == list(range(len(case.table)))
    for row in range(len(case.table)):
        assert case.features.count(np.flatnonzero(rows == row)) == pytest.approx(1.0)


def test_a_batch_knows_its_targets_before_the_forward_pass(case):
    batch = batch_of(case.features, case.everything())
    assert batch.count == pytest.approx(float(batch.weights.sum()))
    assert len(batch.wanted) == len(batch.targets) == len(batch.weights)
    assert (torch.diff(batch.wanted) > 0).all()


def test_gradient_does_not_depend_on_the_micro_batch(case):
    whole = _gradients(case, 10**6)
    for tokens in (1, 30, 64):
        parts = _gradients(case, tokens)
        assert parts.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(parts[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_loss_is_the_sum_over_its_parts(case):
    case.model.model.eval()

    def loss(chosen):
        batch = batch_of(case.features, chosen)
        return case.task.loss(case.task.logits(case.model, batch), batch).item()

    parts = sum(loss(np.asarray([feature])) for feature in case.everything())
    assert loss(case.everything()) == pytest.approx(parts, rel=1e-4)


def _predicted(case, parts):
    pieces, order = [], []
    case.model.model.eval()
    for part in parts:
        batch = batch_of(case.features, part)
        with torch.inference_mode():
            pieces.append(case.task.predict(case.task.logits(case.model, batch)))
        order.append(batch.features)
    joined = np.concatenate(pieces)[np.argsort(np.concatenate(order), kind="stable")]
    return case.task.join(joined, case.features)


def test_predictions_do_not_depend_on_the_batch(case):
    together = _predicted(case, [case.everything()])
    alone = _predicted(case, [np.asarray([feature]) for feature in case.everything()[::-1]])
    assert len(together) == len(case.table)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_predicting_changes_no_weight(case):
    before = {name: tensor.clone() for name, tensor in case.model.model.state_dict().items()}
    _predicted(case, [case.everything()])
    assert all(torch.equal(before[name], tensor) for name, tensor in case.model.model.state_dict().items())


def test_a_handful_of_rows_can_be_memorised(case):
    learner = case.learner()
    count = case.features.count(case.everything())
    torch.manual_seed(0)
    for _ in range(60):
        update(learner, [batch_of(case.features, case.everything())], count=count, lr=3e-3)
    scores = case.task.score(case.gold, _predicted(case, [case.everything()]))
    assert scores[case.task.main_metric] > 0.99


def test_a_perfect_prediction_scores_one_and_a_wrong_one_less(case):
    perfect = np.eye(len(case.task.labels))[case.gold]
    wrong = np.roll(perfect, 1, axis=1)
    assert case.task.score(case.gold, perfect)[case.task.main_metric] == pytest.approx(1.0)
    assert case.task.score(case.gold, wrong)[case.task.main_metric] < 0.5


def test_one_row_alone_is_enough(case):
    features = case.task.encode(["good"], case.encoder, case.gold[:1])
    learner = case.learner()
    done = update(learner, [batch_of(features, np.asarray([0]))], count=1.0, lr=1e-3)
    assert np.isfinite(done.loss)
    assert done.grad_norm > 0


@pytest.mark.parametrize("long_texts", LONG)
@pytest.mark.parametrize("name", tasks.CATALOGUE)
def test_long_texts_are_counted_and_never_exceed_the_limit(checkpoints, name, long_texts):
    case = Case(name, "bert", checkpoints("bert"), long_texts)
    sequences = case.features.sequences
    assert sequences.lengths.max() <= tiny.LIMIT
    assert (sequences.cut_rows > 0) == (long_texts != "windows")
    long_row = int(sequences.whole.argmax())
    assert sequences.whole[long_row] == 62  # 60 words and two special tokens
    if long_texts == "windows":
        assert (sequences.rows == long_row).sum() > 1
