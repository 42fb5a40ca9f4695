"""What the tasks do with rows that are right but unusual."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch

import attune
from attune import answers, prepare, recipe_file, tasks
from attune.data import inputs
from attune.data.table import Table
from attune.errors import DataError
from attune.models import load
from attune.models.tokens import TextEncoder
from attune.tasks.features import batch_of


def table_of(**cells):
    size = len(next(iter(cells.values())))
    return Table("rows.csv", tuple(cells), cells, list(range(2, 2 + size)), "")


def test_partners_that_are_the_same_text_are_all_right():
    task = tasks.build("similarity", {})
    rows = table_of(text=list("abcde"), pair=["A", "A", "A", "B", "B"], label=[None] * 5)
    task.learn(rows)
    gold = task.gold(rows)
    vectors = np.eye(2)[[0, 0, 0, 1, 1]]
    assert task.score(gold, task.by_vectors(vectors, vectors))["mrr"] == 1.0


def test_a_label_that_train_lacks_is_not_scored_in_multilabel():
    task = tasks.build("multilabel", {})
    task.learn(table_of(text=["x", "y"], label=[["a"], ["b"]]))
    assert task.gold(table_of(text=["z"], label=[["a", "new"]])).tolist() == [[1, 0]]


def test_rows_that_must_stay_together_leave_a_split_empty_and_that_is_said(tmp_path):
    context = "it was a good kettle"
    rows = [
        {
            "question": f"what was it {n}",
            "context": context,
            "answers": {"text": ["good"], "answer_start": [9]},
        }
        for n in range(18)
    ]
    path = tmp_path / "one.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match="no row is left for"):
        prepare.rows(recipe_file.load(str(path), [], {"task.name": "qa"}))


def test_grades_outside_of_train_are_scored_and_fractions_are_no_grades():
    task = tasks.build("regression", {"ordinal": True})
    task.learn(table_of(text=list("abc"), label=[2.0, 3.0, 5.0]))
    scores = task.score(np.asarray([1.0, 5.0, 3.0]), np.asarray([2.2, 4.9, 3.0]))
    assert scores["accuracy"] == pytest.approx(2 / 3)
    for learned_from in (True, False):  # rows to be measured by are looked at as those of train
        with pytest.raises(DataError, match=r"whole steps .*; found 2.5"):
            (task.learn if learned_from else task.gold)(table_of(text=list("ab"), label=[1.0, 2.5]))


def test_tags_of_which_some_are_no_entities_are_plain_tags():
    task = tasks.build("tagging", {})
    task.learn(table_of(text=["a b c"], words=[[(0, 1), (2, 3), (4, 5)]], label=[["B-PER", "O", "X"]]))
    assert not task.entities
    assert task.counts([["B-PER", "O", "X"]]) == {"B-PER": 1, "O": 1, "X": 1}


def test_the_probability_of_an_entity_is_that_of_its_own_tags():
    task = tasks.build("tagging", {})
    row = {"text": "ab cd", "words": [(0, 2), (3, 5)]}
    task.learn(table_of(**{name: [cell] for name, cell in row.items()}, label=[["B-P", "I-P"]]))
    order = [task.labels.index(name) for name in ("O", "B-P", "I-P")]
    given = np.zeros((2, 3))
    given[:, order] = [[0.50, 0.04, 0.46], [0.02, 0.03, 0.95]]
    (entity,) = task.answer(given, row).label
    assert entity["text"] == "ab cd"
    assert entity["probability"] == pytest.approx(0.04)


@pytest.mark.parametrize("given", ["a text", {"text": "a", "pair": None}])
def test_a_run_on_pairs_refuses_what_is_none(checkpoints, tmp_path, given):
    rows = [(text, text[::-1], label) for text, label in tiny.rows(60)]
    path = tmp_path / "pairs.jsonl"
    names = ("premise", "hypothesis", "label")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    run = attune.train(path, "train.epochs=1", out=tmp_path / "run", model=checkpoints("bert"))
    with pytest.raises(DataError):
        attune.load(run.path).predict([given])
    assert attune.load(run.path).predict([("good", "bad")])[0].label in ("good", "bad")


def test_a_column_that_fills_late_is_written_to_parquet(tmp_path, monkeypatch):
    from pyarrow import parquet

    monkeypatch.setattr(answers, "ROWS", 2)
    rows = [({"note": note}, {"n": n}) for n, note in enumerate((None, None, "late"))]
    answers._parquet(tmp_path / "x.parquet", iter(rows))
    assert parquet.read_table(tmp_path / "x.parquet").column("note").to_pylist() == [None, None, "late"]


def test_inputs_of_a_program_are_rows_by_role():
    assert inputs.of_program(["a b"], "tagging").row(0) == {"text": "a b", "words": [(0, 1), (2, 3)]}
    assert inputs.of_program([("a", "b")], "classification").row(0) == {"text": "a", "pair": "b"}
    with pytest.raises(DataError, match="input 1"):
        inputs.of_program(["a", 3], "classification")


def test_words_that_share_a_token_are_answered_as_if_alone(checkpoints):
    """As many wanted positions as tokens, some of them twice, are not all positions."""
    for family in ("bert", "modernbert", "llama", "t5"):
        model = load.backbone(checkpoints(family), "tagging", ["O", "B-X"], seed=3)
        model.model.eval()
        stream = tiny.stream(
            [np.asarray([7, 8, 9, tiny.END], np.int32), np.asarray([9, 8, tiny.END], np.int32)]
        )
        everywhere = torch.arange(7)
        wanted = torch.tensor([0, 1, 1, 3, 4, 4, 6])
        with torch.inference_mode():
            whole = model.hidden(stream, everywhere)
            assert torch.allclose(model.hidden(stream, wanted), whole[wanted], atol=1e-5), family


def test_the_right_partners_of_a_text_are_not_pushed_away(checkpoints):
    task = tasks.build("similarity", {})
    cells = {"text": ["good", "good", "bad"], "pair": ["fine", "not bad", "broke"]}
    table = Table("rows.csv", ("text", "pair"), cells, [2, 3, 4], "")
    task.learn(table)
    encoder = TextEncoder(load.tokenizer(checkpoints("bert")), max_tokens=tiny.LIMIT)
    features = task.encode(table, encoder)
    batch = batch_of(features, np.arange(len(features)))
    where = {
        "good": 0,
        "fine": 0,
        "not bad": 0,
        "bad": 1,
        "so": 1,
        "broke": 1,
    }  # what belongs together is one vector
    rows, part = features.sequences.rows[batch.features], features.private[batch.features]
    words = [cells["text" if at == 0 else "pair"][row] for row, at in zip(rows, part, strict=True)]
    vectors = torch.eye(2)[[where[word] for word in words]]
    assert float(task.loss(vectors, batch)) < 1e-6


def test_another_judge_of_the_same_probabilities_decides_and_ranks_as_before():
    task, judge = (tasks.build("multilabel", {}) for _ in range(2))
    task.labels = judge.labels = ("a", "b")
    task.thresholds, judge.thresholds = np.asarray([0.7, 0.2]), np.asarray([0.1, 0.6])
    held = np.random.default_rng(0).random((200, 2))
    held[0] = judge.thresholds
    seen = task.seen_as(judge, held)
    assert ((seen >= 0) & (seen <= 1)).all()
    assert (task.decided(seen) == judge.decided(held)).all()
    assert (np.argsort(seen, 0) == np.argsort(held, 0)).all()


@pytest.mark.parametrize(("offset", "held"), [(100.0, True), (1e8, False)])
def test_numbers_far_from_zero_keep_their_scale_outside_of_the_head(checkpoints, offset, held):
    task = tasks.build("regression", {})
    task.learn(table_of(text=list("abc"), label=[offset - 1, offset, offset + 1]))
    model = load.backbone(checkpoints("bert"), "classification", task.labels, seed=1, problem="regression")
    model.model.eval()
    stream = tiny.stream([np.arange(5, 5 + length) for length in (4, 7, 2)])

    def answered():
        with torch.inference_mode():
            return model.classify(stream)[:, 0].double().numpy() * task.scale + task.mean

    before = answered()
    task.finish(model)
    assert (task.mean == 0.0) is held  # the head says the number itself, or `mean` and `scale` stay beside it
    np.testing.assert_allclose(answered(), before, rtol=0, atol=1e-3)
