from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attune.data.read import read, read_splits
from attune.errors import DataError, RecipeError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public data sets in ../shared are not on this machine"
)
anywhere = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path | str, **options: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return caught.value


# any character but NUL and half surrogates, which no text file can hold
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
awkward = st.sampled_from(
    ["NA", "", "007", "1e5", "true", "null", " a", "b\u00a0", 'say "so"', "a\nb", "a\r\nb", "x,y"]
)
rows = st.lists(st.tuples(texts | awkward, st.sampled_from(["pos", "neg"])), min_size=1, max_size=8)


@anywhere
@given(rows)
def test_any_text_written_as_csv_is_read_back_unchanged(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    held = io.StringIO()
    writer = csv.writer(held)
    writer.writerows([("text", "label"), *rows])
    table = read(write(tmp_path, "d.csv", held.getvalue()))
    assert list(zip(table.column("text"), table.column("label"), strict=True)) == rows


@anywhere
@given(rows)
def test_any_text_written_as_json_or_json_lines_is_read_back_unchanged(
    tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    objects = [{"text": text, "label": label} for text, label in rows]
    lines = "\n".join(json.dumps(each, ensure_ascii=False) for each in objects)
    for name, content in (("d.jsonl", lines), ("e.json", json.dumps(objects, indent=1)), ("f.json", lines)):
        table = read(write(tmp_path, name, content))
        assert [table.row(i) for i in range(len(table))] == objects


@anywhere
@given(st.lists(st.tuples(st.text("ab\"\n ,'", max_size=9), st.sampled_from("01")), min_size=1, max_size=6))
def test_quoted_tab_files_are_read_back_unchanged(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    held = io.StringIO()
    writer = csv.writer(held, delimiter="\t", quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    table = read(write(tmp_path, "d.tsv", held.getvalue()))
    assert list(zip(table.column("text"), table.column("label"), strict=True)) == rows


def test_cells_of_a_csv_stay_the_text_they_are(tmp_path: Path) -> None:
    cells = ["NA", "007", "1e5", "true", "", "  lead", "nbsp\u00a0", "NaN", "None", "-0"]
    content = "text,label\n" + "".join(f"{cell},x{n}\n" for n, cell in enumerate(cells))
    assert read(write(tmp_path, "d.csv", content)).column("text") == cells


def test_rows_know_the_line_they_start_on(tmp_path: Path) -> None:
    table = read(write(tmp_path, "d.csv", 'text,label\r\n"two\r\nlines",a\r\n\r\nplain,b\r\n'))
    assert list(table.lines) == [2, 5]
    assert table.place(1) == "d.csv:5"
    assert any("1 empty line skipped" in note for note in table.notes)
    listed = read(write(tmp_path, "d.json", '[\n {"text": "a",\n  "label": 1},\n {"text": "b", "label": 2}]'))
    assert list(listed.lines) == [2, 4]
    assert listed.column("label") == [1, 2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_file(tmp_path: Path, delimiter: str) -> None:
    rows = [["text", "label"], ["so, it; is | good\tindeed", "1"], ["bad, bad", "0"], ["a;b", "1"]]
    held = io.StringIO()
    csv.writer(held, delimiter=delimiter).writerows(rows)
    table = read(write(tmp_path, "d.csv", held.getvalue()))
    assert table.column("text") == [row[0] for row in rows[1:]]
    assert any("parts its fields by" in note for note in table.notes) == (delimiter != ",")


def test_a_file_without_header_gets_numbered_columns_and_a_note(tmp_path: Path) -> None:
    table = read(write(tmp_path, "d.tsv", "ham\tsee you\nspam\twin a prize\nham\tok\n"))
    assert table.columns == ("column1", "column2")
    assert len(table) == 3
    assert "no header" in table.notes[0]


def test_a_header_of_unknown_names_is_a_header_and_a_note(tmp_path: Path) -> None:
    table = read(write(tmp_path, "d.csv", "what, kind\nsome words here,a\nmore words,b\nand more,a\n"))
    assert table.columns == ("what", "kind")
    assert any("first line is read as the names" in note for note in table.notes)
    assert any("blanks around" in note for note in table.notes)


def test_lone_quotes_in_tab_files_are_letters(tmp_path: Path) -> None:
    content = 'sentence\tlabel\n"so he said\t1\nan inch is 1"\t0\n"quoted" start\t1\n'
    table = read(write(tmp_path, "d.tsv", content))
    assert table.column("sentence") == ['"so he said', 'an inch is 1"', '"quoted" start']
    assert any("quote characters are part of the text" in note for note in table.notes)
    # here strict quoting would parse without complaint, and swallow a row
    table = read(write(tmp_path, "e.tsv", 'sentence\tlabel\n"so he\t1\nsaid"\t0\nend\t1\n'))
    assert len(table) == 3


def test_all_ragged_rows_are_named_by_line(tmp_path: Path) -> None:
    content = "text,label\ngood,pos\nhi, there,neg\nlonely\n" + "a,b,c\n" * 12
    error = refused(write(tmp_path, "d.csv", content))
    assert error.problems[0].where == "d.csv:3"
    assert error.problems[0].what.startswith("3 fields, expected 2")
    assert "hi, there,neg" in error.problems[0].found
    assert error.problems[1].what.startswith("1 field, expected 2")
    assert len(error.problems) == 11
    assert error.problems[-1].what == "and 4 more"
    assert str(error).count("Put quotes around") == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.csv", "", "the file is empty"),
        ("d.csv", " \n\n", "the file is empty"),
        ("d.jsonl", "", "the file is empty"),
        ("d.csv", "text,label\n", "a header and no rows"),
        ("d.csv", "text,text\na,b\n", "d.csv:1: more than one column is called 'text'"),
        ("d.csv", "text,label\na,b\nc\0,d\n", "d.csv:3: holds a NUL byte"),
        ("d.csv", 'text,label\n"a,b\nc,d\n', "d.csv:2: a quote opens in this row and never closes"),
        ("d.csv", 'text,label\n"a"b,c\n', "d.csv:2: text after a closing quote"),
        ("d.csv", "text,label\na,b\ntext,label\nc,d\n", "d.csv:3: the header stands here again"),
        ("d.jsonl", '{"text": "a"}\n{"text": "b"\n', "d.jsonl:2:13: not JSON"),
        ("d.jsonl", '{"text": "a"}\n  {"text": b}\n', "d.jsonl:2:12: not JSON"),
        ("d.jsonl", '{"text": "a"}\n[1]\n', "d.jsonl:2: not an object"),
        ("d.jsonl", '{"a": 1, "a": 2}\n', "the key 'a' stands twice"),
        ("d.jsonl", '{"a": NaN}\n', "the value NaN does not exist in JSON"),
        ("d.jsonl", '{"a": "\\ud800"}\n', "d.jsonl:1: half of a character"),
        ("d.jsonl", '{"a":' * 100_000, "nested too deeply"),
        ("d.jsonl", '{"a": ' + "1" * 5000 + "}", "too many digits"),
        ("d.json", '{"data": [{"text": "a"}],\n "n": 1}', "Save the list under 'data'"),
        ("d.json", '[{"a": 1},\n {"a": 2}', "d.json:2:10: not JSON"),
        ("d.json", '[{"a": 1},]', "a value is missing after the comma"),
        ("d.json", '[{"a": 1}] x', "more follows the list"),
        ("d.json", "[]", "holds no rows"),
        ("d.json", '["a", "b"]', "not an object"),
        ("d.xlsx", "x", "save it as CSV"),
        ("d.zip", "x", "unpack it"),
        ("d.foo", "x", "Readable are .csv"),
        ("nothing", "x", "(no suffix) are not read"),
        ("d.csv", b"PK\x03\x04abc", "it is a ZIP archive or a spreadsheet"),
        ("d.parquet", "x", "not a whole Parquet file"),
        ("d.csv.gz", gzip.compress(b"text,label\na,b\n" * 99, mtime=0)[:-20], "not a whole .gz file"),
        ("d.csv.xz", lzma.compress(b"text,label\na,b\n" * 99)[:-20], "not a whole .xz file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    error = refused(write(tmp_path, name, content))
    assert said in str(error)
    assert all(len(problem.found) < 200 for problem in error.problems)


def test_rows_with_other_keys_are_named(tmp_path: Path) -> None:
    lines = ['{"text": "a", "label": 1}'] * 3 + ['{"text": "b", "lable": 1}', '{"text": "c", "label": null}']
    error = refused(write(tmp_path, "d.jsonl", "\n".join(lines)))
    assert [problem.where for problem in error.problems] == ["d.jsonl:4"]
    assert "no 'label'" in error.problems[0].what
    assert "Did you mean 'lable'?" in error.problems[0].fix
    error = refused(
        write(tmp_path, "e.jsonl", "\n".join([*lines[:3], '{"text": "b", "label": 1, "note": ""}']))
    )
    assert error.problems[0].where == "e.jsonl:4"
    assert "'note', which 3 other rows lack" in error.problems[0].what


def test_a_missing_file_is_met_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "text,label\na,b\n")
    assert "Did you mean 'train.csv'?" in str(refused(tmp_path / "trian.csv"))
    assert "'train.csv'" in str(refused(tmp_path / "something.csv"))
    assert "There is no folder" in str(refused(tmp_path / "no" / "x.csv"))


def test_other_encodings_are_named_with_the_word_they_would_give(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", "text,label\nfine,a\nun café noir,b\nà la carte,a\n".encode("cp1252"))
    error = refused(path)
    assert error.problems[0].where == "d.csv:3"
    assert "byte 0xE9" in error.problems[0].found
    assert "1 more line" in error.problems[0].found
    assert "data.encoding=cp1252" in error.problems[0].fix
    assert "--encoding cp1252) reads it as 'café'" in error.problems[0].fix
    table = read(path, encoding="cp1252")
    assert table.column("text")[1] == "un café noir"
    assert "read as cp1252" in table.notes[0]


def test_a_file_of_two_encodings_is_not_read_as_either(tmp_path: Path) -> None:
    error = refused(write(tmp_path, "d.csv", "text\nnaïve\ncafé\n".encode() + "café\n".encode("cp1252")))
    assert error.problems[0].where == "d.csv:4"
    assert "2 other lines with such letters are good UTF-8" in error.problems[0].fix


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_files_are_read_whatever_their_width(tmp_path: Path, encoding: str) -> None:
    content = "text,label\ncafé is good,a\nbad “tea”,b\n"
    table = read(write(tmp_path, "d.csv", content.encode(encoding)))
    assert table.columns == ("text", "label")
    assert table.column("text") == ["café is good", "bad “tea”"]


def test_an_encoding_that_does_not_exist_or_fit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", "text,label\ncafé,a\n")
    for name in ("cp125x", "rot13", "base64"):
        with pytest.raises(RecipeError, match=r"data\.encoding"):
            read(path, encoding=name)
    assert "d.csv:2: not readable as ascii" in str(refused(path, encoding="ascii"))


def test_packed_files_are_read(tmp_path: Path) -> None:
    content = b"text,label\na b,x\nc d,y\n"
    for name, packed in (("d.csv.gz", gzip.compress(content, mtime=0)), ("d.csv.xz", lzma.compress(content))):
        assert read(write(tmp_path, name, packed)).column("text") == ["a b", "c d"]


def test_long_fields_are_read_and_leave_the_limit_of_the_process_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    table = read(write(tmp_path, "d.csv", f"text,label\n{'word ' * 60_000},a\n"))
    assert len(table.column("text")[0]) == 300_000
    assert csv.field_size_limit() == before


def test_a_folder_gives_its_splits_by_name(tmp_path: Path) -> None:
    for name in ("train.csv", "dev.csv", "my_test_file.csv"):
        write(tmp_path, name, f"text,label\n{name},b\n")
    write(tmp_path, "notes.md", "x")
    tables = read_splits(tmp_path)
    assert list(tables) == ["train", "valid", "test"]
    assert tables["valid"].column("text") == ["dev.csv"]
    other = write(tmp_path, "other.csv", "text,label\nother,b\n")
    assert read_splits(tmp_path, test=str(other))["test"].column("text") == ["other"]
    assert list(read_splits(other, valid=str(tmp_path / "dev.csv"))) == ["train", "valid"]


def test_a_folder_without_files_for_training_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "notes.md", "x")
    with pytest.raises(DataError, match=r"notes\.md"):
        read_splits(tmp_path)
    for name in ("a_train.csv", "b_train.csv"):
        write(tmp_path, name, "text,label\na,b\n")
    with pytest.raises(DataError, match="several files for train"):
        read_splits(tmp_path)


def test_the_problems_of_all_files_are_told_together(tmp_path: Path) -> None:
    train = write(tmp_path, "train.csv", "text,label\na\n")
    with pytest.raises(DataError) as caught:
        read_splits(train, valid=str(tmp_path / "valid.csv"), test=str(write(tmp_path, "t.jsonl", "{")))
    assert len(caught.value.problems) == 3


def test_a_saved_data_set_is_read_with_the_names_of_its_classes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"])
    )
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    rows.save_to_disk(str(tmp_path / "one"))
    table = read(tmp_path / "one")
    assert table.column("label") == ["pos", "neg", None]
    assert list(table.lines) == [1, 2, 3]
    parts = {"train": rows, "validation": rows.select([0]), "unsupervised": rows}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "more"))
    tables = read_splits(tmp_path / "more")
    assert {split: len(table) for split, table in tables.items()} == {"train": 3, "valid": 1}
    assert any("unsupervised" in note for note in tables["train"].notes)
    assert len(tables["train"].sha256) == 64
    with pytest.raises(DataError, match="one table was expected"):
        read(tmp_path / "more")
    rows.to_parquet(str(tmp_path / "d.parquet"))
    assert read(tmp_path / "d.parquet").column("label") == ["pos", "neg", None]


def test_a_name_that_is_no_path_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    asked = []

    def load(name: str, configuration: str | None = None) -> object:
        asked.append((name, configuration))
        if name == "missing":
            raise ConnectionError("Couldn't reach 'missing' on the Hub")
        if name == "many":
            raise ValueError("Config name is missing.\nPick one of: ['cola', 'sst2']")
        rows = datasets.Dataset.from_dict({"text": ["a"], "label": ["x"]})
        return datasets.DatasetDict({"train": rows, "test": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert list(read_splits("org/name")) == ["train", "test"]
    assert list(read_splits("glue:sst2")) == ["train", "test"]
    with pytest.raises(DataError, match="no such file or folder, and no data set of that name"):
        read_splits("missing")
    with pytest.raises(DataError, match="many:cola"):
        read_splits("many")
    assert asked == [("org/name", None), ("glue", "sst2"), ("missing", None), ("many", None)]
    for path in ("./missing", "a/b/c", "missing.csv"):
        with pytest.raises(DataError, match="no such file"):
            read_splits(path)
    assert len(asked) == 4


def test_reading_rows_imports_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "datasets", "sklearn", "pandas", "pyarrow"]
    code = "import sys, attune.data.read, attune.data.checks, attune.data.profile;"
    code += f"print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@real
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("01_classification/sms_spam/sms.tsv", 5574, ("column1", "column2")),
        ("01_classification/banking77/train.csv", 10003, ("text", "category")),
        ("01_classification/banking77/test.csv", 3080, ("text", "category")),
        ("01_classification/ag_news/test.csv.xz", 7600, ("column1", "column2", "column3")),
        ("01_classification/ag_news/train10k_alps_dev.tsv.xz", 10001, ("column1", "column2")),
        ("01_classification/cola/in_domain_train.tsv", 8551, ("column1", "column2", "column3", "column4")),
        ("02_sentiment/sst2_glue/train.tsv", 67349, ("sentence", "label")),
        ("02_sentiment/sst2_glue/dev.tsv", 872, ("sentence", "label")),
        ("02_sentiment/sst2_glue/test.tsv", 1821, ("index", "sentence")),
        ("02_sentiment/imdb/train_5000.jsonl.xz", 5000, ("id", "label", "rating", "text")),
    ],
)
def test_public_data_sets_are_read_whole(name: str, rows: int, columns: tuple[str, ...]) -> None:
    table = read(SHARED / name)
    assert (len(table), table.columns) == (rows, columns)


@real
def test_a_public_csv_keeps_its_unnamed_column_and_the_lines_of_its_rows() -> None:
    table = read(SHARED / "01_classification/davidson_hate_offensive/labeled_data.csv.xz")
    assert len(table) == 24783
    assert table.columns[0] == "column1"
    assert table.lines[-1] > len(table) + 1  # rows hold line breaks


@real
def test_seventy_thousand_rows_are_read_within_a_second() -> None:
    begin = time.process_time()
    read(SHARED / "02_sentiment/sst2_glue/train.tsv")
    assert time.process_time() - begin < 1
