"""Columns that lie in a file read as lists do, and what is read into them does not fill the memory."""

from __future__ import annotations

import codecs
import copy
import errno
import io
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.data import looks, stored
from attune.data.document import Document
from attune.data.encoding import document
from attune.data.looks import look
from attune.data.read import read
from attune.data.roles import infer
from attune.data.stored import Stored, Writer
from attune.data.table import Table
from attune.errors import DataError, MachineError
from attune.trust.baselines import bags

CELLS = st.one_of(
    st.text(st.characters(codec=None), max_size=40),  # halves of surrogate pairs, too
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
# MiB that a process may hold beyond its imports while it reads 34 MB of texts; lists of them take 110 to 200
PEAK = {".csv": 64, ".jsonl": 64, ".parquet": 120}
MEASURED = """
import sys
import pyarrow.parquet
from attune import machine, prepare, recipe_file
import attune.data.duplicates
before = machine.peak_memory_mib()
prepare.rows(recipe_file.load(sys.argv[1], [], {"model.base": "starter/bert"}))
print(machine.peak_memory_mib() - before)
"""


@pytest.fixture(params=[1 << 24, 64, 0], ids=["memory", "some", "file"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(stored, "MEMORY", request.param or 1)
    monkeypatch.setattr(stored, "JOINED", min(request.param, 1 << 16))
    return request.param


@settings(max_examples=60)
@given(cells=st.lists(CELLS, max_size=30), data=st.data())
def test_a_column_reads_as_the_list_that_was_put_down(cells: list[Any], data: st.DataObject) -> None:
    held = Stored.of(cells)
    assert list(held) == cells and len(held) == len(cells) and held == cells
    places = data.draw(st.lists(st.integers(0, max(0, len(cells) - 1)), max_size=40 if cells else 0))
    some = held.take(places)
    assert list(some) == [cells[at] for at in places]
    assert [some[at] for at in range(-len(places), len(places))] == 2 * list(some)
    begin, end, step = data.draw(st.tuples(*[st.integers(-40, 40)] * 2, st.sampled_from([1, 2, -1])))
    assert some[begin:end:step] == list(some)[begin:end:step]
    again = data.draw(st.lists(st.integers(0, max(0, len(places) - 1)), max_size=5 if places else 0))
    assert list(some.take(np.asarray(again, np.int64))) == [cells[places[at]] for at in again]


def test_cells_keep_kind_and_order_wherever_they_lie(limit: int) -> None:
    cells = ["a", "", 'é\n,"', None, 1, 1.5, True, ["x"], {"k": [1]}, "\ud800", "\x00ÿ"] * 300
    held = Stored.of(cells)
    assert held == cells and [type(cell) for cell in held] == [type(cell) for cell in cells]
    assert held[-1] == "\x00ÿ" and held[9] == "\ud800"
    assert list(held.take(range(len(cells) - 1, -1, -7))) == cells[::-7]
    with pytest.raises(IndexError):
        held[len(cells)]


def test_two_readers_of_a_column_do_not_disturb_each_other(limit: int) -> None:
    cells = [f"row {at} " * (at % 7) for at in range(3000)]
    held = Stored.of(cells)
    pairs = zip(held, held.take(range(2999, -1, -1)), strict=True)
    assert list(pairs) == list(zip(cells, cells[::-1], strict=True))


def test_places_may_be_counted_from_the_end() -> None:
    held = Stored.of(["a", "b", "c"])
    assert list(held.take([-1, 0])) == ["c", "a"] and list(held.take([2, 1]).take([-1])) == ["b"]


def test_a_block_of_cells_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "BYTES", 100)
    cells = ["x" * size for size in (30, 30, 30, 200, 1, 99, 2, 0, 0, 100)]
    held, read = Stored.of(cells), []
    monkeypatch.setattr(
        Stored, "_read", lambda self, places, of=Stored._read: read.append(len(places)) or of(self, places)
    )
    assert list(held) == cells and list(held.take([3, 3, 0])) == [cells[3]] * 2 + cells[:1]
    assert read == [3, 1, 2, 3, 1, 1, 1, 1]


def test_several_may_read_at_once(limit: int) -> None:
    cells = [f"{at} " * (at % 50) for at in range(4000)]
    held = Stored.of(cells)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda first: [held[at] for at in range(first, 4000, 4)], range(4))
    assert all(each == cells[first::4] for first, each in enumerate(found))


def test_a_table_can_be_copied(limit: int) -> None:
    made = Table("d.csv", ("text",), {"text": Stored.of(["a", "b", None])}, range(2, 5), "")
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made and list(other.column("text")) == ["a", "b", None]


def test_cells_may_be_nested_deeper_than_python_recurses() -> None:
    cell: Any = "x"
    for _ in range(700):
        cell = [cell]
    assert str(Stored.of([cell])[0]) == str(cell)


def test_a_full_disk_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer()

    def full(raw: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer._shelf.file, "write", full)
    writer.append("text")
    with pytest.raises(MachineError, match="no space is left for the rows"):
        writer.whole()


@settings(max_examples=60)
@given(
    st.text(st.characters(codec="utf-8"), max_size=60), st.sampled_from(["utf-8", "utf-16-le", "utf-8-sig"])
)
def test_a_document_reads_the_same_in_parts_by_lines_and_whole(text: str, encoding: str) -> None:
    held = Document(io.BytesIO(text.encode(encoding)), "d.txt", encoding)
    assert "".join(held.chunks()) == held.whole() == held.head == text
    assert [line for line in held.lines()] == [line for line in io.StringIO(text, newline="\n")]
    assert [line for line in held.lines("")] == [line for line in io.StringIO(text, newline="")]
    assert held.blank == (not text.strip())


def test_a_document_can_be_read_again_after_a_reader_stopped_early() -> None:
    held = Document(io.BytesIO(b"one\ntwo\nthree\n"), "d.txt", "utf-8")
    first = held.lines()
    assert next(first) == "one\n"
    assert held.whole() == "one\ntwo\nthree\n"
    del first
    assert list(held.lines()) == ["one\n", "two\n", "three\n"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["", "-le", "-be"])
def test_wide_encodings_are_read_with_and_without_their_mark(encoding: str, order: str) -> None:
    text = "text,label\nein Satz,a\n"
    raw = text.encode(encoding) if not order else f"\ufeff{text}".encode(encoding + order)
    assert document(io.BytesIO(raw), "d.csv", encoding=encoding).whole() == text
    native = text.encode(f"{encoding}-{'le' if sys.byteorder == 'little' else 'be'}")
    held = document(io.BytesIO(native), "d.csv", encoding=encoding)
    assert held.whole() == "".join(held.lines()) == text


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_a_mark_that_stands_twice_is_no_part_of_the_text(mark: bytes) -> None:
    text = "text,label".encode("utf-8" if mark == codecs.BOM_UTF8 else "utf-16-le")
    assert document(io.BytesIO(mark * 2 + text), "d.csv").whole() == "text,label"


def test_a_bad_byte_far_behind_a_nul_is_named_by_its_line() -> None:
    raw = b"text,label\na\0b,c\n" + b"good words here,d\n" * 70_000 + b"caf\xe9,d\n"
    with pytest.raises(DataError, match=r"n\.csv:70003: not UTF-8"):
        document(io.BytesIO(raw), "n.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "gb18030"])
def test_a_byte_order_mark_is_no_part_of_the_text_under_a_name_either(encoding: str) -> None:
    raw = "text,label\n".encode(encoding)
    mark = b"" if encoding == "utf-16" else "\ufeff".encode(encoding)  # which writes one by itself
    held = document(io.BytesIO(mark + raw), "d.csv", encoding=encoding)
    assert held.whole() == "".join(held.lines()) == "text,label\n"


@pytest.mark.parametrize("large", [1 << 28, 1])
def test_an_array_to_be_filled_may_lie_in_a_file(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "LARGE", large)
    held = stored.scratch_array((3, 4), np.uint16)
    held[:] = np.arange(12).reshape(3, 4)
    assert held[2].tolist() == [8, 9, 10, 11] and isinstance(held, np.memmap) == (large == 1)


def test_a_column_of_many_values_is_known_by_its_first_its_extremes_and_its_oddest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = look("score", Stored.of([*(str(n / 7) for n in range(5000)), None]))
    monkeypatch.setattr(looks, "ROOM", 100 * looks.VALUE)
    held = look("score", Stored.of([*(str(n / 7) for n in range(5000)), None]))
    assert len(held.counts) < 110 and held.many and not whole.many
    numbers = sorted(map(float, held.counts))
    assert (numbers[0], numbers[-1]) == (0.0, 4999 / 7)
    assert held.numbers and held.words == 1 and held.empty == 1 and held.fractions > looks.MOST_FRACTIONS
    odd = look("score", [*(str(n / 7) for n in range(5000)), "n/a"])
    assert not odd.numbers and "n/a" in odd.counts
    texts = look("text", Stored.of(f"{'long ' * 200}{at}" for at in range(500)))
    assert texts.words == 201 and texts.strings and not texts.like_labels and 1 < len(texts.counts) < 30


def test_joined_labels_are_told_apart_however_long_they_are() -> None:
    names = [f"{letter}andeverythingnearit" for letter in "abcdefghijkl"]
    joined = []
    for at in range(400):
        one = names[at // 2 % 12]
        joined.append(one if at % 2 else "|".join(name for name in names if name != one))
    texts = [
        f"text number {at} about a thing that is said at some length here and there" for at in range(400)
    ]
    found = infer(Table("d.csv", ("text", "label"), {"text": texts, "label": joined}, range(2, 402), ""))
    assert (found.task, found.separator) == ("multilabel", "|")


@pytest.mark.parametrize("n", [400, 399, 250])
def test_a_baseline_of_a_part_of_the_rows_has_all_classes_however_the_rows_take_turns(
    monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    monkeypatch.setattr(bags, "MOST", 100)
    for classes in (2, 3, 7):
        gold = np.arange(n) % classes
        gold[gold == 1] = 0
        gold[n // 2] = 1  # and one that is rare
        made = Table("d.csv", ("text",), {"text": Stored.of(map(str, range(n)))}, range(n), "")
        tables, thinned, part = bags._thinned({"train": made}, {"train": gold})
        assert part and len(tables["train"]) == len(thinned["train"]) == 100
        assert set(thinned["train"]) == set(gold)
        shares = np.bincount(thinned["train"]) / 100 - np.bincount(gold) / n
        assert np.abs(shares).max() < 0.12
        assert [int(text) for text in tables["train"].column("text")] == sorted(
            int(text) for text in tables["train"].column("text")
        )


def rows(n: int, words: int) -> list[dict[str, str]]:
    random = np.random.default_rng(0)
    known = ["".join(chr(97 + letter) for letter in random.integers(0, 26, 6)) for _ in range(5000)]
    drawn = random.integers(0, len(known), (n, words))
    return [{"text": " ".join(known[at] for at in row), "label": "ab"[row[0] % 2]} for row in drawn]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_are_read_and_split_in_a_memory_that_does_not_grow_with_their_texts(
    tmp_path: Path, suffix: str
) -> None:
    path, made = tmp_path / f"rows{suffix}", rows(8_000, 600)
    if suffix == ".csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in made))
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in made))
    else:
        pytest.importorskip("pyarrow.parquet").write_table(
            pytest.importorskip("pyarrow").Table.from_pylist(made), path, row_group_size=1000
        )
    assert sum(len(row["text"]) for row in made) > 33_000_000
    assert read(path).column("text") == [row["text"] for row in made]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert float(done.stdout) < PEAK[suffix]
