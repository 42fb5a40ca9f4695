"""Columns that lie in a file read as lists do, and what is read into them does not fill the memory."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.data import stored
from attune.data.document import Document
from attune.data.encoding import document
from attune.data.looks import LONGEST_VALUE, look
from attune.data.read import read
from attune.data.stored import Stored, Writer
from attune.errors import MachineError

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


def test_a_column_of_many_long_texts_is_told_from_labels_without_keeping_them() -> None:
    held = look("text", Stored.of(f"{'long ' * 200}{at}" for at in range(50)))
    assert held.words == 201 and held.strings and not held.like_labels
    assert len(held.counts) == 50 and max(map(len, held.counts)) < LONGEST_VALUE + 30
    numbers = look("score", Stored.of([*range(30), None, "31"]))
    assert numbers.numbers and numbers.empty == 1 and len(numbers.counts) == 31


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
