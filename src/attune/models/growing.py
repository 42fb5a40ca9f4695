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

MEMORY = 1 << 30  # bytes that are held in memory; what is more lies in a file
JOINED = 4096  # small parts that become one: an array of its own costs more than the tokens of a text


class Growing:
    """An array [N, *shape] whose N is not known before its end.

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
        self._parts: list[np.ndarray] = []
        self._small: list[np.ndarray] = []  # parts of late, which are joined when there are many
        self._held = 0  # bytes of both
        self._file: IO[bytes] | None = None

    def add(self, rows: np.ndarray) -> None:
        """Puts down rows [n, *shape]."""
        part = np.ascontiguousarray(rows, self.dtype)
        self._small.append(part)
        self._held += part.nbytes
        self.rows += len(part)
        if len(self._small) == JOINED:
            self._join()
        if self._held > (self.memory if self._file is None else self.memory // 16):
            self._spill()

    def _join(self) -> None:
        if self._small:
            self._parts.append(np.concatenate(self._small))
        self._small = []

    def _spill(self) -> None:
        self._join()
        with files.disk_errors(self.folder):
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - lives as long as the rows
            for part in self._parts:
                self._file.write(part.data)
            self._file.flush()
        self._parts, self._held = [], 0

    def whole(self) -> np.ndarray:
        """All rows [N, *shape]; no more can be put down."""
        if self._file is None:
            self._join()
            return np.concatenate([np.zeros((0, *self.shape), self.dtype), *self._parts])
        self._spill()
        with self._file:  # the map holds on to what is in it
            return np.memmap(self._file, self.dtype, "r").reshape(-1, *self.shape)
