from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune import prepare, recipe_file
from attune.data.duplicates import group_near_duplicates, normalised
from attune.data.read import read
from attune.data.split import split

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SST2 = SHARED / "02_sentiment/sst2_glue/train.tsv"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public data sets in ../shared are not on this machine"
)
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
LONG = "the quick brown fox jumps over the lazy dog while everybody in the village is watching it from afar"


def test_texts_that_say_the_same_share_a_group() -> None:
    texts = ["A good film!", "a  good, film", "ａ ｇｏｏｄ film", "A bad film!", "a good films"]
    assert group_near_duplicates(texts).tolist() == [0, 0, 0, 1, 2]


def test_near_identical_texts_share_a_group_and_like_ones_do_not() -> None:
    like = LONG.replace("fox jumps over the lazy dog", "cat looks at the sleepy mouse")
    texts = [LONG, LONG + " now", like, LONG.replace("afar", "a far")]
    assert group_near_duplicates(texts).tolist() == [0, 0, 1, 0]


def test_short_texts_are_alike_only_when_identical() -> None:
    assert (
        len(set(group_near_duplicates(["very good film", "very good films", "very good film s"]).tolist()))
        == 3
    )


def test_texts_of_signs_or_of_nothing_are_not_all_one() -> None:
    assert group_near_duplicates([":)", ":(", ":)", "", " ", "!!!"]).tolist() == [0, 1, 0, 2, 2, 3]
    assert group_near_duplicates([]).tolist() == []
    assert normalised("  Ça,  VA?! ") == "ça va"
    assert normalised("कि।") != normalised("की।") != ""  # vowel signs are marks, and letters to a reader
    assert normalised("co\u00adoperate \u2764\ufe0f") == "cooperate"


def test_long_texts_without_blanks_are_compared_too() -> None:
    chinese = "这家餐厅的服务非常好我们吃得很开心下次还会再来推荐给所有喜欢中国菜的朋友们希望大家都能来尝一尝"
    assert group_near_duplicates([chinese, chinese + "呀", chinese[:20]]).tolist() == [0, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab cd\ud800é!"), max_size=60), max_size=30))
def test_groups_are_numbered_by_first_appearance_and_do_not_split_equal_texts(texts: list[str]) -> None:
    groups = group_near_duplicates(texts)
    assert len(groups) == len(texts)
    assert list(dict.fromkeys(groups.tolist())) == list(range(len(set(groups.tolist()))))
    for one, first in zip(texts, groups, strict=True):
        assert all(first == second for other, second in zip(texts, groups, strict=True) if one == other)


def pieces(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(len(text) - 4)}


def test_as_many_near_identical_pairs_are_found_as_by_comparing_all() -> None:
    random = np.random.default_rng(3)
    words = [f"word{n}" for n in range(30)]
    base = [" ".join(random.choice(words, 25)) for _ in range(40)]
    texts = [" ".join(w for w in text.split() if random.random() > 0.04) for text in base for _ in range(6)]
    groups = group_near_duplicates(texts)
    reached = {i: {i} for i in range(len(texts))}
    for i, one in enumerate(texts):
        for j, other in enumerate(texts[:i]):
            shared = len(pieces(one) & pieces(other))
            if shared >= 0.85 * len(pieces(one) | pieces(other)):
                joined = reached[i] | reached[j]
                for member in joined:
                    reached[member] = joined
    expected = {frozenset(members) for members in reached.values()}
    ours = {frozenset(np.flatnonzero(groups == group).tolist()) for group in set(groups.tolist())}
    assert len(expected) < len(texts)
    assert ours == expected


def test_near_identical_rows_of_one_template_are_found_too() -> None:
    random = np.random.default_rng(3)
    words = [
        f"{a}{b}{c}"
        for a in "bdfgklmnprst"
        for b in ("a", "e", "i", "ou")
        for c in ("bat", "dor", "ful", "gen")
    ]
    template = " ".join(random.choice(words, 80))
    texts = []
    for _ in range(100):  # two that share half of their own words, as a form that two people filled in
        own = random.choice(words, 12)
        for _ in range(2):
            own[random.choice(12, 6, replace=False)] = random.choice(words, 6)
            texts.append(f"{template} {' '.join(own)}")
    random.shuffle(texts)
    pieces = [{text[i : i + 5] for i in range(len(text) - 4)} for text in texts]
    groups = group_near_duplicates(texts)
    pairs = [
        groups[one] == groups[other]
        for one in range(len(texts))
        for other in range(one)
        if len(pieces[one] & pieces[other]) >= 0.85 * len(pieces[one] | pieces[other])
    ]
    assert len(pairs) > 50
    assert np.mean(pairs) > 0.98


def test_rows_that_are_all_nearly_the_next_are_split_to_the_letter_and_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    form = " ".join(f"field{n}" for n in range(60))
    lines = [f"{form} {'yes' if n % 2 else 'no'} {random.integers(1000)},{n % 2}" for n in range(100)]
    path = tmp_path / "forms.csv"
    path.write_text("text,label\n" + "\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")
    found = prepare.rows(recipe_file.load(str(path), [], {}))
    assert [len(found.tables[part]) for part in ("valid", "test")] == [10, 10]
    leaks = [finding.sentence for finding in found.findings if finding.check == "leaks"]
    assert leaks[0].startswith("10 rows of valid (100.0%) stand, word for word or nearly, in train too")
    of_first = {part for part in found.tables for text in found.texts(part) if text == lines[0].split(",")[0]}
    assert len(of_first) == 1


@real
def test_public_phrases_are_grouped_in_seconds() -> None:
    texts = read(SST2).column("sentence")
    begin = time.process_time()
    groups = group_near_duplicates(texts)
    assert time.process_time() - begin < 15
    assert max(Counter(groups.tolist()).values()) < 50  # likeness does not chain through the whole set
    begin = time.process_time()
    group_near_duplicates(texts[:1000])
    assert time.process_time() - begin < 0.3


grouped = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abcd")), min_size=1, max_size=120)
shares = st.sampled_from(
    [SHARES, {"train": 0.9, "test": 0.1}, {"train": 1.0, "valid": 0.0}, {"a": 0.5, "b": 0.5}]
)


@settings(max_examples=200, deadline=None)
@given(grouped, shares, st.integers(0, 5))
def test_every_row_is_in_one_split_and_no_group_in_two(
    rows: list[tuple[int, str]], shares: dict[str, float], seed: int
) -> None:
    groups, labels = np.array([group for group, _ in rows]), [label for _, label in rows]
    parts = split(groups, labels, shares, seed=seed)
    assert list(parts) == list(shares)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(rows)))
    assert all((np.diff(part) > 0).all() for part in parts.values())
    held = [set(groups[part].tolist()) for part in parts.values()]
    assert sum(map(len, held)) == len(set(groups.tolist()))
    again = split(groups, labels, shares, seed=seed)
    assert all((again[name] == part).all() for name, part in parts.items())


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1), st.integers(0, 5))
def test_single_rows_are_dealt_by_share_to_within_one_row_of_each_label(
    counts: dict[str, int], seed: int
) -> None:
    labels = [label for label, n in counts.items() for _ in range(n)]
    parts = split(np.arange(len(labels)), labels, SHARES, seed=seed)
    for label, n in counts.items():
        dealt = {name: sum(labels[row] == label for row in part) for name, part in parts.items()}
        if n >= 3:
            assert min(dealt.values()) >= 1
        else:
            assert dealt["train"] == n  # too few to show in all: learned, at least
        if n >= 10:
            assert all(abs(dealt[name] - share * n) <= 1 for name, share in SHARES.items())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abc")), min_size=1, max_size=60),
    st.integers(0, 5),
)
def test_a_label_of_three_groups_stands_in_all_splits_whatever_their_size(
    sizes: list[tuple[int, str]], seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), [size for size, _ in sizes])
    labels = [label for size, label in sizes for _ in range(size)]
    parts = split(groups, labels, SHARES, seed=seed)
    for label, n in Counter(label for _, label in sizes).items():
        if n >= 3:
            assert all(any(labels[row] == label for row in part) for part in parts.values())


def test_another_seed_makes_another_split() -> None:
    labels = ["a", "b"] * 50
    one, other = (split(np.arange(100), labels, SHARES, seed=seed)["test"].tolist() for seed in (1, 2))
    assert one != other
