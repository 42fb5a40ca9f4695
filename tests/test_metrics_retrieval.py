"""Ranks of right partners among all, as by sorting, in any number of chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.metrics import intervals, retrieval

TABLES = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=2 * n, max_size=2 * n)
).map(lambda rows: (np.array(rows[::2]), np.array(rows[1::2])))  # fmt: skip


@settings(deadline=None)
@given(TABLES, st.booleans(), st.integers(1, 40))
def test_a_rank_is_the_place_of_the_best_right_positive_in_sorted_order(tables, alike, cells):
    anchors, positives = tables
    same = np.arange(len(anchors)) // 2 if alike else np.arange(len(anchors))
    expected = []
    for i, anchor in enumerate(anchors):
        near = positives @ anchor
        order = sorted(range(len(near)), key=lambda j, i=i, near=near: (-near[j], same[j] == same[i]))
        wrong = [j for j in order if same[j] != same[i]]
        best = max(near[j] for j in order if same[j] == same[i])
        expected.append(1 + sum(near[j] >= best for j in wrong))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "CELLS_AT_ONCE", cells)
        texts = np.stack(
            [-1 - np.arange(len(anchors)), same], 1
        )  # anchors differ, some positives are the same text
        found = retrieval.ranks(anchors, positives, texts if alike else None)
    assert found.tolist() == expected
    scored = retrieval.scores(retrieval.statistics(found).sum(0))
    assert scored["mrr"] == pytest.approx(np.mean([1 / rank for rank in expected]))
    for k in retrieval.CUTS:
        assert scored[f"recall@{k}"] == pytest.approx(np.mean([rank <= k for rank in expected]))


def test_a_model_that_maps_all_texts_to_one_point_finds_nothing():
    point = np.full((20, 4), 0.3)
    assert retrieval.ranks(point, point).tolist() == [20] * 20


def test_equal_texts_are_right_for_each_other():
    points = np.eye(3)[[0, 0, 1]]
    assert retrieval.ranks(points, points).tolist() == [2, 2, 1]
    assert retrieval.ranks(points, points, np.asarray([[1, 7], [2, 7], [3, 8]])).tolist() == [1, 1, 1]


def test_an_anchor_may_have_several_positives_and_is_no_candidate_of_its_own():
    several = np.eye(2)[[0, 0, 1, 1]]
    assert retrieval.ranks(several, several, np.asarray([[1, 5], [1, 6], [2, 7], [2, 8]])).tolist() == [1] * 4
    chain = np.eye(3)[[0, 0]]  # (a, b), (b, c): b is the text of the second row and the positive of the first
    assert retrieval.ranks(chain, chain, np.asarray([[1, 2], [2, 3]])).tolist() == [2, 1]


def test_ranks_have_intervals_and_names_in_words():
    rng = np.random.default_rng(0)
    anchors = rng.normal(size=(100, 8))
    ranks = retrieval.ranks(anchors, anchors + rng.normal(size=(100, 8)))
    found = intervals.of_sums(retrieval.statistics(ranks), retrieval.scores)
    assert list(found) == ["recall@1", "recall@5", "recall@10", "mrr"]
    assert all(interval.low < interval.value < interval.high for interval in found.values())
    assert found.keys() <= intervals.WORDS.keys()


@pytest.mark.parametrize(
    ("anchors", "positives", "said"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2)), "tables"),
        (np.zeros((2, 2)), np.zeros((3, 2)), r"found \(2, 2\) and \(3, 2\)"),
        (np.zeros((2, 2)), np.full((2, 2), np.inf), "not finite"),
    ],
)
def test_texts_that_cannot_be_ranked_are_refused_with_a_sentence(anchors, positives, said):
    with pytest.raises(ValueError, match=said):
        retrieval.ranks(anchors, positives)
