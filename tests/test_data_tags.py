"""Words of a text, tags as spans and back, schemes, and spans of characters laid on words."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.data import spans, tags

anywhere = settings(max_examples=100, deadline=None)
LETTERS = st.characters(exclude_categories=["Cs"])
WORDS = ["don't", "e\u0301te\u0301", "हिन्दी", "日本語", "ภาษาไทย", "👨\u200d👩\u200d👧", "a\u200db", "U.S.A."]
AWKWARD = st.sampled_from([*WORDS, "\ufeff", "x_y", "1,000"])
TEXTS = st.lists(st.text(LETTERS, max_size=12) | AWKWARD, max_size=6).map(" ".join)
KINDS = st.sampled_from(["PER", "LOC", "B-x", "I"])


@st.composite
def entities(draw: st.DrawFn) -> tuple[int, list[tags.Span]]:
    """(number of words, entities by word that do not overlap)."""
    length = draw(st.integers(0, 20))
    cuts = sorted(draw(st.sets(st.integers(0, length), max_size=10)))
    held = [(a, b, draw(KINDS)) for a, b in pairwise(cuts) if draw(st.booleans())]
    return length, held


def plain(text: str) -> str:
    """A text without what is no word: blanks and invisible characters."""
    return "".join(text[begin:end] for begin, end in tags.words(text))


@anywhere
@given(TEXTS)
def test_words_slice_to_the_surface_and_leave_out_only_blanks_and_the_invisible(text: str) -> None:
    words = tags.words(text)
    assert all(begin < end for begin, end in words)
    assert all(one[1] <= other[0] for one, other in pairwise(words))
    assert not any(re.search(r"\s", text[begin:end]) for begin, end in words)
    covered = {at for begin, end in words for at in range(begin, end)}
    left = [char for at, char in enumerate(text) if at not in covered]
    # marks that follow nothing, and what has no shape, may stand alone
    assert all(char.isspace() or not char.isprintable() or not char.isalnum() for char in left)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 9:30, ok?", ["It", "'", "s", "9", ":", "30", ",", "ok", "?"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("e\u0301te\u0301 ici", ["e\u0301te\u0301", "ici"]),
        ("東京 へ行く", ["東", "京", "へ", "行", "く"]),
        ("می\u200cروم", ["می\u200cروم"]),
        ("a\u200bb \ufeff", ["a", "b"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert [text[begin:end] for begin, end in tags.words(text)] == words


@anywhere
@given(entities())
def test_tags_and_spans_are_each_other(held: tuple[int, list[tags.Span]]) -> None:
    length, given_spans = held
    made = tags.tagged(length, given_spans)
    assert len(made) == length
    assert tags.spans(made) == given_spans
    assert tags.iob2(made, tags.IOB2) == (made, 0)


def written(held: tuple[int, list[tags.Span]], begin: str, inside: str, last: str, only: str) -> list[str]:
    made = ["O"] * held[0]
    for first, end, kind in held[1]:
        several = [f"{begin}-{kind}", *[f"{inside}-{kind}"] * (end - first - 2), f"{last}-{kind}"]
        made[first:end] = several if end - first > 1 else [f"{only}-{kind}"]
    return made


SCHEMES = [
    ("B", "I", "E", "S", tags.BIOES),
    ("B", "I", "L", "U", tags.BILOU),
    ("B", "M", "E", "S", tags.BIOES),
]


@anywhere
@given(entities(), st.sampled_from(SCHEMES))
def test_every_scheme_becomes_the_same_iob2(
    held: tuple[int, list[tags.Span]], scheme: tuple[str, str, str, str, str]
) -> None:
    made, mended = tags.iob2(written(held, *scheme[:4]), scheme[4])
    assert (made, mended) == (tags.tagged(*held), 0)


@anywhere
@given(entities())
def test_iob1_becomes_iob2(held: tuple[int, list[tags.Span]]) -> None:
    made, before = ["O"] * held[0], (-1, "")
    for begin, end, kind in held[1]:
        made[begin:end] = [f"I-{kind}"] * (end - begin)
        if before == (begin, kind):
            made[begin] = f"B-{kind}"
        before = (end, kind)
    assert tags.iob2(made, tags.IOB1) == (tags.tagged(*held), 0)


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        ([["O", "B-PER", "I-PER"], ["B-LOC", "B-LOC"]], tags.IOB2),
        ([["O", "I-PER", "I-PER"], ["I-LOC", "B-LOC"]], tags.IOB1),
        ([["I-PER", "O"], ["O", "O"]], tags.IOB1),
        ([["S-PER", "O"], ["B-LOC", "E-LOC"]], tags.BIOES),
        ([["U-PER", "O"], ["B-LOC", "L-LOC"]], tags.BILOU),
        ([["B", "I", "O"], ["O", "B", "O"]], tags.IOB2),
        ([["NOUN", "VERB"], ["-LRB-", "O"]], tags.PLAIN),
        ([["O", "O"]], tags.PLAIN),
        ([["DT", "B-NP"]], tags.PLAIN),
        ([], tags.PLAIN),
    ],
)
def test_the_scheme_is_told_from_the_tags(sentences: list[list[str]], scheme: str) -> None:
    assert tags.scheme(sentences) == scheme


@pytest.mark.parametrize(
    ("given_tags", "scheme", "made", "mended"),
    [
        (["O", "I-PER", "I-PER"], tags.IOB2, ["O", "B-PER", "I-PER"], 1),
        (["B-PER", "I-LOC"], tags.IOB2, ["B-PER", "B-LOC"], 1),
        (["B-PER", "O"], tags.BIOES, ["B-PER", "O"], 1),
        (["B-PER", "I-PER"], tags.BIOES, ["B-PER", "I-PER"], 1),
        (["E-PER"], tags.BIOES, ["B-PER"], 1),
        (["S-PER", "I-PER", "E-PER"], tags.BIOES, ["B-PER", "B-PER", "I-PER"], 1),
        (["B", "I", "O"], tags.IOB2, ["B-entity", "I-entity", "O"], 0),
        (["B_PER", "I_PER", "O"], tags.IOB2, ["B-PER", "I-PER", "O"], 0),
        (["NN", "O", "B-x"], tags.PLAIN, ["NN", "O", "B-x"], 0),
    ],
)
def test_broken_transitions_are_mended_and_counted(
    given_tags: list[str], scheme: str, made: list[str], mended: int
) -> None:
    assert tags.iob2(given_tags, scheme) == (made, mended)


@anywhere
@given(TEXTS, st.data())
def test_spans_that_are_words_are_laid_on_them_as_they_are(text: str, data: st.DataObject) -> None:
    words = tags.words(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=6)))
    held = [(a, b, "X") for a, b in pairwise(cuts)]
    marked = [spans.Marked(words[a][0], words[b - 1][1], kind) for a, b, kind in held]
    assert spans.laid(words, marked, len(text)) == (held, [])


@anywhere
@given(TEXTS, st.lists(st.tuples(st.integers(-3, 60), st.integers(-3, 60)), max_size=6))
def test_whatever_the_spans_no_word_is_in_two_entities(text: str, given_spans: list[tuple[int, int]]) -> None:
    words = tags.words(text)
    marked = [spans.Marked(begin, end, "X") for begin, end in given_spans]
    made, flaws = spans.laid(words, marked, len(text))
    taken = [word for begin, end, _ in made for word in range(begin, end)]
    assert len(taken) == len(set(taken))
    assert set(flaws) <= set(spans.FLAWS)
    assert len(made) + sum(flaw != "cuts" for flaw in flaws) <= len(marked)
    for begin, end, _ in made:  # an entity covers some span that was given
        assert any(words[begin][1] > b and words[end - 1][0] < e for b, e in given_spans)


def test_a_span_is_widened_dropped_or_passed_by_a_longer_one() -> None:
    text = "Barack Obama's visit"
    words = tags.words(text)
    assert spans.laid(words, [spans.Marked(0, 10, "PER")], len(text)) == ([(0, 2, "PER")], ["cuts"])
    assert spans.laid(words, [spans.Marked(-1, 4, "X"), spans.Marked(5, 99, "X")], 20) == (
        [],
        ["outside"] * 2,
    )
    assert spans.laid(words, [spans.Marked(6, 7, "X")], 20) == ([], ["outside"])
    both = [spans.Marked(7, 12, "LAST"), spans.Marked(0, 12, "PER")]
    assert spans.laid(words, both, 20) == ([(0, 2, "PER")], ["overlaps"])
    assert spans.laid(words, [spans.Marked(0, 12, "PER")] * 2, 20) == ([(0, 2, "PER")], [])
    typed = [spans.Marked(0, 12, kind) for kind in ("PER", "LOC")]
    assert spans.laid(words, typed, 20) == ([(0, 2, "PER")], ["twice"])


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ([[0, 3, "A"]], [(0, 3, "A")]),
        ('[{"start": 0, "end": 3, "label": "A"}]', [(0, 3, "A")]),
        ([{"start_offset": 0, "end_offset": 3, "type": "A"}], [(0, 3, "A")]),
        ([{"start": 0, "end": 3, "labels": ["A", "B"]}], [(0, 3, "A"), (0, 3, "B")]),
        ({"entities": [[0, 3, "A"]]}, [(0, 3, "A")]),
        ([], []),
        ("[]", []),
        (["A", "B"], None),
        ("[not json", None),
        ([[0, 3]], None),
        ([["0", "3", "A"]], None),
        ([{"start": 0, "end": 3}], None),
        ("plain", None),
        (3, None),
    ],
)
def test_spans_are_read_in_every_spelling(cell: object, found: list[tuple[int, int, str]] | None) -> None:
    assert spans.marked(cell) == found
