"""Data as other programs write it: printed lists, decimal commas, byte order marks, a column of splits."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attune import answers, prepare, tasks
from attune.data import cells, conll, folders, read, rows
from attune.data.labels import LARGEST, numbers
from attune.data.roles import infer
from attune.data.split import groups
from attune.data.table import Table
from attune.errors import DataError
from attune.recipe import Recipe


def table(**held: list[Any]) -> Table:
    size = len(next(iter(held.values())))
    return Table("rows.csv", tuple(held), held, list(range(2, 2 + size)), "")


def texts(count: int) -> list[str]:
    return [f"the kettle of house number {n} broke again today" for n in range(count)]


@pytest.mark.parametrize(
    ("cell", "held"),
    [
        ('["in", "Rome"]', ["in", "Rome"]),
        ("['in', 'Rome']", ["in", "Rome"]),
        ("""["it's", 'in']""", ["it's", "in"]),
        ("['in' 'Rome'\n 'again']", ["in", "Rome", "again"]),
        ("[0 3\n 0]", [0, 3, 0]),
        ("{'text': ['Rome'], 'answer_start': [3]}", {"text": ["Rome"], "answer_start": [3]}),
        ("['Rome' ',' 'Italy']", ["Rome", ",", "Italy"]),
        ("""['"a" "b"']""", ['"a" "b"']),
        ("[" + "1" * 5000 + "]", "[" + "1" * 5000 + "]"),
        ("[music]", "[music]"),
        ("['a', 'b' 'c']", "['a', 'b' 'c']"),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
        ("[__import__('os')]", "[__import__('os')]"),
        ("no list", "no list"),
    ],
)
def test_a_cell_may_hold_a_list_as_json_python_or_numpy_write_it(cell: str, held: Any) -> None:
    assert cells.decoded(cell) == held


@pytest.mark.parametrize(
    "write", [str, json.dumps, lambda held: str(np.asarray(held))], ids=["python", "json", "numpy"]
)
def test_tokens_and_labels_of_a_printed_table_are_those_of_the_table(write: Any) -> None:
    words, names = ["in", "Rome", "again"], ["O", "B-LOC", "O"]
    tagged = table(tokens=[write(words)] * 8, ner_tags=[write(names)] * 8)
    roles = infer(tagged)
    assert (roles.task, roles.text, roles.label) == ("tagging", "tokens", "ner_tags")
    made = rows.canonical(tagged, roles)
    assert made.column("text") == ["in Rome again"] * 8
    assert made.column("label") == [names] * 8
    sets = [["joy", "fear"], ["joy"], ["fear"], ["anger", "joy"]] * 5
    several = table(text=texts(20), emotions=[write(each) for each in sets])
    assert infer(several, label="emotions").task == "multilabel"
    made = rows.canonical(several, infer(several, label="emotions"))
    assert made.column("label") == sets


def test_decimal_commas_are_numbers_where_they_cannot_be_labels() -> None:
    marks = ["1", "1,5", "2", "2,5", "3", "3,5", "4", "4,5", "5"] * 4
    roles = infer(table(text=texts(36), rating=marks))
    assert roles.task == "classification"  # nine values
    assert rows.canonical(table(text=texts(36), rating=marks), roles).column("label") == marks
    asked = infer(table(text=texts(36), rating=marks), task="regression")
    assert rows.canonical(table(text=texts(36), rating=marks), asked).column("label")[1] == 1.5
    scores = [f"{n % 5},{n:02d}" for n in range(10, 46)]
    held = table(text=texts(36), score=scores)
    assert infer(held).task == "regression"
    assert rows.canonical(held, infer(held)).column("label")[0] == 0.10


def test_what_may_be_decimals_or_labels_is_said_and_the_task_decides() -> None:
    halves = ["1", "1,5", "2", "2,5", "3", "3,5", "4", "4,5", "5"] * 4
    held = table(text=texts(36), bewertung=halves)
    roles = infer(held)
    assert roles.task == "multilabel"
    assert "--task regression reads decimals" in roles.reasons[-1]
    asked = infer(held, task="regression")
    assert "numbers from 1 to 5" in asked.reasons[-1]
    assert rows.canonical(held, asked).column("label")[1] == 1.5


def test_commas_between_thousands_are_no_decimals() -> None:
    held = table(text=texts(40), price=[f"{n * 137:,}" for n in range(40)])
    with pytest.raises(DataError, match="no number in 'price'; found '1,096'"):
        rows.canonical(held, infer(held, task="regression", label="price"))


def test_labels_that_are_joined_by_commas_stay_labels() -> None:
    few = [
        "0,5",
        "1,5",
        "2,5",
        "0",
        "1",
        "2",
        "5",
    ] * 6  # as halves would be, but labels stand alone here, too
    assert infer(table(text=texts(42), labels=few)).task == "multilabel"
    alone = ["1", "2", "3", "4", "5", "1,2", "2,3", "3,4", "1,27", "4,5"] * 4  # one of them never alone
    assert infer(table(text=texts(40), labels=alone)).task == "multilabel"
    joined = ["4", "27", "4,27", "2", "3,4", "2,3,27", "3", "2,4"] * 5
    roles = infer(table(text=texts(40), labels=joined))
    assert roles.task == "multilabel"
    assert rows.canonical(table(text=texts(40), labels=joined), roles).column("label")[2] == ["4", "27"]


def test_numbers_that_have_no_digits_left_are_named() -> None:
    with pytest.raises(DataError, match=r"rows.csv:3: no number.*1e200"):
        numbers(table(score=["1", "1e200"]), "score")
    assert numbers(table(score=[str(LARGEST / 10)]), "score") == [LARGEST / 10]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["\ufeffanger", "fear", "joy"], ("anger", "fear", "joy")),
        (["\ufeff0\tanger", "1\tfear", "2\tjoy"], ("anger", "fear", "joy")),
        (["1\tfear", "2\tjoy", "0\tanger"], ("anger", "fear", "joy")),
        (["1\tfear", "2\tjoy"], ("", "fear", "joy")),
        (["0\tanger", "fear", "2\tjoy"], ()),
        (["0\tanger", "5\tjoy"], ()),
        (["1 star", "2 stars", "3 stars of 5"], ("1 star", "2 stars", "3 stars of 5")),
    ],
)
def test_names_of_labels_follow_their_numbers(
    tmp_path: Path, lines: list[str], names: tuple[str, ...]
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(lines), encoding="utf-8")
    assert folders.names_beside(tmp_path / "train.csv") == names


def test_a_hashtag_that_opens_a_sentence_is_a_word_and_a_comment_is_none() -> None:
    tagged = "".join(f"#meta\tB-ORG\nopens\tO\nin\tO\nRome{n}\tB-LOC\n\n" for n in range(6))
    assert conll.parse(tagged, "x.conll").cells["tokens"][0] == ["#meta", "opens", "in", "Rome0"]
    commented = "".join(f"#doc {n}\nit O\nopens O\nRome B-LOC\n\n" for n in range(6))
    assert conll.parse(commented, "x.conll").cells["tokens"][3] == ["it", "opens", "Rome"]
    for mark in ("# source = web", "# sent_id = 3", "# meta a B-LOC"):  # as wide as the lines of words
        wide = "".join(f"{mark}\nit x y O\nopens x y O\nRome x y B-LOC\n\n" for _ in range(6))
        assert conll.parse(wide, "x.conll").cells["tokens"][0] == ["it", "opens", "Rome"]


def test_a_no_break_space_is_part_of_a_word() -> None:
    held = conll.parse("".join("10\u00a0000 O\neuros O\nParis B-LOC\n\n" for _ in range(4)), "x.conll")
    assert held.cells["tokens"][0] == ["10\u00a0000", "euros", "Paris"]


def _csv(folder: Path, name: str, lines: list[list[str]]) -> Path:
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return folder / name


def test_a_first_row_with_a_label_that_comes_again_is_no_header(tmp_path: Path) -> None:
    intents = [
        ["time", "get_time"],
        *([f"what is it {n}", ("get_time", "weather")[n % 2]] for n in range(20)),
    ]
    assert len(read.read(_csv(tmp_path, "intents.csv", intents))) == 21
    named = [["message", "spam"], *([f"call me {n}", ("spam", "ham")[n % 2]] for n in range(20))]
    held = read.read(_csv(tmp_path, "sms.csv", named))
    assert held.columns == ("message", "spam")
    assert any("first line" in note for note in held.notes)  # for `spam` is a cell, too


def test_a_column_that_names_the_splits_is_followed(tmp_path: Path) -> None:
    parts = ["train", "Train", "dev", "test"] * 10
    lines = [["text", "label", "split"], *([t, "ab"[n // 4 % 2], parts[n]] for n, t in enumerate(texts(40)))]
    found = prepare.rows(Recipe.model_validate({"data": {"train": str(_csv(tmp_path, "all.csv", lines))}}))
    assert {part: len(held) for part, held in found.tables.items()} == {"train": 20, "valid": 10, "test": 10}
    assert any("its column 'split' says" in note for note in found.notes)
    odd = [[text, label, "a" if part == "dev" else part] for text, label, part in lines]
    found = prepare.rows(Recipe.model_validate({"data": {"train": str(_csv(tmp_path, "odd.csv", odd))}}))
    assert len(found.tables["train"]) == 32  # attune splits: what `a` means nobody knows


def test_a_text_keeps_its_rows_together_whichever_of_the_two_it_is() -> None:
    swapped = ["red cars go", "blue boats sail"]
    held = table(text=[*swapped, *texts(30)], pair=[*swapped[::-1], *texts(60)[30:]])
    found = groups(held, "classification")
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 31


def test_questions_without_a_title_are_grouped_by_their_context() -> None:
    contexts = [f"Paper {n} is from Rome." for n in range(5)]
    given = [
        {"text": ["Rome"], "answer_start": [float(c.index("Rome"))]} for c in contexts
    ]  # as pandas has them
    held = table(question=["where?"] * 5, context=contexts, answers=given, title=[None, "", " ", None, "Art"])
    made = rows.canonical(held, infer(held))
    assert made.column("group") == [*contexts[:4], "Art"]
    assert all(each[0]["start"] == contexts[n].index("Rome") for n, each in enumerate(made.column("label")))


def test_one_long_text_does_not_cost_its_length_for_every_row() -> None:
    both = table(text=texts(3000), pair=[f"x{n}" for n in range(2999)] + ["long " * 20_000])
    task = tasks.build("similarity", {})
    task.learn(both)
    assert task.gold(both).nbytes < 1 << 20


def test_ranges_of_numbers_that_lie_close_together_have_names_of_their_own() -> None:
    task = tasks.build("regression", {})
    years = table(text=texts(40), label=[2000.0 + n % 8 for n in range(40)])
    task.learn(years)
    assert sum(task.counts(task.gold(years)).values()) == 40


def test_a_byte_order_mark_before_an_object_of_a_pipe_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Echo:
        cut = 0

        def lists(self, held: Any) -> bool:
            return False

        def predict(self, inputs: list[Any]) -> list[Any]:
            seen.extend(inputs)
            return [tasks.build("regression", {}).answer(np.float64(1), {})]

    monkeypatch.setattr(sys, "stdin", io.StringIO('\ufeff{"text": "good"}\n  {"text": "bad"}\nplain\n'))
    assert len(list(answers._piped(Echo, print))) == 3  # type: ignore[arg-type]
    assert seen == [{"text": "good"}, {"text": "bad"}, "plain"]
