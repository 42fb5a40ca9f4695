from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attune.data.checks import examine
from attune.data.profile import histogram, profile
from attune.data.read import read, read_splits
from attune.data.roles import Roles, infer
from attune.data.rows import canonical, splits
from attune.data.table import Table
from attune.errors import DataError, RecipeError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public data sets in ../shared are not on this machine"
)
LONG = "some words that make a sentence number {} of many"


def table(path: str = "d.csv", **cells: list[Any]) -> Table:
    rows = len(next(iter(cells.values())))
    return Table(path, tuple(cells), cells, list(range(2, rows + 2)), "")


def sentences(n: int) -> list[str]:
    return [LONG.format(number) for number in range(n)]


def chosen(rows: Table, **options: str) -> tuple[str, str]:
    roles = infer(rows, **options)
    return roles.text, roles.label


@pytest.mark.parametrize("text", ["text", "sentence", "review_body", "Tweet", "commentText", "anything"])
@pytest.mark.parametrize(
    "label", ["label", "sentiment", "airline_sentiment", "Category", "stars", "whatever"]
)
def test_text_and_label_are_found_by_name_or_by_what_they_hold(text: str, label: str) -> None:
    rows = table(**{"id": [f"x{n}" for n in range(20)], label: ["a", "b"] * 10, text: sentences(20)})
    assert chosen(rows) == (text, label)


def test_the_reasons_are_plain_english() -> None:
    roles = infer(table(review=sentences(6), sentiment=["neg", "pos", "neu"] * 2))
    assert roles.task == "classification"
    assert roles.reasons == ("text: 'review' (mean 10 words)", "label: 'sentiment' (3 values: neg, neu, pos)")


def test_given_columns_win() -> None:
    rows = table(text=sentences(6), label=["a", "b"] * 3, title=["so it is"] * 6, stars=[1, 2, 3] * 2)
    assert chosen(rows, text="title", label="stars") == ("title", "stars")
    assert chosen(rows, label="stars") == ("text", "stars")
    assert chosen(rows, text="label", label="stars") == ("label", "stars")


def test_a_wrong_column_name_lists_the_columns_and_the_nearest() -> None:
    rows = table(text=sentences(6), label=["a", "b"] * 3)
    with pytest.raises(DataError) as caught:
        infer(rows, text="txet", label="lable")
    assert len(caught.value.problems) == 2
    assert "Did you mean 'text'? The columns are 'text', 'label'." in caught.value.problems[0].fix
    with pytest.raises(DataError, match="both text and label"):
        infer(rows, text="text", label="text")


def test_the_longest_of_several_texts_is_read_and_the_others_are_named() -> None:
    rows = table(
        title=["a short title"] * 3 + ["another short title"] * 3,
        description=sentences(6),
        label=list("ababab"),
    )
    roles = infer(rows)
    assert roles.text == "description"
    assert any("not read: 'title' (mean 3 words)" in reason for reason in roles.reasons)


def test_what_cannot_be_told_is_asked_with_the_flags_to_give() -> None:
    rows = table(column1=sentences(20), column2=["a", "b"] * 10, column3=["u", "v", "w", "x"] * 5)
    with pytest.raises(DataError, match="--text column1 --label COLUMN"):
        infer(rows)
    with pytest.raises(DataError, match="--text column1 --pair other --label column2"):
        infer(table(column1=sentences(8), other=sentences(8), column2=["a", "b"] * 4))
    with pytest.raises(DataError, match="--text COLUMN --label COLUMN"):
        infer(table(a=["1", "2", "3"], b=["4", "5", "6"]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("premise", "hypothesis"),
        ("Sentence_1", "Sentence_2"),
        ("question1", "question2"),
        ("text_a", "text_b"),
    ],
)
def test_pairs_of_texts_are_found_by_their_names(one: str, other: str) -> None:
    rows = table(**{one: sentences(6), other: sentences(6)[::-1], "label": list("ababab")})
    roles = infer(rows)
    assert (roles.text, roles.pair, roles.label) == (one, other, "label")
    made = canonical(rows, roles)
    assert made.columns == ("text", "pair", "label")
    assert made.row(0) == {"text": LONG.format(0), "pair": LONG.format(5), "label": "a"}
    assert list(made.lines) == list(rows.lines)


def test_a_pair_without_known_names_needs_one_flag() -> None:
    rows = table(column1=sentences(8), column2=sentences(8), column3=["a", "b"] * 4)
    roles = infer(rows, pair="column2")
    assert (roles.text, roles.pair, roles.label) == ("column1", "column2", "column3")
    with pytest.raises(DataError, match="--pair COLUMN"):
        infer(rows)


def test_a_column_that_a_split_lacks_is_named_unless_it_is_the_label() -> None:
    roles = infer(table(text=sentences(4), label=list("abab")))
    assert canonical(table(text=["x"]), roles).columns == ("text",)
    with pytest.raises(DataError, match="Did you mean 'lable'"):
        canonical(table(text=["x"], lable=["a"]), roles)
    with pytest.raises(DataError, match="no column 'text' for the text"):
        splits({"test": table("t.csv", review=["x"], label=["a"])}, roles)
    assert canonical(table(text=["x"], lable=["a"]), roles, labelled=False).columns == ("text",)
    with pytest.raises(DataError, match=r"lines without a header: \S*attune predict RUN - < "):
        canonical(table(**{"I love it": ["so sad"]}), roles, labelled=False)


def test_what_the_label_holds_makes_the_task() -> None:
    def task(label: list[Any], **options: str) -> str:
        return infer(table(text=sentences(len(label)), label=label), **options).task

    assert task(["a", "b"] * 4) == "classification"
    assert task([1, 2, 3, 4, 5] * 4) == "classification"
    assert task([1, 2, 3, 4, 5] * 4, task="regression") == "regression"
    assert task([n / 7 for n in range(50)]) == "regression"
    assert task([["a"], ["b"], ["a", "b"]] * 3) == "multilabel"
    assert task([["a"], ["b"]] * 3) == "classification"
    assert task(["1", "2", "3", "1,2", "2,3", "1,3", "1", "2"]) == "multilabel"
    assert task(["a b", "c"] * 4, task="multilabel") == "multilabel"


def test_a_label_that_does_not_fit_the_task_is_refused_with_the_task_that_does() -> None:
    with pytest.raises(DataError, match=r"task\.name=regression"):
        infer(table(text=sentences(50), label=[n / 7 for n in range(50)]), task="classification")
    with pytest.raises(DataError, match=r"task\.name=multilabel"):
        infer(table(text=sentences(6), label=[["a"], ["a", "b"]] * 3), task="classification")
    with pytest.raises(DataError, match="does not hold numbers"):
        infer(table(text=sentences(6), label=list("ababab")), task="regression")
    with pytest.raises(RecipeError, match="classification"):
        infer(table(text=["a"], label=["b"]), task="clasification")


def test_constant_columns_and_numbers_of_rows_are_never_labels() -> None:
    rows = table(
        source=["web"] * 20, index=[str(n) for n in range(20)], text=sentences(20), kind=["a", "b"] * 10
    )
    assert chosen(rows) == ("text", "kind")


def test_measurements_are_the_label_where_no_other_column_can_be() -> None:
    prices = [f"{number}.{number:02d}" for number in range(1, 61)]
    assert chosen(table(item=sentences(60), eur=prices)) == ("item", "eur")
    assert infer(table(item=sentences(60), eur=prices)).task == "regression"
    assert chosen(table(item=sentences(60), eur=prices, kind=["a", "b"] * 30)) == ("item", "kind")
    with pytest.raises(DataError, match="which column is the label"):
        infer(table(item=sentences(60), eur=prices, usd=prices))


def test_questions_with_an_empty_cell_have_no_answer_and_those_of_a_table_without_any_are_not_labelled() -> (
    None
):
    given = {"question": ["who?"] * 4, "context": ["Ann went.", "Bob went.", "It rained.", "Cy went."]}
    roles = infer(table(**given, answer=["Ann", "Bob", "", "Cy"]))
    assert (roles.task, roles.label) == ("qa", "answer")
    made = canonical(table(**given, answer=["Ann", "Bob", "", "Cy"]), roles)
    assert [bool(answers) for answers in made.column("label")] == [True, True, False, True]
    assert [finding.rows for finding in made.findings] == [("d.csv:4",)]
    unlabelled = canonical(table(**given, answer=["", "", "", ""]), roles)
    assert unlabelled.column("label") == [None] * 4


def test_answers_that_are_all_empty_are_kept_back_where_train_always_has_one() -> None:
    asked = {"question": ["who?"] * 4, "context": ["Ann went.", "Bob went.", "It rained.", "Cy went."]}
    given = [[{"text": word, "answer_start": 0}] for word in ("Ann", "Bob", "It", "Cy")]
    none = [[{"text": "", "answer_start": 0}]] * 4
    roles = infer(table(**asked, answers=given))
    train, hidden = (canonical(table(**asked, answers=cells), roles) for cells in (given, none))
    usable, findings = examine({"train": train, "test": hidden}, roles)
    assert set(usable) == {"train"}
    assert "unlabelled" in {finding.check for finding in findings}
    some = canonical(table(**asked, answers=[*given[:3], none[0]]), roles)
    assert set(examine({"train": some, "test": hidden}, roles)[0]) == {"train", "test"}


def test_a_column_with_empty_cells_is_a_label_by_its_name_or_where_no_other_can_be() -> None:
    rows = table(text=sentences(8), mark=["*", "", "?", "*", "", "?", "*", "?"], kind=["a", "b"] * 4)
    assert chosen(rows) == ("text", "kind")
    assert chosen(table(text=sentences(4), label=["a", "", "b", "a"])) == ("text", "label")
    assert chosen(table(text=sentences(8), kind=["ham", "spam", "", "ham"] * 2)) == ("text", "kind")


def test_booleans_are_labels_called_as_in_json(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps({"text": LONG.format(n), "spam": n % 2 == 0}) for n in range(4)))
    roles = infer(read(path))
    assert roles.reasons[1] == "label: 'spam' (2 values: false, true)"


@real
@pytest.mark.parametrize(
    ("name", "text", "label"),
    [
        ("01_classification/sms_spam/sms.tsv", "column2", "column1"),
        ("01_classification/banking77/train.csv", "text", "category"),
        ("01_classification/ag_news/test.csv.xz", "column3", "column1"),
        ("01_classification/ag_news/train10k_alps_dev.tsv.xz", "column1", "column2"),
        ("01_classification/davidson_hate_offensive/labeled_data.csv.xz", "tweet", "class"),
        ("02_sentiment/sst2_glue/dev.tsv", "sentence", "label"),
        ("02_sentiment/imdb/train_5000.jsonl.xz", "text", "label"),
    ],
)
def test_the_roles_of_public_data_sets_are_found(name: str, text: str, label: str) -> None:
    assert chosen(read(SHARED / name)) == (text, label)


ROLES = Roles("classification", "text", "label", ())


def problems(tables: dict[str, Table], **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        examine(tables, ROLES, **options)
    return str(caught.value)


def found(tables: dict[str, Table], **options: Any) -> dict[str, Any]:
    return {finding.check: finding for finding in examine(tables, ROLES, **options)[1]}


def test_clean_rows_raise_nothing_and_find_nothing() -> None:
    train = table(text=[f"{LONG} {chr(97 + n) * 9}" for n in range(20)], label=["a", "b"] * 10)
    tables, findings = examine({"train": train}, ROLES)
    assert tables["train"] == train
    assert findings == []


def test_one_class_only_is_refused() -> None:
    assert "one class only in 'label': 'a'" in problems({"train": table(text=sentences(3), label=["a"] * 3)})


def test_rows_without_a_label_are_named_and_can_be_left_out() -> None:
    train = table(text=sentences(6), label=["a", "", "b", None, "a", "b"])
    said = problems({"train": train})
    assert "2 rows with no label in 'label'" in said
    assert "data.unlabelled=drop" in said
    kept, findings = examine({"train": train}, ROLES, unlabelled="drop")
    assert kept["train"].column("label") == ["a", "b", "a", "b"]
    assert findings[0].rows == ("d.csv:3", "d.csv:5")
    none = table(text=sentences(3), label=["", "", ""])
    with pytest.raises(DataError, match="3 rows with no label"):
        examine({"train": none}, ROLES, unlabelled="drop")


def test_a_label_of_one_row_is_named_and_can_be_dropped() -> None:
    train = table(text=sentences(5), label=["a", "a", "b", "b", "rare"])
    said = problems({"train": train})
    assert "d.csv:6: the label 'rare' has this row only" in said
    swapped = problems({"train": table(text=["good", "bad"] * 10, label=sentences(20))})
    assert "the label hardly repeats" in swapped and "--label COLUMN" in swapped
    assert len(swapped.splitlines()) < 4  # once, not for each row
    assert "data.rare_labels=drop" in said
    kept, findings = examine({"train": train}, ROLES, rare="drop")
    assert len(kept["train"]) == 4
    assert findings[0].check == "rare_label"
    assert findings[0].rows == ("d.csv:6",)
    assert examine({"train": train}, ROLES, split=False)[0]["train"] == train


def test_labels_that_train_lacks_are_named() -> None:
    train = table(text=sentences(4), label=["pos", "neg"] * 2)
    test = table("t.csv", text=["x y"], label=["positive"])
    assert "the label 'positive' does not occur in train; found 1 row: t.csv:2" in problems(
        {"train": train, "test": test}
    )


def test_rows_without_label_are_refused_all_at_once_with_other_bad_cells() -> None:
    train = table(text=["a", "b", 3, "d"], label=["x", " ", "y", None])
    said = problems({"train": train})
    assert "2 rows with no label in 'label'; found d.csv:3, d.csv:5" in said
    assert "1 row with something other than text in 'text'; found d.csv:4" in said


def test_rows_without_text_are_left_out_and_counted() -> None:
    train = table(text=["", "b", None, "d", "e", "\u00a0"], label=list("xxyyxy"))
    kept, findings = examine({"train": train}, ROLES, split=False)
    assert list(kept["train"].lines) == [3, 5, 6]
    assert findings[0].check == "empty"
    assert findings[0].sentence == "3 rows of train without text, left out."
    assert findings[0].rows == ("d.csv:2", "d.csv:4", "d.csv:7")


def test_a_test_without_any_label_is_not_used() -> None:
    train = table(text=sentences(4), label=list("aabb"))
    for test in (table("t.csv", text=["x"]), table("t.csv", text=["x"], label=[None])):
        kept, findings = examine({"train": train, "test": test}, ROLES)
        assert list(kept) == ["train"]
        assert findings[0].check == "unlabelled"
    said = problems({"train": train, "test": table("t.csv", text=["x"], lable=["a"])})
    assert "test has no column 'label'" in said
    assert "Did you mean 'lable'?" in said


def test_labels_that_differ_in_case_or_blanks_are_named() -> None:
    train = table(text=sentences(6), label=["pos", "Pos", "pos ", "neg", "neg", "pos"])
    finding = found({"train": train}, split=False)["label_variants"]
    assert "'pos' (2 rows), 'Pos' (1 row), 'pos ' (1 row)" in finding.sentence
    assert finding.rows == ("d.csv:3", "d.csv:4")


def test_repeats_contradictions_and_leaks_are_found_with_their_places() -> None:
    train = table(
        text=["the film was good", "so bad", "the film was good", "so  bad"], label=["a", "b", "b", "b"]
    )
    test = table("t.csv", text=["The film was GOOD!", "quite another thing"], label=["a", "b"])
    findings = found({"train": train, "test": test}, split=False)
    assert (
        findings["duplicates"].sentence
        == "2 rows of train repeat an earlier text word for word, and they stay."
    )
    assert findings["duplicates"].rows == ("d.csv:4", "d.csv:5")
    assert findings["conflicts"].rows == ("d.csv:2 (a)", "d.csv:4 (b)")
    assert findings["conflicts"].level == "warning"
    assert findings["leaks"].sentence.startswith("1 row of test (50.0%) stands")
    assert findings["leaks"].rows == ("t.csv:2 = d.csv:2",)
    assert set(findings["leaks"].as_dict()) == {"check", "level", "sentence", "rows"}


def test_signs_that_differ_are_no_contradiction() -> None:
    train = table(text=[":)", ":(", ":)", ":("], label=["a", "b"] * 2)
    assert "conflicts" not in found({"train": train})


@real
def test_leaks_between_public_files_are_found() -> None:
    tables = read_splits(SHARED / "01_classification/banking77")
    roles = infer(tables["train"])
    _, findings = examine(splits(tables, roles), roles)
    leaks = next(finding for finding in findings if finding.check == "leaks")
    assert leaks.sentence.startswith("75 rows of test (2.4%)")
    assert leaks.rows[0] == "test.csv:220 = train.csv:795"


def test_rows_are_described_in_numbers() -> None:
    assert profile(["a b c", "d", "e f"], {"y": 2, "x": 1}) == {
        "rows": 3,
        "labels": {"x": 1, "y": 2},
        "words": {"median": 2.0, "p95": pytest.approx(2.9), "max": 3},
    }
    assert profile([], {})["words"]["max"] == 0


@pytest.mark.parametrize("values", [[0], [5], [1, 2, 3], list(range(31)), [1, 100_000], []])
def test_a_histogram_counts_every_value_in_at_most_thirty_bars(values: list[int]) -> None:
    bars = histogram(values)
    assert sum(bars["counts"]) == len(values)
    assert len(bars["edges"]) == len(bars["counts"]) + 1 <= 31
    assert bars["edges"][-1] > max(values, default=0)
    json.dumps(bars)
