"""What `attune predict` writes: no cell of the user's is lost or rewritten, and no formula is handed to a spreadsheet."""

from __future__ import annotations

import pytest

from attune import answers
from attune.errors import RecipeError
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
