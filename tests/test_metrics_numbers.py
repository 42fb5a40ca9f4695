"""Scores of predicted numbers equal to scipy's and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from attune.metrics import intervals, numbers

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
PAIRS = st.lists(st.tuples(st.integers(1, 5), st.integers(-4, 24)), min_size=2, max_size=40).map(
    lambda rows: (np.array([row[0] for row in rows], dtype=float), np.array([row[1] for row in rows]) / 4)
)


def measured(gold, said, **how):
    return numbers.scores(numbers.statistics(gold, said, **how).sum(0))


@settings(deadline=None)
@given(PAIRS, st.sampled_from([0.0, 1e6]))
def test_scores_are_those_of_scipy_and_scikit_learn(pair, shift):
    gold, said = pair[0] + shift, pair[1] + shift
    found = measured(gold, said)
    expected = {
        "mse": oracle.mean_squared_error(gold, said),
        "rmse": oracle.root_mean_squared_error(gold, said),
        "mae": oracle.mean_absolute_error(gold, said),
        "r2": oracle.r2_score(gold, said),
        "pearson": 0.0,
        "spearmanr": 0.0,
    }
    if np.ptp(gold) and np.ptp(said):
        expected["pearson"] = stats.pearsonr(gold, said).statistic
        expected["spearmanr"] = stats.spearmanr(gold, said).statistic
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)


@settings(deadline=None)
@given(PAIRS)
def test_grades_are_scored_as_rounded_labels_by_scikit_learn(pair):
    gold, said = pair
    found = measured(gold, said, grades=(1, 5))
    rounded = np.clip(np.floor(said + 0.5), 1, 5)
    np.testing.assert_allclose(found["accuracy"], np.mean(rounded == gold), **CLOSE)
    if len({*gold.tolist(), *rounded.tolist()}) > 1:
        expected = oracle.cohen_kappa_score(gold, rounded, labels=[1, 2, 3, 4, 5], weights="quadratic")
        np.testing.assert_allclose(found["quadratic_weighted_kappa"], expected, **CLOSE)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_ranks_are_those_of_scipy(values):
    np.testing.assert_array_equal(numbers.mean_ranks(np.array(values)), stats.rankdata(values))


@settings(deadline=None, max_examples=20)
@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_scores_of_a_stack_of_sums_are_those_of_each(many):
    sums = np.stack([numbers.statistics(*pair, grades=(1, 5)).sum(0) for pair in many])
    stacked = numbers.scores(sums)
    for row, one in enumerate(sums):
        for name, value in numbers.scores(one).items():
            assert stacked[name][row] == value


def test_what_does_not_vary_correlates_with_nothing_whatever_its_rounding():
    gold = np.array([1.0, 2.0, 3.0])
    found = measured(gold, np.full(3, 0.1))
    assert found["pearson"] == found["spearmanr"] == 0


def test_a_truth_that_is_met_scores_best_everywhere():
    found = measured(np.array([1.0, 2.0, 5.0]), np.array([1.0, 2.0, 5.0]), grades=(1, 5))
    assert {name: round(float(value), 12) for name, value in found.items()} == {
        "pearson": 1, "spearmanr": 1, "mse": 0, "rmse": 0, "mae": 0, "r2": 1,
        "accuracy": 1, "quadratic_weighted_kappa": 1,
    }  # fmt: skip


def test_numbers_have_intervals_and_comparisons_in_which_a_lower_error_is_better():
    rng = np.random.default_rng(0)
    gold = rng.integers(1, 6, size=200).astype(float)
    near, far = gold + rng.normal(0, 0.5, 200), gold + rng.normal(0, 2, 200)
    of_near, of_far = (numbers.statistics(gold, said, grades=(1, 5)) for said in (near, far))
    found = intervals.of_sums(of_near, numbers.scores)
    assert all(interval.low < interval.value < interval.high for interval in found.values())
    assert found.keys() <= intervals.WORDS.keys()
    for metric in ("mae", "spearmanr"):
        gap = intervals.paired_sums(of_near, of_far, numbers.scores, metric=metric)
        assert intervals.sentence(gap, "far").startswith(
            "better than far by 0." if metric == "spearmanr" else "better"
        )


@pytest.mark.parametrize(
    ("gold", "said", "grades", "what"),
    [
        ([], [], None, "at least one"),
        ([1.0], [1.0, 2.0], None, "1 true numbers"),
        ([1.0], [np.nan], None, "not finite"),
        ([1.5], [1.0], (1, 5), "whole numbers from 1 to 5"),
        ([6.0], [1.0], (1, 5), "whole numbers from 1 to 5"),
    ],
)
def test_numbers_that_cannot_be_scored_are_refused_with_a_sentence(gold, said, grades, what):
    with pytest.raises(ValueError, match=what):
        numbers.statistics(np.array(gold), np.array(said), grades=grades)
