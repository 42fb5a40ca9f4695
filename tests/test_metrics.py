"""Scores equal to scikit-learn's, calibration as in its paper, intervals that cover, fair comparisons."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from attune.metrics import calibration, intervals, labels, resampling

CLOSE = {"rtol": 0, "atol": 1e-12}


@st.composite
def answers(draw, min_classes=2, max_classes=6):
    """Truth and coarse probabilities: ties, certainties and classes that never occur are common."""
    classes = draw(st.integers(min_classes, max_classes))
    n = draw(st.integers(1, 40))
    known = draw(st.integers(1, classes))
    gold = np.array(draw(st.lists(st.integers(0, known - 1), min_size=n, max_size=n)))
    row = st.lists(st.integers(0, 4), min_size=classes, max_size=classes).filter(any)
    weights = np.array(draw(st.lists(row, min_size=n, max_size=n)), dtype=np.float64)
    return gold, weights / weights.sum(1, keepdims=True), classes


@st.composite
def rankings(draw):
    """Truth of both kinds and scores with many ties."""
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 6)), min_size=2, max_size=60))
    gold, scores = np.array(rows).T
    gold[:2] = 0, 1
    return gold, scores / 7


def simulated(n, classes, *, sharp=1.0, seed=0):
    """Answers of a model that knows the truth to a degree."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + sharp * np.eye(classes)[gold]
    odds = np.exp(logits)
    return gold, odds / odds.sum(1, keepdims=True)


def certain(predicted, classes):
    return np.eye(classes)[predicted]


# scores of labels


@settings(deadline=None)
@given(answers())
def test_scores_are_those_of_scikit_learn(given_answers):
    gold, probabilities, classes = given_answers
    predicted = probabilities.argmax(1)
    found = labels.score(gold, probabilities, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy": oracle.accuracy_score(gold, predicted),
            **{
                f"f1_{mean}": oracle.f1_score(gold, predicted, average=mean, zero_division=0)
                for mean in ("macro", "micro", "weighted")
            },
            "precision_macro": oracle.precision_score(gold, predicted, average="macro", zero_division=0),
            "recall_macro": oracle.recall_score(gold, predicted, average="macro", zero_division=0),
            "matthews_correlation": oracle.matthews_corrcoef(gold, predicted),
            "log_loss": oracle.log_loss(gold, probabilities, labels=range(classes)),
        }
    if classes == 2 and len(set(gold.tolist())) == 2:
        expected["roc_auc"] = oracle.roc_auc_score(gold, probabilities[:, 1])
        expected["average_precision"] = oracle.average_precision_score(gold, probabilities[:, 1])
    assert found.keys() - {"ece"} == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)


@settings(deadline=None)
@given(answers())
def test_each_class_is_scored_as_by_scikit_learn(given_answers):
    gold, probabilities, classes = given_answers
    predicted = probabilities.argmax(1)
    matrix = labels.confusion(gold, predicted, classes)
    np.testing.assert_array_equal(matrix, oracle.confusion_matrix(gold, predicted, labels=range(classes)))
    expected = oracle.precision_recall_fscore_support(gold, predicted, labels=range(classes), zero_division=0)
    rows = labels.per_class(matrix, [f"label {i}" for i in range(classes)])
    assert [row["label"] for row in rows] == [f"label {i}" for i in range(classes)]
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([row[name] for row in rows], values, err_msg=name, **CLOSE)


@settings(deadline=None)
@given(st.lists(answers(min_classes=4, max_classes=4), min_size=1, max_size=6))
def test_a_stack_of_matrices_is_scored_as_one_by_one(many):
    matrices = np.stack([labels.confusion(gold, p.argmax(1), 4) for gold, p, _ in many])
    for metric in labels.COUNTED.values():
        np.testing.assert_array_equal(metric(matrices), [metric(matrix) for matrix in matrices])


@settings(deadline=None)
@given(rankings())
def test_rankings_with_ties_are_scored_as_by_scikit_learn(ranking):
    gold, scores = ranking
    np.testing.assert_allclose(labels.roc_auc(gold, scores), oracle.roc_auc_score(gold, scores), **CLOSE)
    expected = oracle.average_precision_score(gold, scores)
    np.testing.assert_allclose(labels.average_precision(gold, scores), expected, **CLOSE)
    false, true, _ = oracle.roc_curve(gold, scores, drop_intermediate=False)
    np.testing.assert_allclose(labels.roc_curve(gold, scores), np.stack([false, true], 1), **CLOSE)
    precise, found, _ = oracle.precision_recall_curve(gold, scores)
    points = labels.precision_recall_curve(gold, scores)
    np.testing.assert_allclose(points, np.stack([found, precise], 1)[::-1], **CLOSE)


def test_curves_keep_their_ends_and_at_most_200_points():
    gold, probabilities = simulated(3000, 2)
    roc = labels.roc_curve(gold, probabilities[:, 1])
    pr = labels.precision_recall_curve(gold, probabilities[:, 1])
    assert len(roc) == len(pr) == 200
    assert (roc[0], roc[-1], pr[0]) == ([0, 0], [1, 1], [0, 1])
    assert pr[-1] == [1, gold.mean()]
    assert abs(np.trapezoid(*np.array(roc).T[::-1]) - labels.roc_auc(gold, probabilities[:, 1])) < 0.005


def test_a_ranking_of_one_class_is_not_scored():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert "roc_auc" not in labels.score(np.array([1, 1]), probabilities, 2)
    assert np.isnan(labels.roc_auc(np.array([1, 1]), probabilities[:, 1]))
    assert labels.average_precision(np.array([0, 0]), probabilities[:, 1]) == 0
    assert labels.roc_curve(np.array([1, 1]), probabilities[:, 1]) is None
    assert labels.precision_recall_curve(np.array([0, 0]), probabilities[:, 1]) is None


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_certain_mistake_costs_what_it_does_in_scikit_learn(kind):
    gold, probabilities = np.array([0, 1, 1]), np.array([[0, 1], [0, 1], [0.5, 0.5]], dtype=kind)
    expected = oracle.log_loss(gold, probabilities, labels=[0, 1])
    assert labels.log_loss(gold, probabilities) == pytest.approx(expected, rel=1e-6)


def test_every_score_is_finite_for_a_single_row():
    found = labels.score(np.array([2]), np.array([[0.0, 1.0, 0.0]]), 3)
    assert all(np.isfinite(value) for value in found.values())
    assert found["accuracy"] == found["f1_macro"] == found["matthews_correlation"] == 0


@pytest.mark.parametrize(
    ("gold", "probabilities", "said"),
    [
        (np.array([], dtype=int), np.zeros((0, 2)), "no rows"),
        (np.array([0, 1]), np.full((3, 2), 0.5), r"shape \(2, 2\); found \(3, 2\)"),
        (np.array([0, 2]), np.full((2, 2), 0.5), "from 0 to 1"),
        (np.array([0, -1]), np.full((2, 2), 0.5), "from 0 to 1"),
        (np.array([0.0, 1.0]), np.full((2, 2), 0.5), "whole numbers"),
        (np.array([0, 1]), np.full((2, 2), np.nan), "not finite"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused_with_a_sentence(gold, probabilities, said):
    for call in (
        lambda: labels.score(gold, probabilities, 2),
        lambda: intervals.bootstrap(gold, probabilities, 2),
        lambda: intervals.paired(gold, probabilities, probabilities, 2, metric="accuracy"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_no_rows_have_no_calibration_and_no_curve():
    none = np.array([], dtype=int)
    for call in (calibration.ece, calibration.reliability):
        with pytest.raises(ValueError, match="no rows"):
            call(none, np.zeros((0, 2)))
    for call in (labels.roc_auc, labels.average_precision, labels.roc_curve, labels.precision_recall_curve):
        with pytest.raises(ValueError, match="no rows"):
            call(none, np.zeros(0))


# calibration


@settings(deadline=None)
@given(answers(), st.integers(1, 20))
def test_calibration_error_is_that_of_its_paper(given_answers, bins):
    gold, probabilities, _ = given_answers
    confidence, right = probabilities.max(1), probabilities.argmax(1) == gold
    edges, total, n = np.linspace(0, 1, bins + 1), 0.0, 0
    rows = calibration.reliability(gold, probabilities, bins)
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
            row = rows[n]
            assert (row["low"], row["high"], row["n"]) == (low, high, inside.sum())
            np.testing.assert_allclose(row["confidence"], confidence[inside].mean(), **CLOSE)
            np.testing.assert_allclose(row["accuracy"], right[inside].mean(), **CLOSE)
            n += 1
    assert len(rows) == n
    np.testing.assert_allclose(calibration.ece(gold, probabilities, bins), total, **CLOSE)


def test_a_model_that_is_sure_and_wrong_is_not_calibrated():
    gold = np.array([0, 1, 0, 1])
    assert calibration.ece(gold, certain(gold, 2)) == 0
    assert calibration.ece(gold, certain(1 - gold, 2)) == 1
    assert calibration.ece(gold, certain(np.zeros(4, dtype=int), 2)) == 0.5
    assert (
        intervals.bootstrap(gold, certain(gold, 2), 2)["ece"].note == resampling.UNKNOWN
    )  # [0, 0] says nothing


# intervals


@settings(deadline=None, max_examples=40)
@given(answers())
def test_an_interval_contains_its_value(given_answers):
    found = intervals.bootstrap(*given_answers, samples=50)
    scores = labels.score(*given_answers)
    assert list(found) == list(scores)
    for name, interval in found.items():
        assert interval.value == scores[name]
        assert interval.low <= interval.value <= interval.high
        assert interval.n == len(given_answers[0])


def test_a_bias_that_resampling_adds_is_taken_back_twice():
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.69, 0.01, size=4000)  # resampling moved the score from 0.7 to 0.69
    np.testing.assert_allclose(resampling.bounds(drawn, 0.7, 0.7, 0.95), [0.6904, 0.7296], atol=0.001)
    low, high = resampling.bounds(drawn - 0.09, 0.7, 0.7, 0.95)
    assert low == 0.7 < high  # the value stays inside


def test_the_interval_of_a_mean_is_the_plain_percentile_interval():
    gold, probabilities = simulated(90, 3)
    drawn = [
        w @ (probabilities.argmax(1) == gold) / 90
        for w in resampling.weights(90, 1000, np.random.default_rng(0))
    ]
    found = intervals.bootstrap(gold, probabilities, 3)["accuracy"]
    np.testing.assert_allclose(
        [found.low, found.high], np.quantile(np.concatenate(drawn), [0.025, 0.975]), **CLOSE
    )


def test_answers_without_a_mistake_have_the_exact_bounds_of_a_share_and_a_note():
    from scipy.stats import binomtest

    gold = np.arange(60) % 3
    found = intervals.bootstrap(gold, certain(gold, 3), 3)["accuracy"]
    expected = binomtest(60, 60).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], **CLOSE)
    assert "same" in found.note
    wrong = intervals.bootstrap(gold, certain((gold + 1) % 3, 3), 3)["accuracy"]
    np.testing.assert_allclose([wrong.low, wrong.high], [0, 1 - expected.low], **CLOSE)


def test_a_calibrated_model_may_have_no_error_and_a_miscalibrated_one_may_not():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, size=2000)
    probabilities = np.stack([1 - sure, sure], axis=1)
    for share, lowest in ((sure, 0.0), (sure - 0.2, 0.15)):
        gold = (rng.random(2000) < share).astype(int)
        low, high = calibration.ece_bounds(gold, probabilities)
        assert lowest <= low <= calibration.ece(gold, probabilities) <= high
        assert low == 0 or lowest > 0


@pytest.mark.parametrize("classes", [2, 5])
def test_a_resample_is_scored_as_its_rows_would_be(classes):
    gold, probabilities = simulated(60, classes)
    index = np.random.default_rng(1).integers(60, size=(20, 60))
    weights = np.stack([np.bincount(rows, minlength=60) for rows in index]).astype(float)
    found = intervals._Rows.of(gold, probabilities, classes, ranked=classes == 2).scores(weights)
    for i, rows in enumerate(index):
        expected = labels.score(gold[rows], probabilities[rows], classes)
        assert found.keys() == expected.keys() - {"ece"}
        for name, value in expected.items() - {"ece": expected["ece"]}.items():
            np.testing.assert_allclose(found[name][i], value, err_msg=name, **CLOSE)


def test_intervals_are_the_same_to_the_bit_for_the_same_seed():
    given_answers = (*simulated(300, 2), 2)
    assert intervals.bootstrap(*given_answers, seed=3) == intervals.bootstrap(*given_answers, seed=3)
    assert intervals.bootstrap(*given_answers, seed=3) != intervals.bootstrap(*given_answers, seed=4)


def test_intervals_do_not_depend_on_how_many_samples_are_drawn_at_once(monkeypatch):
    gold, a = simulated(40, 3)
    b = simulated(40, 3, seed=1)[1]

    def all_of_it():
        return intervals.bootstrap(gold, a, 3), intervals.paired(gold, a, b, 3, metric="f1_macro")

    whole = all_of_it()
    monkeypatch.setattr(resampling, "CELLS_AT_ONCE", 2000)
    assert all_of_it() == whole


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    large = labels.score(*simulated(200_000, 2, seed=99), 2)
    names = ("accuracy", "f1_macro", "matthews_correlation", "log_loss", "roc_auc", "average_precision")
    covered = dict.fromkeys(names, 0)
    for seed in range(200):
        found = intervals.bootstrap(*simulated(150, 2, seed=seed), 2, samples=300, seed=seed)
        for name in names:
            covered[name] += found[name].low <= large[name] <= found[name].high
    assert all(0.89 <= hits / 200 <= 0.99 for hits in covered.values()), covered


def test_intervals_of_many_small_classes_and_of_calibration_cover_too():
    classes, trials = 77, 60  # the plain percentile bootstrap covers 80 % of the first and none of the second
    rng = np.random.default_rng(0)
    population = 0.8 * np.eye(classes) + 0.2 * rng.dirichlet(np.full(classes, 0.1), size=classes)
    truth = float(labels.f1_macro(population))
    covered = {"f1_macro": 0, "ece": 0}
    for seed in range(trials):
        cells = rng.choice(classes**2, size=10 * classes, p=population.reshape(-1) / classes)
        gold, said = cells // classes, cells % classes
        found = intervals.bootstrap(gold, certain(said, classes), classes, samples=200, seed=seed)["f1_macro"]
        covered["f1_macro"] += found.low <= truth <= found.high
        sure = rng.uniform(0.5, 1, size=400)
        gold = (rng.random(400) < sure).astype(int)
        covered["ece"] += calibration.ece_bounds(gold, np.stack([1 - sure, sure], axis=1))[0] == 0
    assert all(hits / trials >= 0.88 for hits in covered.values()), covered


def test_an_interval_is_wider_at_a_higher_level_and_narrower_with_more_rows():
    def width(n, level):
        interval = intervals.bootstrap(*simulated(n, 3), 3, level=level)["accuracy"]
        return interval.high - interval.low

    assert width(100, 0.8) < width(100, 0.95)
    assert 0.4 < width(400, 0.95) / width(100, 0.95) < 0.6


def test_a_few_rows_of_both_classes_have_an_interval_for_the_ranking():
    found = intervals.bootstrap(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), 2, samples=20)
    assert (found["roc_auc"].value, found["roc_auc"].high, found["roc_auc"].n) == (1, 1, 2)
    assert found["roc_auc"].low < 0.2 and found["roc_auc"].note


@pytest.mark.parametrize(
    ("knobs", "said"), [({"samples": 0}, "one sample"), ({"level": 1.0}, "between 0 and 1")]
)
def test_draws_that_make_no_interval_are_refused(knobs, said):
    with pytest.raises(ValueError, match=said):
        intervals.bootstrap(*simulated(5, 2), 2, **knobs)


def test_intervals_that_are_known_to_cover_less_than_they_say_say_so():
    gold, probabilities = simulated(200, 3)
    assert {interval.note for interval in intervals.bootstrap(gold, probabilities, 3).values()} == {""}
    few = intervals.bootstrap(gold[:25], probabilities[:25], 3)
    assert "fewer than 30 rows" in few["accuracy"].note and few["ece"].note == ""
    sure = np.where(np.eye(3)[gold] == 1, 0.998, 0.001)
    sure[0] = np.roll(sure[0], 1)  # one certain mistake in 200 rows
    assert "a few rows carry" in intervals.bootstrap(gold, sure, 3)["log_loss"].note


# comparisons


@pytest.mark.parametrize("metric", labels.COUNTED)
def test_a_against_b_is_b_against_a_with_the_sign_turned(metric):
    gold, a = simulated(120, 4, sharp=2)
    b = simulated(120, 4, sharp=1.5, seed=1)[1]
    one = intervals.paired(gold, a, b, 4, metric=metric)
    other = intervals.paired(gold, b, a, 4, metric=metric)
    assert one.p == other.p
    expected = [-other.difference, -other.high, -other.low]
    np.testing.assert_allclose([one.difference, one.low, one.high], expected, **CLOSE)


@settings(deadline=None, max_examples=40)
@given(answers(), st.sampled_from(sorted(labels.COUNTED)), st.randoms(use_true_random=False))
def test_a_difference_is_that_of_the_scores_and_lies_in_its_interval(given_answers, metric, random):
    gold, a, classes = given_answers
    b = a[random.sample(range(len(a)), len(a))]
    found = intervals.paired(gold, a, b, classes, metric=metric, samples=30)
    expected = labels.score(gold, a, classes)[metric] - labels.score(gold, b, classes)[metric]
    np.testing.assert_allclose(found.difference, expected, **CLOSE)
    assert found.low <= found.difference <= found.high
    assert 1 / 31 <= found.p <= 1


def test_answers_that_are_the_same_cannot_be_told_apart():
    gold, a = simulated(50, 3)
    found = intervals.paired(gold, a, a, 3, metric="f1_macro", samples=200)
    assert found == intervals.Difference("f1_macro", 0.0, 0.0, 0.0, 1.0, 50)


def test_the_p_of_accuracy_is_that_of_the_sign_test():
    from scipy.stats import binomtest

    gold = np.zeros(100, dtype=int)
    a = certain(np.repeat([0, 1], [80, 20]), 2)
    b = certain(np.repeat([0, 1, 0], [68, 27, 5]), 2)  # a alone is right on 12 rows, b alone on 5
    found = intervals.paired(gold, a, b, 2, metric="accuracy", samples=20_000)
    assert found.difference == pytest.approx(0.07)
    assert found.p == pytest.approx(binomtest(12, 17).pvalue, abs=0.01)


def test_p_is_never_below_what_the_samples_can_show():
    gold, a = simulated(200, 3, sharp=5)
    found = intervals.paired(gold, a, certain((gold + 1) % 3, 3), 3, metric="accuracy", samples=99)
    assert found.p == 1 / 100


def test_p_is_rarely_small_where_there_is_no_difference():
    small = 0
    for seed in range(200):
        gold, good = simulated(80, 3, sharp=2, seed=seed)
        other = np.random.default_rng(seed).dirichlet(np.ones(3), size=80)
        coin = np.random.default_rng(seed + 1000).integers(2, size=(80, 1)) == 1
        a, b = np.where(coin, good, other), np.where(coin, other, good)  # either has half of the good ones
        small += intervals.paired(gold, a, b, 3, metric="f1_macro", samples=200, seed=seed).p < 0.05
    assert 2 <= small <= 20


def test_comparisons_are_the_same_to_the_bit_for_the_same_seed():
    gold, a = simulated(90, 3)
    b = simulated(90, 3, seed=1)[1]
    one, two, three = (intervals.paired(gold, a, b, 3, metric="f1_macro", seed=seed) for seed in (5, 5, 6))
    assert one == two != three


def test_a_metric_that_does_not_count_labels_is_not_compared():
    gold, a = simulated(9, 2)
    with pytest.raises(ValueError, match=r"accuracy, f1_macro.*found 'log_loss'"):
        intervals.paired(gold, a, a, 2, metric="log_loss")


BETTER = intervals.Difference("f1_macro", 0.041, 0.02, 0.063, 1 / 1001, 872)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "better than TF-IDF by 4.1 points [2.0, 6.3] in macro-F1 (p = 0.001)"),
        (
            {"difference": -0.041, "low": -0.063, "high": -0.02, "metric": "accuracy"},
            "worse than TF-IDF by 4.1 points [2.0, 6.3] in accuracy (p = 0.001)",
        ),
        (
            {"difference": 0.004, "low": -0.019, "high": 0.028, "p": 0.708, "n": 172},
            "the test set (172 rows) cannot tell it from TF-IDF: "
            "difference 0.4 points [-1.9, 2.8] in macro-F1 (p = 0.71)",
        ),
        (
            {"p": 0.06, "n": 7600},
            "the test set (7,600 rows) cannot tell it from TF-IDF: "
            "difference 4.1 points [2.0, 6.3] in macro-F1 (p = 0.06); "
            "interval and test disagree, so nothing is claimed",
        ),
        (
            {"difference": -0.0001, "low": -0.0002, "high": 0.0, "p": 1.0, "n": 1},
            "the test set (1 row) cannot tell it from TF-IDF: "
            "difference 0.0 points [0.0, 0.0] in macro-F1 (p = 1)",
        ),
        (
            {"metric": "f1", "difference": 4.1, "low": 2.0, "high": 6.3},
            "better than TF-IDF by 4.1 points [2.0, 6.3] in answer F1 (p = 0.001)",
        ),
        (
            {"metric": "spearmanr"},
            "better than TF-IDF by 0.041 [0.020, 0.063] in Spearman correlation (p = 0.001)",
        ),
        (
            {"metric": "mae"},
            "worse than TF-IDF by 0.041 [0.020, 0.063] in mean absolute error (p = 0.001)",
        ),
        (
            {"metric": "mse", "difference": -1234.5, "low": -2345.6, "high": -123.4},
            "better than TF-IDF by 1,234 [123, 2,346] in mean squared error (p = 0.001)",
        ),
        (
            {"metric": "hamming_loss", "difference": 0.001, "low": -0.002, "p": 0.4},
            "the test set (872 rows) cannot tell it from TF-IDF: "
            "difference 0.1 points [-0.2, 6.3] in Hamming loss (p = 0.4)",
        ),
        ({"p": 1e-4}, "better than TF-IDF by 4.1 points [2.0, 6.3] in macro-F1 (p < 0.001)"),
    ],
)
def test_a_difference_is_told_in_plain_words(changes, said):
    assert intervals.sentence(dataclasses.replace(BETTER, **changes), "TF-IDF") == said


def test_every_metric_that_can_be_compared_has_a_name_in_words():
    assert intervals.WORDS.keys() > labels.COUNTED.keys()


def test_metrics_need_no_more_than_numpy():
    heavy = "torch", "sklearn", "scipy", "pandas", "transformers"
    code = f"import sys, attune.metrics.intervals; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
