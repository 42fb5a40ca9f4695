"""Several labels a row, numbers, names of numbered labels, pairs and questions, as canonical rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.data import rows, split
from attune.data.checks import examine
from attune.data.read import read, read_splits
from attune.data.roles import infer
from attune.data.table import Table
from attune.errors import DataError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public data sets in ../shared are not on this machine"
)


def table(**cells: list[Any]) -> Table:
    return Table("d.csv", tuple(cells), cells, list(range(2, len(next(iter(cells.values()))) + 2)), "")


def sentences(n: int) -> list[str]:
    return [f"some words that make a sentence number {number} of many" for number in range(n)]


def labels(held: Table, **options: str) -> list[Any]:
    return rows.canonical(held, infer(held, **options)).column("label")


@pytest.mark.parametrize("sign", [",", "|", "#", ";"])
def test_joined_labels_are_parted_by_the_sign_that_joins_them(sign: str) -> None:
    cells = ["a", "b", "c", sign.join("ab"), f"b{sign} c", sign.join("abc"), "", None]
    assert labels(table(text=sentences(8), label=cells)) == [
        ["a"], ["b"], ["c"], ["a", "b"], ["b", "c"], ["a", "b", "c"], [], [],
    ]  # fmt: skip


def test_lists_of_labels_may_be_empty_or_json() -> None:
    assert labels(table(text=sentences(4), label=[["a"], [], ["b", "a", "b"], None])) == [
        ["a"],
        [],
        ["b", "a"],
        [],
    ]
    cells = ['["a"]', "[]", '["b", "a"]', '["a"]']
    assert labels(table(text=sentences(4), label=cells), task="multilabel") == [["a"], [], ["b", "a"], ["a"]]


def test_columns_of_zero_and_one_are_labels_by_name() -> None:
    cells = {"toxic": ["1", "0", "0", "1"], "threat": ["0", "1", "0", "1"], "insult": ["0", "0", "0", "1"]}
    held = table(id=["7", "8", "9", "10"], comment=sentences(4), **cells)
    assert labels(held) == [["toxic"], ["threat"], [], ["toxic", "threat", "insult"]]
    two = infer(held, label="toxic, insult")
    assert two.label == ("toxic", "insult")
    assert rows.canonical(held, two).column("label") == [["toxic"], [], [], ["toxic", "insult"]]
    odd = table(comment=sentences(4), **{**cells, "threat": ["0", "2", "0", "1"]})
    with pytest.raises(DataError, match=r"d\.csv:3: neither 0 nor 1 in 'threat'"):
        labels(odd, label="toxic,threat")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=4), min_size=1, max_size=20))
def test_sets_of_labels_are_kept_whatever_their_spelling(held: list[list[str]]) -> None:
    expected = [list(dict.fromkeys(each)) for each in held]
    roles = infer(table(text=["some words", "more words"], label=[["a"], ["a", "b"]]))
    lists = rows.canonical(table(text=["t"] * len(held), label=held), roles)
    assert lists.column("label") == expected
    written = rows.canonical(table(text=["t"] * len(held), label=list(map(json.dumps, held))), roles)
    assert written.column("label") == expected


def test_numbers_are_read_as_such_and_others_named_by_their_place() -> None:
    held = table(text=sentences(5), stars=["1", "5.0", "3", "1e1", "2"])
    assert labels(held, task="regression") == [1.0, 5.0, 3.0, 10.0, 2.0]
    roles = infer(held, task="regression")
    with pytest.raises(DataError, match=r"d\.csv:3: no number in 'stars'; found 'good'"):
        rows.canonical(table(text=sentences(2), stars=["1", "good"]), roles)
    with pytest.raises(DataError, match="one value only in 'stars': 3"):
        examine({"train": rows.canonical(table(text=sentences(3), stars=["3"] * 3), roles)}, roles)
    with pytest.raises(DataError, match=r"1 row with no label in 'stars'; found d\.csv:3"):
        examine({"train": rows.canonical(table(text=sentences(2), stars=["3", ""]), roles)}, roles)


def test_numbered_labels_take_the_names_of_the_list_beside_the_file(tmp_path: Path) -> None:
    def write(name: str, content: str) -> Path:
        path = tmp_path / name
        path.write_text(content)
        return path

    lines = "".join(f"{text}\t{n % 3}\n" for n, text in enumerate(sentences(9)))
    path = write("train.tsv", lines)
    assert labels(read(path))[:3] == ["0", "1", "2"]
    listed = write("labels.txt", "anger\njoy\nfear\n")
    assert labels(read(path))[:3] == ["anger", "joy", "fear"]
    assert any("named by the list beside train.tsv" in reason for reason in infer(read(path)).reasons)
    listed.write_text("0\tanger\n1\tjoy\n2\tfear\n")
    assert labels(read(path))[:3] == ["anger", "joy", "fear"]
    listed.write_text("none\nanger\n")  # too few names: the numbers stay
    assert labels(read(path))[:3] == ["0", "1", "2"]
    from_one = write("one.tsv", lines.replace("\t0", "\t3"))
    write("classes.txt", "x\ny\nz\n")
    listed.unlink()
    assert labels(read(from_one))[:3] == ["z", "x", "y"]


def test_similar_texts_may_have_a_score_or_none() -> None:
    pairs = table(anchor=sentences(4), positive=sentences(4)[::-1])
    assert rows.canonical(pairs, infer(pairs)).column("label") == [None] * 4
    scored = table(sentence1=sentences(4), sentence2=sentences(4)[::-1], score=["0.5", "1", "0.2", "0.1"])
    roles = infer(scored, task="similarity")
    assert rows.canonical(scored, roles).column("label") == [0.5, 1.0, 0.2, 0.1]
    made, findings = examine({"train": rows.canonical(pairs, infer(pairs))}, infer(pairs))
    assert (len(made["train"]), findings) == (4, [])
    assert split.strata(made["train"], "similarity") == [""] * 4


def test_pairs_with_an_empty_second_text_are_left_out_and_counted() -> None:
    held = table(premise=sentences(6), hypothesis=["so", "", "so", "no", None, "no"], label=list("aababb"))
    roles = infer(held)
    made, findings = examine({"train": rows.canonical(held, roles)}, roles, split=False)
    assert list(made["train"].lines) == [2, 4, 5, 7]
    assert findings[0].sentence == "2 rows of train with nothing in 'hypothesis', left out."


def test_pairs_repeat_only_when_both_texts_do() -> None:
    held = table(premise=["x y z"] * 4, hypothesis=["a b", "a c", "a b", "a d"], label=list("abba"))
    roles = infer(held, text="premise", pair="hypothesis")
    findings = {f.check: f for f in examine({"train": rows.canonical(held, roles)}, roles, split=False)[1]}
    assert (
        findings["duplicates"].sentence
        == "1 row of train repeats an earlier pair word for word, and it stays."
    )
    assert findings["conflicts"].rows == ("d.csv:2 (a)", "d.csv:4 (b)")


CONTEXT = "Rome was built, and Rome was burnt. Rome stands."
OTHER = "Italy is a country of old towns, and the oldest of all is Rome."


def qa(*answers: Any, context: str = CONTEXT) -> Table:
    n = len(answers)
    return table(question=[f"what is it {i}" for i in range(n)], context=[context] * n, answers=list(answers))


def test_answers_are_put_where_they_stand_and_what_was_moved_is_counted() -> None:
    held = qa(
        {"text": ["Rome", "burnt"], "answer_start": [20, 29]},
        {"text": ["Rome"], "answer_start": [34]},
        {"text": ["Rome"], "answer_start": [9]},
        [{"text": "built", "answer_start": 0}],
        '{"text": ["stands"], "answer_start": [41]}',
        {"text": [], "answer_start": []},
    )
    roles = infer(held)
    assert roles.group == "context"
    made = rows.canonical(held, roles)
    assert made.column("label") == [
        [{"text": "Rome", "start": 20}, {"text": "burnt", "start": 29}],
        [{"text": "Rome", "start": 36}],
        [{"text": "Rome", "start": 0}],
        [{"text": "built", "start": 9}],
        [{"text": "stands", "start": 41}],
        [],
    ]
    assert made.findings[0].sentence.startswith("3 answers of d.csv found elsewhere")
    assert made.findings[0].rows == ("d.csv:3", "d.csv:4", "d.csv:5")


def test_answers_in_plain_words_are_put_where_they_stand_first() -> None:
    held = qa(["built", "stands"], [], ["Rome"])
    roles = infer(held)
    assert roles.task == "qa"
    assert rows.canonical(held, roles).column("label") == [
        [{"text": "built", "start": 9}, {"text": "stands", "start": 41}],
        [],
        [{"text": "Rome", "start": 0}],
    ]


def test_answers_that_stand_nowhere_are_left_out_where_few_and_refused_where_many() -> None:
    good = {"text": ["Rome"], "answer_start": [0]}
    held = qa(*[good] * 5, {"text": ["Athens"], "answer_start": [0]})
    made = rows.canonical(held, infer(held))
    assert list(made.lines) == [2, 3, 4, 5, 6]
    assert (made.findings[0].check, made.findings[0].rows) == ("answers", ("d.csv:7",))
    held = qa(good, *[{"text": ["Athens"], "answer_start": [0]}] * 2)
    with pytest.raises(DataError) as caught:
        rows.canonical(held, infer(held))
    assert [problem.where for problem in caught.value.problems] == ["d.csv:3", "d.csv:4"]
    held = qa(*[good] * 3, {"text": ["Rome", "x"], "answer_start": [0]})
    with pytest.raises(DataError, match=r"d\.csv:5: answers in another form"):
        rows.canonical(held, infer(held))


def squad(version: int, *contexts: str) -> dict[str, Any]:
    return {
        "version": f"v{version}.0",
        "data": [
            {"title": title, "paragraphs": [{"context": context, "qas": asked(context)[:version]}]}
            for title, context in zip(("Rome", "Italy"), contexts or (CONTEXT, OTHER), strict=True)
        ],
    }


def asked(context: str) -> list[dict[str, Any]]:
    return [
        {
            "id": "q1",
            "question": "Who stands?",
            "answers": [{"text": "Rome", "answer_start": context.rindex("Rome")}],
        },
        {
            "id": "q2",
            "question": "Why?",
            "answers": [],
            "is_impossible": True,
            "plausible_answers": [{"text": "x"}],
        },
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_nested_squad_is_read_by_question_and_kept_together_by_article(tmp_path: Path, version: int) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(squad(version), indent=version - 1 or None))
    held = read(path)
    assert held.columns == ("id", "title", "context", "question", "answers")
    made = rows.canonical(held, infer(held))
    assert made.column("group") == ["Rome"] * version + ["Italy"] * version
    assert made.column("label")[:2] == [
        [{"text": "Rome", "start": 36}],
        [] if version == 2 else made.row(1)["label"],
    ]
    assert split.groups(made, "qa").tolist() == [0] * version + [1] * version
    path.write_text(json.dumps(squad(version, CONTEXT, CONTEXT)))
    held = read(path)
    again = rows.canonical(held, infer(held))
    assert set(split.groups(again, "qa").tolist()) == {0}  # one context under two titles
    assert set(split.strata(made, "qa")) == ({"answer", "none"} if version == 2 else {"answer"})


def test_questions_leak_by_their_context() -> None:
    train, test = (qa({"text": ["Rome"], "answer_start": [0]}) for _ in range(2))
    test.cells["question"][0] = "quite another question"
    roles = infer(train)
    made = {name: rows.canonical(held, roles) for name, held in (("train", train), ("test", test))}
    findings = {finding.check: finding for finding in examine(made, roles)[1]}
    assert (
        "1 row of test (100.0%) asks about a context that stands in train too" in findings["leaks"].sentence
    )
    with pytest.raises(DataError, match="no question has an answer"):
        bare = qa({"text": [], "answer_start": []})
        examine({"train": rows.canonical(bare, roles)}, roles)


@pytest.mark.parametrize("task", ["multilabel", "tagging", "regression", "qa"])
def test_every_split_gets_its_share_of_what_is_rare(task: str) -> None:
    n = 200
    cells: dict[str, list[Any]] = {
        "multilabel": [["rare", "b"] if i % 20 == 0 else ["b"] for i in range(n)],
        "tagging": [["B-rare", "B-b"] if i % 20 == 0 else ["O", "B-b"] for i in range(n)],
        "regression": [float(i) for i in range(n)],
        "qa": [[] if i % 20 == 0 else [{"text": "a", "start": 0}] for i in range(n)],
    }
    held = table(text=sentences(n), label=cells[task])
    strata = split.strata(held, task)
    parts = split.split(np.arange(n), strata, {"train": 0.8, "valid": 0.1, "test": 0.1}, seed=1)
    for name, share in (("valid", 0.1), ("test", 0.1)):
        for stratum in set(strata):
            shown = sum(strata[row] == stratum for row in parts[name])
            assert abs(shown - share * strata.count(stratum)) <= 1


def test_labels_of_several_are_examined_without_a_word_of_single_ones() -> None:
    held = table(text=["a b c", "a b c", "d e f", "g h"], label=[["x"], ["x", "y"], ["x"], []])
    roles = infer(held)
    train = rows.canonical(held, roles)
    test = rows.canonical(table(text=["i j"], label=[["z"]]), roles)
    findings = {f.check: f for f in examine({"train": train, "test": test}, roles)[1]}
    assert findings["conflicts"].sentence == "1 text stands in train under different sets of labels."
    assert "cannot be scored: 'z'" in findings["unseen"].sentence
    assert findings["rare_label"].sentence == "2 labels have fewer than 10 rows in train: 'y' (1), 'x' (3)."
    with pytest.raises(DataError, match="no row has any label"):
        examine({"train": rows.canonical(table(text=["a"], label=[[]]), roles)}, roles)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("d.txt", "__label__a good film\n__label__b bad film\n", ["a", "b"]),
        ("d.ft", "__label__a __label__b good film\n\n__label__b bad film\n", [["a", "b"], ["b"]]),
        ("d.txt", "good film __label__a\nbad film __label__b\n", ["a", "b"]),
        ("fine.train", "1 good film\n0 bad film\n" * 2, ["1", "0"] * 2),
        ("d.dat", "good film $LABEL$ 1\nbad film$LABEL$0\n", ["1", "0"]),
    ],
)
def test_lines_with_their_label_are_read(tmp_path: Path, name: str, content: str, found: list[Any]) -> None:
    path = tmp_path / name
    path.write_text(content)
    held = read(path)
    assert held.column("text")[:2] == ["good film", "bad film"]
    assert held.column("label") == found
    assert held.lines[0] == 1


def test_a_json_object_of_splits_gives_them(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    held = {
        "train": [["turn it on", "on"], ["turn it off", "off"]],
        "val": [["on please", "on"]],
        "oos": [["x", "y"]],
    }
    path.write_text(json.dumps(held))
    tables = read_splits(path)
    assert {name: each.columns for name, each in tables.items()} == {
        "train": ("column1", "column2"), "valid": ("column1", "column2"),
    }  # fmt: skip
    assert any("'oos'" in note for note in tables["train"].notes)
    assert tables["valid"].place(0) == "data.json:val:1"
    with pytest.raises(DataError, match="one table was expected"):
        read(path)
    path.write_text(json.dumps({"train": held["train"]}))
    assert list(read_splits(path)) == ["train"]


def test_folders_tell_their_splits_in_many_ways(tmp_path: Path) -> None:
    rows_of = "text,label\n{},b\n"
    for folder, names in {
        "middle": ["a.train.csv", "b-dev.csv", "en_x-ud-test.csv"],
        "digits": ["wnut17train.csv", "devel.csv", "my_test_1.csv"],
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(rows_of.format(name))
        tables = read_splits(tmp_path / folder)
        assert [tables[split].column("text")[0] for split in ("train", "valid", "test")] == names
    for split_name in ("train", "validation"):
        (tmp_path / "sub" / split_name).mkdir(parents=True)
        (tmp_path / "sub" / split_name / "rows.csv").write_text(rows_of.format(split_name))
    assert list(read_splits(tmp_path / "sub")) == ["train", "valid"]
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "dev_half.csv").write_text(rows_of.format("x"))
    assert list(read_splits(tmp_path / "only")) == ["train"]
    (tmp_path / "middle" / "train.log").write_text("loss 1\nloss 2\n")  # is no data, and in nobody's way
    assert len(read_splits(tmp_path / "middle")) == 3
    (tmp_path / "middle" / "c.test.csv").write_text(rows_of.format("x"))
    with pytest.raises(DataError, match=r"several files for test; found 'c\.test\.csv', 'en_x-ud-test\.csv'"):
        read_splits(tmp_path / "middle")


def test_texts_and_labels_in_files_of_their_own_are_joined_by_line(tmp_path: Path) -> None:
    (tmp_path / "train_text.txt").write_text('so "good\nbad\n')
    (tmp_path / "train_labels.txt").write_text("1\n0\n")
    (tmp_path / "s1.dev").write_text("one\ntwo\n")
    (tmp_path / "s2.dev").write_text("uno\ndue\n")
    (tmp_path / "labels.dev").write_text("yes\nno\n")
    held = read_splits(tmp_path)
    assert held["train"].cells == {"text": ['so "good', "bad"], "labels": ["1", "0"]}
    alone = read(tmp_path / "s1.dev")
    assert alone.cells == {"s1": ["one", "two"], "s2": ["uno", "due"], "labels": ["yes", "no"]}
    assert alone.place(1) == "s1.dev:2"
    (tmp_path / "labels.dev").write_text("yes\n")
    with pytest.raises(DataError, match="other numbers of lines; found s1: 2, s2: 2, labels: 1"):
        read(tmp_path / "s1.dev")


def test_a_test_without_labels_may_lack_other_columns_too() -> None:
    train = table(column1=["x1", "x2"] * 3, column2=["1", "0"] * 3, column4=sentences(6))
    roles = infer(train, label="column2", text="column4")
    made = rows.splits({"train": train, "test": table(index=["0"], sentence=["so it is"])}, roles)
    kept, findings = examine(made, roles)
    assert list(kept) == ["train"]
    assert findings[0].check == "unlabelled"


@real
@pytest.mark.parametrize(
    ("name", "options", "task", "count"),
    [
        ("01_classification/goemotions/dev.tsv", {}, "multilabel", 5426),
        ("12_multitask_crosslingual/glue_bundle/STS-B/train.tsv", {}, "regression", 5749),
        ("12_multitask_crosslingual/glue_bundle/MRPC/train.tsv", {}, "classification", 3667),
        ("12_multitask_crosslingual/xnli_dev/dev-de.tsv", {"pair": "column2"}, "classification", 2490),
        ("08_sentence_pairs/snli_dev_test/s1.dev", {}, "classification", 9842),
        ("04_extractive_qa/squad_v2/dev_half-v2.0.json.xz", {}, "qa", 6078),
        ("04_extractive_qa/tydiqa_goldp/tydiqa.goldp.en.dev.json", {}, "qa", 440),
        ("02_sentiment/sst5/stsa.fine.dev", {}, "classification", 1101),
        ("02_sentiment/tweeteval/irony/train_text.txt", {}, "classification", 2862),
    ],
)
def test_public_data_sets_become_canonical_rows(
    name: str, options: dict[str, str], task: str, count: int
) -> None:
    held = read(SHARED / name)
    roles = infer(held, **options)
    assert roles.task == task
    made = rows.canonical(held, roles)
    assert len(made) == count
    assert None not in made.column("label")
    if task == "qa":
        for context, answers in zip(made.column("pair"), made.column("label"), strict=True):
            assert all(context[a["start"] :].startswith(a["text"]) for a in answers)


@real
def test_the_emotions_of_a_public_data_set_have_their_names() -> None:
    held = read(SHARED / "01_classification/goemotions/dev.tsv")
    made = rows.canonical(held, infer(held))
    assert made.column("label")[:2] == [["neutral"], ["approval", "neutral"]]
