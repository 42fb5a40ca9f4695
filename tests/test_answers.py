"""What `attune predict` writes: no cell of the user's is lost or rewritten, no formula is handed to a spreadsheet."""

from __future__ import annotations

import json
from datetime import date
from types import SimpleNamespace

import pytest

from attune import answers, rundir
from attune.data import inputs
from attune.errors import DataError, RecipeError
from attune.predictor import Predictor
from attune.tasks.texts import ordered


def test_no_column_of_the_file_is_lost_behind_the_answer():
    given = {"label": "one", "given_label": "two", "text": "t", "given_given_label": "three"}
    told = answers._beside(given, {"label": "new"})
    assert told["label"] == "new"
    assert sorted(value for name, value in told.items() if name != "label") == ["one", "t", "three", "two"]
    assert told["given_label"] == "two"  # its own name, as in the file
    assert list(answers._beside({"label": "one"}, {"label": "new"})) == ["given_label", "label"]


@pytest.mark.parametrize("cell", ["-0.5", "+1", "-1", "-", "+", "-1e5", "", "a=b", ".5", 3, None, "-.5"])
def test_numbers_and_signs_stay_what_they_are(cell):
    assert answers._safe(cell) == cell


@pytest.mark.parametrize("cell", ["=1+1", "@sum", "-1+cmd|' /C calc'!A0", "+A1", "\t=1", "-2-3", "=-1"])
def test_formulas_are_quoted(cell):
    assert answers._safe(cell) == "'" + cell


def test_a_column_of_the_user_called_probabilities_is_no_answer():
    told = answers._flat({"probabilities": "mine", "text": "t"}, {"label": 1.5})
    assert told == {"probabilities": "mine", "text": "t", "label": 1.5}
    told = answers._flat({"probabilities": {"a": 1}}, {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}})
    assert told == {"probabilities": '{"a": 1}', "label": "a", "p(a)": 0.9, "p(b)": 0.1}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, "n/a", None], ["1", "n/a", None]),
        ([1, 1.5], [1.0, 1.5]),
        ([True, False], [True, False]),
        ([None, None], [None, None]),
        ([date(2026, 1, 2), None], [date(2026, 1, 2), None]),
        ([["a"], {"b": 1}], ['["a"]', '{"b": 1}']),
    ],
)
def test_parquet_takes_columns_of_any_cells(tmp_path, cells, expected):
    from pyarrow import parquet

    answers._parquet(tmp_path / "a.parquet", iter([({"x": cell}, {"label": "a"}) for cell in cells]))
    assert parquet.read_table(tmp_path / "a.parquet")["x"].to_pylist() == expected


def test_a_kind_that_changes_after_thousands_of_rows_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "ROWS", 2)
    rows = iter([({"x": cell}, {"label": "a"}) for cell in (1, 2, 1.5)])
    with pytest.raises(DataError, match=r"'x'.*several kinds"):
        answers._parquet(tmp_path / "a.parquet", rows)
    texts = iter([({"x": cell}, {"label": "a"}) for cell in ("1", None, 7, 1.5)])
    answers._parquet(tmp_path / "b.parquet", texts)


def test_the_last_run_is_the_one_that_was_begun_last_whatever_was_touched_since(tmp_path, monkeypatch):
    monkeypatch.setattr(rundir, "RUNS", tmp_path)
    for name, started in (("new", "2026-02-01T00:00:00+00:00"), ("old", "2026-01-01T00:00:00+00:00")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"started": started}))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("[")
    assert rundir.find("last").path.name == "new"


def test_names_of_columns_are_made_safe_too(tmp_path):
    answers._csv(tmp_path / "a.csv", iter([({"=HYPERLINK(1)": "x", "n": -1.5}, {"label": "-1"})]))
    assert (tmp_path / "a.csv").read_text() == "'=HYPERLINK(1),n,label\nx,-1.5,-1\n"


def test_a_folder_that_is_not_there_is_told_before_a_model_is_loaded(tmp_path):
    with pytest.raises(RecipeError, match="no such folder"):
        answers.write("no-run", "-", out=str(tmp_path / "nowhere" / "a.csv"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["②", "①"], ("①", "②")),
        (["--1", "2"], ("--1", "2")),
        (["b", "a", "a"], ("a", "b")),
        (["3²", "1"], ("1", "3²")),
    ],
)
def test_labels_are_sorted_by_value_where_all_are_whole_numbers(names, expected):
    assert ordered(names) == expected


@pytest.mark.parametrize(
    ("given", "names", "read"),
    [
        (
            {"question": "who?", "context": "It", "id": 1},
            {"text": "question", "pair": "context"},
            ("who?", "It"),
        ),
        ({"text": "who?", "pair": "It"}, {"text": "question", "pair": "context"}, ("who?", "It")),
        ({"title": "a", "text": "b"}, {"text": "title", "pair": "text"}, ("a", "b")),
        ({"review": "fine"}, {"text": "review"}, ("fine",)),
    ],
)
def test_an_object_may_name_its_cells_as_the_file_of_the_run_does_or_by_role(given, names, read):
    assert tuple(inputs.of_program([given], "classification", names=names).row(0).values()) == read


@pytest.mark.parametrize(
    ("line", "task", "names", "held"),
    [
        ("It broke", "classification", {"text": "t"}, "It broke"),
        ('{"text": "a"}', "classification", {"text": "t"}, {"text": "a"}),
        ('["Who?", "Ann went."]', "qa", {"text": "q", "pair": "c"}, ["Who?", "Ann went."]),
        ('["Who?", "Ann went."]', "classification", {"text": "t"}, '["Who?", "Ann went."]'),
        ('["Who?"]', "qa", {"text": "q", "pair": "c"}, '["Who?"]'),
        ('["Ann", "went", "home"]', "tagging", {"text": "tokens"}, ["Ann", "went", "home"]),
        ("[1, 2]", "tagging", {"text": "tokens"}, "[1, 2]"),
        ("[1] see below", "tagging", {"text": "tokens"}, "[1] see below"),
        ("[]", "tagging", {"text": "tokens"}, "[]"),
        ("{so} it began", "classification", {"text": "t"}, "{so} it began"),
        ("[" * 100_000, "tagging", {"text": "tokens"}, "[" * 100_000),
    ],
)
def test_a_line_is_a_text_unless_it_is_an_object_or_a_list_that_the_run_reads(line, task, names, held):
    predictor = Predictor(SimpleNamespace(name=task), None, None, {"text": "", "pair": "", **names})
    assert answers._input(line, predictor.lists) == held


def test_words_to_tag_are_a_list_or_the_cell_that_a_file_of_tokens_has():
    bare = inputs.of_program([["Ann", "went"]], "tagging")
    names = {"text": "tokens"}
    named = inputs.of_program([{"tokens": ["Ann", "went"]}], "tagging", names=names)
    assert bare.row(0) == named.row(0)
    assert named.row(0)["text"] == "Ann went"
    with pytest.raises(DataError, match="holds no text"):
        inputs.of_program([["Ann", 5]], "tagging")
    with pytest.raises(DataError, match="none of them empty"):
        inputs.of_program([{"text": ["Ann"], "words": [[0, 1]]}], "tagging")  # one of them would be ignored
    with pytest.raises(DataError, match=r'Give a text, or \{"review": "..."\}'):
        inputs.of_program([{"sentence": "x"}], "classification", names={"text": "review"})
    with pytest.raises(DataError, match=r'\{"tokens": 5\}'):  # as it was given
        inputs.of_program([{"tokens": 5}], "tagging", names=names)


@pytest.mark.parametrize("given", ["\ud83d x", {"text": "\udcff bad"}, ["fine", "\ud83d"]])
def test_what_is_no_text_is_refused_before_it_reaches_a_tokenizer(given):
    with pytest.raises(DataError, match="surrogate"):
        inputs.of_program([given], "classification")


@pytest.mark.parametrize(
    ("precision", "able", "words"),
    [
        ("half", True, "no such"),
        ("bfloat16", False, "no products in bfloat16"),
        ("int8", False, "no products in int8"),
    ],
)
def test_a_precision_that_cannot_be_had_is_told(monkeypatch, precision, able, words):
    from attune import machine
    from attune.predictor import open_run

    monkeypatch.setattr(machine, "bfloat16", lambda: able)
    monkeypatch.setattr(machine, "int8", lambda: able)
    monkeypatch.setattr(machine, "kernels", lambda: "on")
    with pytest.raises(RecipeError, match=words):
        open_run("no-run", precision=precision)
