"""Intervals and comparisons of scores that are functions of sums over rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.metrics import intervals, labels, resampling, sums

CLOSE = {"rtol": 0, "atol": 1e-12}


def answers(n, classes=3, *, sharp=1.0, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + sharp * np.eye(classes)[gold]
    return gold, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def tallies(gold, probabilities, classes=3):
    hot, said = np.eye(classes)[gold], np.eye(classes)[probabilities.argmax(1)]
    return np.concatenate([hot * said, hot, said], axis=1)


def scores(sums):
    hits, support, guessed = np.split(sums, 3, axis=-1)
    counted = labels.Tally(hits, support, guessed)
    return {"accuracy": labels.accuracy(counted), "f1_macro": labels.f1_macro(counted)}


def share(sums):
    return {"share": sums[..., 0] / sums[..., 1]}


def test_sums_give_the_intervals_that_the_labels_themselves_give():
    gold, probabilities = answers(80)
    expected = intervals.bootstrap(gold, probabilities, 3, seed=4)
    found = intervals.of_sums(tallies(gold, probabilities), scores, seed=4)
    assert list(found) == ["accuracy", "f1_macro"]
    for name, interval in found.items():
        values = [interval.value, interval.low, interval.high, interval.n]
        wanted = [getattr(expected[name], field) for field in ("value", "low", "high", "n")]
        np.testing.assert_allclose(values, wanted, **CLOSE)


def test_sums_give_the_comparison_that_the_labels_themselves_give():
    gold, a = answers(150, sharp=2)
    b = answers(150, sharp=1.5, seed=1)[1]
    expected = intervals.paired(gold, a, b, 3, metric="f1_macro", samples=8000)
    found = intervals.paired_sums(tallies(gold, a), tallies(gold, b), scores, metric="f1_macro", samples=8000)
    assert found.difference == pytest.approx(expected.difference, abs=1e-12)
    assert (found.metric, found.n) == ("f1_macro", 150)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], atol=0.006)
    assert found.p == pytest.approx(expected.p, abs=0.03)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_a_against_b_is_b_against_a_with_the_sign_turned(n, seed):
    a, b = (np.random.default_rng([seed, part]).random((n, 2)) + 0.1 for part in (0, 1))
    one = intervals.paired_sums(a, b, share, metric="share", samples=60)
    other = intervals.paired_sums(b, a, share, metric="share", samples=60)
    np.testing.assert_allclose(
        [one.difference, one.low, one.high, one.p],
        [-other.difference, -other.high, -other.low, other.p],
        **CLOSE,
    )
    assert one.low <= one.difference <= one.high and 1 / 61 <= one.p <= 1


def test_the_same_answers_cannot_be_told_apart():
    a = np.random.default_rng(0).random((40, 2))
    found = intervals.paired_sums(a, a, share, metric="share", samples=100)
    assert found == intervals.Difference("share", 0.0, 0.0, 0.0, 1.0, 40)


def test_p_is_that_of_the_sign_test_when_rows_are_right_or_wrong():
    from scipy.stats import binomtest

    a, b = np.ones((100, 2)), np.ones((100, 2))
    a[:5, 0] = 0  # b alone is right on 5 rows, a alone on 12
    b[5:17, 0] = 0
    found = intervals.paired_sums(a, b, share, metric="share", samples=20_000)
    assert found.p == pytest.approx(binomtest(12, 17).pvalue, abs=0.01)


def test_a_difference_that_does_not_exist_in_a_swap_never_makes_p_smaller():
    drawn = np.array([np.nan, 0.0, 0.5, -0.5])

    assert sums.chance(drawn, 0.5) == 4 / 5


def test_a_score_of_nothing_has_no_interval():
    statistics = np.array([[1.0, 0.0], [2.0, 0.0]])
    with np.errstate(invalid="ignore", divide="ignore"):
        found = intervals.of_sums(
            statistics, lambda s: {"none": 0 * s[..., 0] / s[..., 1], "half": 0.5 + 0 * s[..., 0]}
        )
    assert list(found) == ["half"] and found["half"].note


def test_intervals_stay_inside_the_range_of_their_scale():
    rows = np.array([[1.0, 1.0]] * 19 + [[0.0, 1.0]])
    for name, most in (("accuracy", 1.0), ("exact_match", 100.0), ("pearson", 1.0)):
        found = intervals.of_sums(rows, lambda s, n=name, m=most: {n: m * (s[..., 0] / s[..., 1]) ** 9})[name]
        assert 0 <= found.low < found.value < found.high <= most


def test_the_same_seed_gives_the_same_bits_however_many_samples_are_drawn_at_once(monkeypatch):
    a, b = np.random.default_rng(0).integers(5, size=(2, 50, 4)).astype(float)

    def all_of_it(seed):
        return (
            intervals.of_sums(a, lambda s: {"x": s[..., 0] / s.sum(-1)}, seed=seed),
            intervals.paired_sums(a, b, lambda s: {"x": s[..., 0] / s.sum(-1)}, metric="x", seed=seed),
        )

    whole = all_of_it(1)
    assert all_of_it(2) != whole
    monkeypatch.setattr(resampling, "CELLS_AT_ONCE", 500)
    assert all_of_it(1) == whole


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.zeros((0, 2)), "at least one row"),
        (np.zeros(3), r"found shape \(3,\)"),
        (np.full((2, 2), np.nan), "not finite"),
    ],
)
def test_statistics_that_make_no_score_are_refused(rows, said):
    with pytest.raises(ValueError, match=said):
        intervals.of_sums(rows, share)


def test_answers_on_other_rows_are_not_compared():
    with pytest.raises(ValueError, match="one shape"):
        intervals.paired_sums(np.ones((3, 2)), np.ones((4, 2)), share, metric="share")
