"""Scores of extracted answers, equal to what the official scripts of SQuAD gave for the rows of a fixture."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.metrics import extraction, intervals

CLOSE = {"rtol": 0, "atol": 1e-12}
# Random rows with articles, punctuation, other scripts and texts that normalise to nothing; the values are what
# the rules of evaluate-v2.0.py (`second`) and evaluate-v1.1.py (`first`) gave for them.
OFFICIAL = json.loads((Path(__file__).parent / "fixtures" / "squad.json").read_text(encoding="utf-8"))


def columns(rows):
    return [row["gold"] for row in rows], [row["said"] for row in rows]


@pytest.mark.parametrize("official", OFFICIAL)
def test_answers_are_scored_as_by_the_second_script(official):
    gold, said = columns(official["rows"])
    table = extraction.statistics(gold, said)
    np.testing.assert_allclose(table[:, 1:3], official["second_rows"], **CLOSE)
    found = extraction.scores(table.sum(0))
    for name, value in found.items():
        np.testing.assert_allclose(value, official["second"][name], err_msg=name, rtol=0, atol=1e-10)
    assert found.keys() <= intervals.WORDS.keys()


@pytest.mark.parametrize("official", OFFICIAL)
def test_answers_are_scored_as_by_the_first_script(official):
    gold, said = columns([row for row in official["rows"] if row["gold"]])
    table = extraction.statistics(gold, said, version=1)
    np.testing.assert_allclose(table[:, 1:3], official["first_rows"], **CLOSE)
    found = extraction.scores(table.sum(0))
    assert [name for name, value in found.items() if not np.isnan(value)] == ["exact_match", "f1"]


@pytest.mark.parametrize("metric", ["exact_match", "f1"])
@pytest.mark.parametrize("official", OFFICIAL)
def test_the_best_threshold_is_the_one_of_the_second_script(official, metric):
    gold, said = columns(official["rows"])
    table = extraction.statistics(gold, said)
    no_answer = np.array([row["no_answer"] for row in official["rows"]])
    bound, score = extraction.threshold(table, said, no_answer, metric=metric)
    assert score == pytest.approx(official["second"][f"best_{metric}"], abs=1e-10)
    assert bound == official["second"][f"threshold_{metric}"]


ROWS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a cat", "cat", "dog sat"]), max_size=2),
        st.sampled_from(["", "cat", "the dog", "sat dog cat"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)


@given(ROWS)
def test_the_score_of_a_threshold_is_reached_and_is_the_best(rows):
    gold, said, belief = (list(column) for column in zip(*rows, strict=True))
    belief = np.array(belief) / 3
    table = extraction.statistics(gold, said)
    bound, score = extraction.threshold(table, said, belief, metric="f1")

    def reached(bound):
        kept = ["" if sure > bound else text for text, sure in zip(said, belief, strict=True)]
        return float(extraction.scores(extraction.statistics(gold, kept).sum(0))["f1"])

    assert reached(bound) == pytest.approx(score)
    assert all(reached(other) <= score + 1e-9 for other in (-1, *belief))


@given(st.text(), st.text())
def test_two_texts_score_between_none_and_all_and_alike_from_both_sides(one, other):
    assert 0 <= extraction.exact(one, other) <= 1
    assert extraction.overlap(one, other) == extraction.overlap(other, one)
    assert extraction.overlap(one, one) == bool(extraction.normalised(one))
    assert extraction.exact(one, other) <= extraction.overlap(one, other) or not extraction.normalised(one)
    assert not set(string.punctuation) & set(extraction.normalised(one))


def test_answers_have_intervals_on_the_scale_of_the_scripts():
    gold, said = columns(OFFICIAL[1]["rows"])
    found = intervals.of_sums(extraction.statistics(gold, said), extraction.scores)
    assert found["f1"].high - found["f1"].low > 5
    assert 0 <= found["NoAns_f1"].low < found["NoAns_f1"].value < found["NoAns_f1"].high <= 100
    answered = intervals.of_sums(extraction.statistics([["x"], ["y"]], ["x", "z"]), extraction.scores)
    assert list(answered) == ["exact_match", "f1"]


def test_answers_that_cannot_be_scored_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="2 questions"):
        extraction.statistics([["x"], []], ["x"])
    with pytest.raises(ValueError, match="question 1 has no accepted answer"):
        extraction.statistics([["x"], []], ["x", ""], version=1)
