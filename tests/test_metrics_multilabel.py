"""Scores of rows with any number of labels, equal to scikit-learn's, and thresholds that do not overfit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from attune.metrics import intervals, multilabel

CLOSE = {"rtol": 0, "atol": 1e-12}
NAMES = ["f1_micro", "f1_macro", "f1_weighted", "f1_samples", "precision_micro", "precision_macro",
         "recall_micro", "recall_macro"]  # fmt: skip


@st.composite
def answers(draw):
    """Truth [N, L] and coarse probabilities; labels that never occur and empty rows are common."""
    n, labels = draw(st.integers(1, 25)), draw(st.integers(2, 5))
    table = st.lists(st.lists(st.integers(0, 4), min_size=labels, max_size=labels), min_size=n, max_size=n)
    return (np.array(draw(table)) >= 3).astype(int), np.array(draw(table)) / 4


def simulated(n=400, labels=4, seed=0):
    rng = np.random.default_rng(seed)
    gold = (rng.random((n, labels)) < np.linspace(0.1, 0.5, labels)).astype(int)
    return gold, 1 / (1 + np.exp(-(rng.normal(size=gold.shape) + 2 * gold - 1)))


@settings(deadline=None, max_examples=25)
@given(answers())
def test_scores_are_those_of_scikit_learn(pair):
    gold, probabilities = pair
    given_labels = (probabilities >= 0.5).astype(int)
    found = multilabel.scores(multilabel.statistics(gold, given_labels).sum(0))
    expected = {
        "subset_accuracy": oracle.accuracy_score(gold, given_labels),
        "hamming_loss": oracle.hamming_loss(gold, given_labels),
    }
    for name in NAMES:
        kind, mean = name.split("_")
        score = getattr(oracle, f"{kind}_score")
        expected[name] = score(gold, given_labels, average=mean, zero_division=0)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)


@settings(deadline=None, max_examples=25)
@given(answers())
def test_average_precision_is_that_of_scikit_learn(pair):
    gold, probabilities = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.mean(
            [oracle.average_precision_score(*column) for column in zip(gold.T, probabilities.T, strict=True)]
        )
    np.testing.assert_allclose(multilabel.average_precision(gold, probabilities), expected, **CLOSE)


@settings(deadline=None, max_examples=25)
@given(answers(), st.integers(0, 100))
def test_rows_that_weigh_two_count_twice_in_the_ranking(pair, seed):
    gold, probabilities = pair
    weights = np.random.default_rng(seed).integers(3, size=len(gold))
    if weights.sum():
        found = multilabel.ranking(gold, probabilities)(weights[None].astype(float))["average_precision"]
        rows = np.repeat(np.arange(len(gold)), weights)
        expected = multilabel.average_precision(gold[rows], probabilities[rows])
        np.testing.assert_allclose(found, [expected], **CLOSE)


def test_each_label_has_its_scores_and_support():
    gold, probabilities = simulated()
    given_labels = (probabilities >= 0.5).astype(int)
    rows = multilabel.per_label(multilabel.statistics(gold, given_labels).sum(0), list("abcd"))
    expected = oracle.precision_recall_fscore_support(gold, given_labels)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([row[name] for row in rows], values, **CLOSE)


def test_scores_of_many_labels_have_intervals_and_comparisons():
    gold, probabilities = simulated()
    of_a = multilabel.statistics(gold, (probabilities >= 0.5).astype(int))
    of_b = multilabel.statistics(gold, np.zeros_like(gold))
    found = intervals.of_sums(of_a, multilabel.scores)
    found |= intervals.of_weights(len(gold), multilabel.ranking(gold, probabilities), samples=200)
    assert all(0 <= i.low < i.value < i.high <= 1 for i in found.values())
    assert found.keys() <= intervals.WORDS.keys()
    gap = intervals.paired_sums(of_a, of_b, multilabel.scores, metric="hamming_loss")
    assert intervals.sentence(gap, "none").startswith("better than none" if gap.high < 0 else "the test set")


# thresholds


def f1(gold, said):
    return 2 * (gold * said).sum() / max(1, gold.sum() + said.sum())


@settings(deadline=None, max_examples=25)
@given(answers())
def test_a_threshold_of_its_own_is_the_best_for_its_label(pair):
    gold, probabilities = pair
    found = multilabel.thresholds(gold, probabilities, fewest=0)
    for column, sure, bound in zip(gold.T, probabilities.T, found, strict=True):
        best = max(f1(column, sure >= other) for other in (*sure, 2.0))
        assert f1(column, sure >= bound) == pytest.approx(best)


@settings(deadline=None, max_examples=25)
@given(answers())
def test_rare_labels_share_the_threshold_that_is_best_for_all_together(pair):
    gold, probabilities = pair
    found = multilabel.thresholds(gold, probabilities, fewest=gold.sum(0).max() + 1)
    assert len(set(found.tolist())) == 1
    flat = gold.reshape(-1), probabilities.reshape(-1)
    best = max(f1(flat[0], flat[1] >= other) for other in (*flat[1], 2.0))
    assert f1(flat[0], flat[1] >= found[0]) == pytest.approx(best)


def test_only_labels_with_enough_positive_rows_have_a_threshold_of_their_own():
    rng = np.random.default_rng(0)
    gold = np.zeros((300, 2), dtype=int)
    gold[:150, 0] = 1
    gold[:4, 1] = 1
    probabilities = rng.random((300, 2)) * 0.2 + 0.3 * gold
    own = multilabel.thresholds(gold, probabilities, fewest=0)
    guarded = multilabel.thresholds(gold, probabilities)
    shared = multilabel.thresholds(gold, probabilities, fewest=1000)
    assert guarded.tolist() == [own[0], shared[1]]


def test_of_equal_thresholds_the_one_nearest_to_a_half_is_taken():
    gold = np.array([[1], [1], [0], [0]])
    assert multilabel.thresholds(gold, np.array([[0.9], [0.7], [0.2], [0.1]]), fewest=0) == pytest.approx(
        0.45
    )
    assert multilabel.thresholds(0 * gold, np.array([[0.9], [0.7], [0.2], [0.1]])) == 0.5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: multilabel.statistics(np.zeros((0, 2)), np.zeros((0, 2))), "tables"),
        (lambda: multilabel.statistics(np.ones((2, 2)), np.ones((2, 3))), r"found \(2, 2\) and \(2, 3\)"),
        (lambda: multilabel.statistics(np.ones((2, 2)), np.full((2, 2), 0.5)), "need a threshold"),
        (lambda: multilabel.thresholds(np.full((2, 2), 2), np.ones((2, 2))), "0 or 1"),
        (lambda: multilabel.average_precision(np.ones((2, 2)), np.full((2, 2), np.nan)), "not finite"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused_with_a_sentence(call, said):
    with pytest.raises(ValueError, match=said):
        call()
