"""Cells of a column that lie in a file once they are many: eight bytes a cell stay in memory, however long it is.

The file has no name, so nothing of it is left when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import marshal
import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike

from attune.errors import MachineError, Problem

MEMORY = 1 << 24  # bytes of a column that are held in memory; what is more lies in a file
LARGE = 1 << 28  # bytes of an array that are held in memory
JOINED = 1 << 16  # bytes that are put down at once
BLOCK, BYTES = 1024, 1 << 20  # cells, and bytes of them, that are read at once
OTHER = b"\xff"  # before what is no text; no UTF-8 begins with it
WASTE = 4  # bytes read for each one that is wanted, up to which cells are read together


class Stored(Sequence[Any]):
    """Cells that were put down once, in the order of `rows`; `take` gives others of them without a copy."""

    def __init__(self, shelf: _Shelf, ends: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._shelf = shelf
        self._ends = ends  # [M + 1] int64: cell m lies between ends[m] and ends[m + 1]
        self._rows = rows  # [N] int64; None: all, as they lie

    @staticmethod
    def of(cells: Iterable[Any]) -> Stored:
        """These cells."""
        writer = Writer()
        writer.extend(cells)
        return writer.whole()

    def take(self, rows: Iterable[int]) -> Stored:
        """These cells in this order."""
        places = whole_numbers(rows)
        if (places < 0).any():  # else columns that lie alike share the caller's array
            places = np.where(places < 0, places + len(self), places)
        return Stored(self._shelf, self._ends, self._lying(places))

    def __len__(self) -> int:
        return len(self._ends) - 1 if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return list(self._read(self._lying(np.arange(len(self))[index])))
        if not -len(self) <= index < len(self):
            raise IndexError(f"cell {index} of {len(self)}")
        row = self._lying(index % len(self))
        return _cell(self._shelf.read(int(self._ends[row]), int(self._ends[row + 1])))

    def __iter__(self) -> Iterator[Any]:
        begin = 0
        while begin < len(self):
            rows = self._lying(np.arange(begin, min(begin + BLOCK, len(self))))
            sizes = np.cumsum(self._ends[rows + 1] - self._ends[rows])
            fit = max(1, int(np.searchsorted(sizes, BYTES, side="right")))
            yield from list(self._read(rows[:fit]))
            begin += fit

    def __reduce__(self) -> tuple[Any, ...]:
        return Stored.of, (list(self),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, Stored)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _lying(self, places: Any) -> Any:
        """Which cells of all that were put down these are."""
        return places if self._rows is None else self._rows[places]

    def _read(self, rows: np.ndarray) -> Iterator[Any]:
        """These cells of all that were put down, in few reads where they lie near each other."""
        begins, ends = self._ends[rows], self._ends[rows + 1]
        if not len(rows):
            return
        first, last = int(begins.min()), int(ends.max())
        together = last - first <= WASTE * int((ends - begins).sum())
        held = self._shelf.read(first, last) if together else b""
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield _cell(held[begin - first : end - first] if together else self._shelf.read(begin, end))


class _Shelf:
    """The bytes of a column, shared by all that is taken of it, and gone with the last of these."""

    def __init__(self) -> None:
        self.turn = Lock()  # a file has one place to read from, whoever reads
        with scratch():
            self.file = tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115 - lives as long as this
        weakref.finalize(self, self.file.close)

    def read(self, begin: int, end: int) -> bytes:
        with self.turn:
            self.file.seek(begin)
            return self.file.read(end - begin)

    def write(self, raw: bytearray) -> None:
        with scratch():
            self.file.write(raw)
            self.file.flush()


class Writer:
    """A column that grows cell by cell."""

    def __init__(self) -> None:
        self._shelf = _Shelf()
        self._late = bytearray()
        self._ends = array("q", (0,))
        self._put = 0  # bytes that left `_late`

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, cell: Any) -> None:
        """Puts down one cell."""
        self._late += cell.encode("utf-8", "surrogatepass") if type(cell) is str else OTHER + _kept(cell)
        self._ends.append(self._put + len(self._late))
        if len(self._late) > JOINED:
            self._flush()

    def extend(self, cells: Iterable[Any]) -> None:
        """Puts down several."""
        for cell in cells:
            self.append(cell)

    def whole(self) -> Stored:
        """All cells; no more can be put down."""
        self._flush()
        return Stored(self._shelf, np.frombuffer(self._ends, np.int64))

    def _flush(self) -> None:
        self._shelf.write(self._late)
        self._put += len(self._late)
        self._late = bytearray()


@contextmanager
def scratch() -> Iterator[None]:
    """Turns a full disk under the files without names into one sentence."""
    try:
        given = os.environ.get("TMPDIR")
        if given and not Path(given).is_dir():  # tempfile would take another one without a word
            raise NotADirectoryError(errno.ENOENT, "no such folder")
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not full and error.errno not in (errno.ENOENT, errno.EACCES, errno.EROFS):
            raise
        what = (
            "no space is left for the rows" if full else "there is no folder to put the rows in for a while"
        )
        fix = "Free some space there, or name another folder: TMPDIR=FOLDER"
        raise MachineError(Problem(os.environ.get("TMPDIR", "/tmp"), what, fix=fix)) from error


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array of known size, to be filled in any order; mapped from a file where it is large."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= LARGE:
        return np.empty(shape, dtype)
    with scratch(), tempfile.TemporaryFile() as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and not by a signal later
        except (AttributeError, OSError) as error:  # not every system, and not every file system can
            if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            file.truncate(size)
        return np.memmap(file, dtype, "r+", shape=shape)


def whole_numbers(rows: Iterable[int]) -> np.ndarray:
    """[N] int64, from an array or one by one."""
    return np.asarray(rows, np.int64) if isinstance(rows, (np.ndarray, list)) else np.fromiter(rows, np.int64)


def taken(cells: Sequence[Any], rows: np.ndarray) -> Sequence[Any]:
    """These cells in this order, as the column has them."""
    if isinstance(cells, Stored):
        return cells.take(rows)
    if isinstance(cells, array):
        return array(cells.typecode, (cells[row] for row in rows.tolist()))
    return [cells[row] for row in rows.tolist()]


def _kept(cell: Any) -> bytes:
    """A cell that is no text, as bytes."""
    try:
        return b"p" + pickle.dumps(cell)
    except RecursionError:  # lists in lists in lists, some hundred deep
        return b"m" + marshal.dumps(cell)


def _cell(raw: bytes) -> Any:
    if raw[:1] == OTHER:  # what this process put down itself
        return (pickle if raw[1:2] == b"p" else marshal).loads(raw[2:])
    return raw.decode("utf-8", "surrogatepass")
