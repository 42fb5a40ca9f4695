"""Arrays that grow: rows put down one after the other, in memory, or in a file when they get many.

The file has no name, so nothing of it is left when the process ends, however it ends.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike

from attune import files

MEMORY = 1 << 30  # bytes that are held in memory, where nothing else is said; what is more lies in a file


class Growing:
    """An array [N, *shape] whose N is not known before its end.

    All the memory that it may hold is asked for at once. The system gives it page by page as it is written, so few
    rows take little, and nothing is ever copied into something larger.

    Args:
        folder: where its file lies, if there is one.
        shape: of one row.
        dtype: of its numbers.
        memory: bytes that are held in memory before there is a file.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...] = (), dtype: DTypeLike = np.float32, memory: int = MEMORY
    ) -> None:
        self.folder, self.shape, self.dtype = folder, shape, np.dtype(dtype)
        self.memory = memory
        self.rows = 0
        self._held = self._room(memory)
        self._used = 0  # rows of what is held
        self._file: IO[bytes] | None = None

    def add(self, rows: np.ndarray) -> None:
        """Puts down rows [n, *shape]."""
        part = np.ascontiguousarray(rows, self.dtype)
        self.rows += len(part)
        if self._used + len(part) > len(self._held):
            self._spill()
        if len(part) > len(self._held):
            self._write(part)
            return
        self._held[self._used : self._used + len(part)] = part
        self._used += len(part)

    def _room(self, size: int) -> np.ndarray:
        """Room for as many rows as there are in so many bytes; for none where the system has not got them."""
        row = int(np.prod(self.shape)) * self.dtype.itemsize
        try:
            return np.empty((size // row, *self.shape), self.dtype)
        except MemoryError:
            return np.empty((0, *self.shape), self.dtype)

    def _spill(self) -> None:
        self._write(self._held[: self._used])
        self._held, self._used = self._room(self.memory // 16), 0

    def _write(self, part: np.ndarray) -> None:
        with files.disk_errors(self.folder):
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - lives as long as the rows
            self._file.write(part.data)

    def whole(self) -> np.ndarray:
        """All rows [N, *shape]; no more can be put down."""
        if self._file is None:
            return self._held[: self._used]
        self._spill()
        with self._file, files.disk_errors(self.folder):  # the map holds on to what is in it
            self._file.flush()
            return np.memmap(self._file, self.dtype, "r").reshape(-1, *self.shape)
