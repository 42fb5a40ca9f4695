"""What data may hold that is neither usual nor wrong, and what is wrong in few places only."""

from __future__ import annotations

import errno
import gzip
import json
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from attune import prepare
from attune.data import labelstudio, read, rows, tags
from attune.data.labels import numbers
from attune.data.roles import infer
from attune.data.split import groups
from attune.data.table import Table
from attune.errors import DataError, MachineError
from attune.recipe import Recipe

LINES = ["the O", "John B-PER", "Smith I-PER", "sat O", ""]


def table(**cells: list[Any]) -> Table:
    size = len(next(iter(cells.values())))
    return Table("rows.csv", tuple(cells), cells, list(range(2, 2 + size)), "")


def conll(folder: Path, lines: list[str], name: str = "train.conll") -> str:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def canonical(held: Table, **options: str) -> Table:
    return rows.canonical(held, infer(held, **options))


def test_one_tag_of_no_scheme_is_named_and_does_not_turn_entities_into_plain_tags(tmp_path: Path) -> None:
    held = read.read(conll(tmp_path, [*LINES * 40, "end PER", ""]))
    with pytest.raises(DataError, match="no tag of entities") as raised:
        canonical(held)
    assert "'PER'" in str(raised.value)
    assert ":201" in str(raised.value)


def test_parts_of_speech_are_no_odd_tags() -> None:
    assert not tags.odd([["NOUN", "VERB", "B-ADJ"]] * 3)
    assert not tags.odd([["B", "I", "O"]] * 3)
    assert tags.odd([["O", "B-X", "O", "O"]] * 9 + [["o"]]) == {"o"}


def test_a_test_file_of_other_tags_is_refused_by_line(tmp_path: Path) -> None:
    train = conll(tmp_path, [line for n in range(40) for line in (f"word{n} O", *LINES)])
    test = conll(tmp_path, ["the o", "John PER", ""] * 30, "test.conll")
    found = prepare.rows(Recipe.model_validate({"data": {"train": train, "test": test}}))
    with pytest.raises(DataError, match="no tag of entities, which train has"):
        prepare.prepare(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Luc-Rosa met (Ann).", ["Luc-Rosa", "met", "(", "Ann", ")", "."]),
        ("the U.K. and A&B!", ["the", "U.K.", "and", "A&B", "!"]),
        ("in the U.K.", ["in", "the", "U.K."]),
        ("at 3.5.", ["at", "3.5", "."]),
        ("... -- 3.5%", [".", ".", ".", "-", "-", "3.5", "%"]),
        ("東京-タワー", ["東", "京", "-", "タ", "ワ", "ー"]),
        ("", []),
        (" a", ["a"]),
    ],
)
def test_words_may_keep_the_signs_inside_them(text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in tags.words(text, whole=True)] == found


def test_a_number_beyond_all_numbers_is_named_by_its_place() -> None:
    with pytest.raises(DataError, match=r"rows.csv:3: no number in 'score'"):
        numbers(table(score=["1.5", "1e400"]), "score")


def test_what_unpacks_to_more_than_fits_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\n"))

    def burst(file: IO[bytes]) -> IO[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(read.PACKED, ".gz", burst)
    with pytest.raises(MachineError, match=r"no space is left for the rows\n.*TMPDIR"):
        read.read(path)


def test_a_folder_for_rows_that_is_not_there_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\ngood,a\nbad,b\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with pytest.raises(MachineError, match=r"nowhere: there is no folder to put the rows in"):
        read.read(path)


def test_a_packed_file_without_a_place_to_unpack_it_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\na,b\n"))

    def nowhere() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(read.tempfile, "TemporaryFile", nowhere)
    with pytest.raises(MachineError, match="there is no folder to put the rows in"):
        read.read(path)


def test_a_plain_file_that_is_called_packed_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(b"text,label\na,b\n")
    with pytest.raises(DataError, match=r"called \.gz, and it is none\n.*call it rows\.csv"):
        read.read(path)


def test_objects_without_keys_are_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n{}\n")
    with pytest.raises(DataError, match="no object has any key"):
        read.read(path)


def test_rows_that_share_a_premise_or_a_context_stay_together() -> None:
    premises = [f"premise number {n} about {n * n} kettles in a shop" for n in range(30)]
    pairs = table(text=[p for p in premises for _ in range(3)], pair=[f"claim {n} is so" for n in range(90)])
    found = groups(pairs)
    assert len(set(found.tolist())) == 30
    assert all(len(set(found[3 * n : 3 * n + 3].tolist())) == 1 for n in range(30))


def test_documents_with_the_same_sentence_stay_together_unless_that_ties_too_many() -> None:
    sentences = [f"sentence {n} of a document about {n * n} things" for n in range(60)]
    sentences[1] = sentences[59]  # documents 0 and 29
    names = [f"d{n // 2}" for n in range(60)]
    found = groups(table(text=sentences, group=names))
    assert found[0] == found[1] == found[58] == found[59]
    assert len(set(found.tolist())) == 29
    stamped = [text if n % 2 else "all rights reserved by us" for n, text in enumerate(sentences)]
    assert len(set(groups(table(text=stamped, group=names)).tolist())) == 30


def test_splits_that_attune_makes_tell_what_they_could_not_keep_apart(tmp_path: Path) -> None:
    lines = [
        f"-DOCSTART- O\n\nall O\nrights O\nreserved O\nby O\nus O\n\nword{n} B-X\nruns O\n" for n in range(60)
    ]
    path = conll(tmp_path, lines)
    found = prepare.rows(Recipe.model_validate({"data": {"train": path}}))
    assert any(each.check == "leaks" and "test" in each.sentence for each in found.findings)


def task(result: list[dict[str, Any]], text: str) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": result}]}


def span(begin: int, end: int, text: str) -> dict[str, Any]:
    return {
        "type": "labels",
        "from_name": "label",
        "value": {"start": begin, "end": end, "text": text, "labels": ["P"]},
    }


@pytest.mark.parametrize("units", [1, 2], ids=["characters", "UTF-16"])
def test_spans_of_label_studio_stand_where_their_text_does(units: int) -> None:
    text, shift = "🎉🎉🎉 Anna met Bob", 3 * (units - 1)
    given = [span(4 + shift, 8 + shift, "Anna"), span(13 + shift, 16 + shift, "Bob")]
    held = labelstudio.content([task(given, text)], [1], "x.json")
    (spans,) = held.cells["label"]
    assert [text[one["start"] : one["end"]] for one in spans] == ["Anna", "Bob"]


def choices(*names: str) -> list[dict[str, Any]]:
    return [{"type": "choices", "from_name": "topic", "value": {"choices": list(names)}}]


def test_several_choices_of_label_studio_are_lists_in_all_tasks(tmp_path: Path) -> None:
    tasks = [task(choices(*("a", "b")[: n % 3]), f"a text with some words, number {n}") for n in range(40)]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    held = read.read(path)
    assert held.column("topic")[:3] == [[], ["a"], ["a", "b"]]
    assert infer(held).task == "multilabel"
    single = labelstudio.content([task(choices("a"), "x"), task([], "y")], [1, 2], "x.json")
    assert single.cells["topic"] == ["a", None]


def test_several_choices_of_json_min_are_lists_in_all_rows() -> None:
    beside = {"annotation_id": 1, "annotator": 1}
    given = [{"topic": {"choices": ["a", "b"]}, **beside}, {"topic": "a", **beside}, beside]
    assert [row["topic"] for row in labelstudio.filled(given)] == [["a", "b"], ["a"], None]


def test_aspects_are_the_second_text_of_a_row() -> None:
    held = table(text=[f"the soup was good and the wine was {n}" for n in range(40)], aspect=["food", "drink"] * 20,
                 label=["positive", "negative"] * 20)  # fmt: skip
    found = infer(held)
    assert (found.task, found.text, found.pair, found.label) == ("classification", "text", "aspect", "label")


def test_the_only_other_column_holds_the_labels_where_the_task_says_so() -> None:
    drawn = np.random.default_rng(0)
    names = [
        "|".join(drawn.choice(list("abcdefghij"), drawn.integers(1, 5), replace=False)) for _ in range(300)
    ]
    held = table(comment=[f"a comment of some words {n}" for n in range(300)], emotions=names)
    found = infer(held, task="multilabel")
    assert (found.label, found.separator) == ("emotions", "|")


def test_the_only_two_texts_are_compared_where_the_task_says_so() -> None:
    held = table(
        first=[f"where is kettle number {n}" for n in range(30)],
        second=[f"find kettle {n} now" for n in range(30)],
    )
    found = infer(held, task="similarity")
    assert (found.text, found.pair) == ("first", "second")


def test_groups_of_no_rows_are_none() -> None:
    assert groups(table(text=[], pair=[])).tolist() == []
    assert np.asarray(groups(table(text=["a"], group=["x"]))).tolist() == [0]


def test_a_list_on_one_line_tells_its_objects_by_number(tmp_path: Path) -> None:
    tasks = [task(choices("a"), f"text {n}") for n in range(5)] + [
        {"id": 9, "data": {"text": "x"}, "annotations": []}
    ]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    held = read.read(path)
    assert list(held.lines) == [1, 2, 3, 4, 5]
    assert held.findings[0].rows == ("x.json:6",)
    assert "stands on one line" in held.notes[0]


def test_cells_that_are_no_numbers_among_many_are_named_by_place() -> None:
    score: list[Any] = [n / 2 for n in range(38)]
    held = table(
        text=[f"a text of some words {n}" for n in range(40)],
        score=[str(s) for s in score] + ["good", "n/a?"],
    )
    with pytest.raises(DataError, match=r"rows.csv:40: no number in 'score'; found 'good'"):
        infer(held, task="regression", label="score")


def test_what_given_files_share_is_told_once(tmp_path: Path) -> None:
    texts = [f"a text about {n * n} kettles and {n} pans" for n in range(60)]
    for part, held in (("train", texts), ("test", texts[:5])):
        lines = ["text,label", *(f"{text},{'ab'[n % 2]}" for n, text in enumerate(held))]
        (tmp_path / f"{part}.csv").write_text("\n".join(lines), encoding="utf-8")
    found = prepare.rows(Recipe.model_validate({"data": {"train": str(tmp_path)}}))
    assert [each.sentence[:17] for each in found.findings if each.check == "leaks"] == ["5 rows of test (1"]
