"""Entity scores equal to seqeval's and nervaluate's on the same tags, and scores of plain tags."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from attune.metrics import intervals, overlaps, spans, tags

CLOSE = {"rtol": 0, "atol": 1e-12}
IOB2 = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B"]
IOBES = [*IOB2, "E-PER", "S-PER", "E-LOC", "S-LOC"]


def sentences(kinds):
    """Truth and prediction of a few sentences; every break of the scheme occurs."""
    pair = st.tuples(st.sampled_from(kinds), st.sampled_from(kinds))
    likely = st.one_of(pair, st.sampled_from(kinds).map(lambda tag: (tag, tag)))
    return st.lists(st.lists(likely, min_size=1, max_size=14), min_size=1, max_size=6).map(
        lambda rows: tuple([[words[side] for words in row] for row in rows] for side in (0, 1))
    )


def measured(gold, predicted, **how):
    types = spans.types_of(gold, predicted, **how)
    sums = spans.statistics(gold, predicted, types, **how).sum(0)
    return spans.scores(sums), spans.per_type(sums, types)


def check_report(report, found, table):
    for mean, names in (("micro", "overall_{}"), ("macro", "{}_macro"), ("weighted", "{}_weighted")):
        expected = report.pop(f"{mean} avg")
        for measure, name in (("precision", "precision"), ("recall", "recall"), ("f1-score", "f1")):
            np.testing.assert_allclose(found[names.format(name)], expected[measure], err_msg=name, **CLOSE)
    assert [row["label"] for row in table] == sorted(report)
    for row in table:
        expected = report[row["label"]]
        values = [row["precision"], row["recall"], row["f1"], row["support"]]
        wanted = [expected[name] for name in ("precision", "recall", "f1-score", "support")]
        np.testing.assert_allclose(values, wanted, **CLOSE)


@settings(deadline=None)
@given(sentences(IOBES))
def test_entities_are_scored_as_by_seqeval(pair):
    from seqeval import metrics as seqeval

    found, table = measured(*pair)
    if table:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = seqeval.classification_report(*pair, output_dict=True, zero_division=0)
        check_report(report, found, table)
    np.testing.assert_allclose(found["overall_accuracy"], seqeval.accuracy_score(*pair), **CLOSE)
    for row in pair[0]:
        expected = seqeval.sequence_labeling.get_entities(row)
        assert spans.entities(row) == [tuple(entity) for entity in expected]


@settings(deadline=None)
@given(sentences(IOB2))
def test_strict_entities_are_scored_as_by_seqeval(pair):
    from seqeval import metrics as seqeval
    from seqeval.scheme import IOB2 as SCHEME

    found, table = measured(*pair, strict=True)
    if table:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = seqeval.classification_report(
                *pair, output_dict=True, zero_division=0, mode="strict", scheme=SCHEME
            )
        check_report(report, found, table)


@settings(deadline=None)
@given(sentences(IOB2))
def test_overlapping_entities_are_scored_as_by_nervaluate(pair):
    from nervaluate import Evaluator

    found, _ = measured(*pair)
    results = Evaluator(*pair, tags=spans.types_of(*pair), loader="list").evaluate()["overall"]
    for scheme, name in (
        ("strict", "strict"),
        ("exact", "exact"),
        ("partial", "partial"),
        ("type", "ent_type"),
    ):
        for measure in ("precision", "recall", "f1"):
            expected = getattr(results[name], measure)
            np.testing.assert_allclose(found[f"{scheme}_{measure}"], expected, err_msg=scheme, **CLOSE)


def test_the_four_schemes_differ_as_their_definitions_do():
    truth = [("PER", 0, 1), ("LOC", 3, 4), ("ORG", 6, 6)]
    said = [("PER", 0, 1), ("LOC", 4, 5), ("PER", 6, 6), ("PER", 8, 8)]
    expected = {"strict": 1, "exact": 2, "partial": 2.5, "type": 2}
    assert overlaps.matched(truth, said) == expected


def test_a_tag_that_continues_nothing_begins_an_entity_only_in_lenient_reading():
    row = ["I-PER", "I-PER", "O", "B-LOC", "I-PER"]
    assert spans.entities(row) == [("PER", 0, 1), ("LOC", 3, 3), ("PER", 4, 4)]
    assert spans.entities(row, strict=True) == [("LOC", 3, 3)]


def test_sentences_without_an_entity_have_scores_of_zero_and_a_tag_accuracy():
    found, table = measured([["O", "O"], []], [["O", "O"], []])
    assert table == []
    assert found.pop("overall_accuracy") == 1
    assert set(map(float, found.values())) == {0}


@settings(deadline=None, max_examples=20)
@given(st.lists(sentences(IOB2), min_size=1, max_size=4))
def test_scores_of_a_stack_of_sums_are_those_of_each(many):
    types = ["A-B", "LOC", "PER"]
    sums = np.stack([spans.statistics(*pair, types).sum(0) for pair in many])
    stacked = spans.scores(sums)
    for row, one in enumerate(sums):
        for name, value in spans.scores(one).items():
            assert stacked[name][row] == value


def test_entity_scores_have_intervals_and_comparisons():
    rng = np.random.default_rng(0)
    gold = [["B-PER", "I-PER", "O", "B-LOC"] for _ in range(60)]
    a, b = ([[tag if rng.random() < p else "O" for tag in row] for row in gold] for p in (0.95, 0.6))
    of_a, of_b = (spans.statistics(gold, said, ["LOC", "PER"]) for said in (a, b))
    found = intervals.of_sums(of_a, spans.scores)
    assert found["overall_f1"].low < found["overall_f1"].value < found["overall_f1"].high
    assert found.keys() <= intervals.WORDS.keys()
    gap = intervals.paired_sums(of_a, of_b, spans.scores, metric="overall_f1")
    assert "better than b by" in intervals.sentence(gap, "b") and "entity F1" in intervals.sentence(gap, "b")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: spans.entities(["NOUN"]), "found 'NOUN'"),
        (lambda: spans.entities(["B-"]), "found 'B-'"),
        (lambda: spans.entities(["S-PER"], strict=True), "strict reading"),
        (lambda: spans.statistics([["O"]], [["O", "O"]], []), "1 tags and 2 predicted"),
        (lambda: spans.statistics([["O"]], [], []), "1 sentences"),
        (lambda: spans.statistics([["B-PER"]], [["O"]], ["LOC"]), "'PER' in sentence 0 is not one of"),
        (lambda: tags.statistics([["X"]], [["X", "X"]], ["X"]), "as many predicted tags"),
        (lambda: tags.statistics([["X"]], [["Y"]], ["X"]), "'Y' in sentence 0 is not one of"),
    ],
)
def test_tags_that_cannot_be_scored_are_refused_with_a_sentence(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@settings(deadline=None)
@given(sentences(["NOUN", "VERB", "X", "O"]))
def test_plain_tags_are_scored_as_words_by_scikit_learn(pair):
    names = ["NOUN", "O", "VERB", "X", "never"]
    gold, said = ([tag for row in rows for tag in row] for rows in pair)
    sums = tags.statistics(*pair, names).sum(0)
    found = tags.scores(sums)
    assert found["accuracy"] == oracle.accuracy_score(gold, said)
    for mean in ("macro", "weighted"):
        expected = oracle.f1_score(gold, said, average=mean, zero_division=0)
        np.testing.assert_allclose(found[f"f1_{mean}"], expected, **CLOSE)
    table = tags.per_tag(sums, names)
    assert [row["support"] for row in table] == [gold.count(name) for name in names]
