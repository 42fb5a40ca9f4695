"""Arrays that grow in memory or in a file, and tokens that lie in one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from attune import machine
from attune.models import growing, tokens
from attune.models.growing import Growing
from attune.models.tokens import Encoded, collected


@pytest.mark.parametrize("limit", [1 << 20, 100, 1])
def test_rows_come_back_in_the_order_in_which_they_were_put_down(tmp_path, limit):
    rows, given = Growing(tmp_path, (3,), memory=limit), np.arange(60, dtype=np.float32).reshape(20, 3)
    for part in np.split(given, [1, 1, 7, 19]):
        rows.add(part)
    assert rows.rows == 20
    whole = rows.whole()
    np.testing.assert_array_equal(whole, given)
    assert isinstance(whole, np.memmap) == (limit < 1000)
    assert not list(tmp_path.iterdir())


def test_without_memory_the_rows_lie_in_a_file(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise MemoryError

    monkeypatch.setattr(
        growing.np, "empty", lambda shape, dtype: np.zeros(shape, dtype) if 0 in shape else refused()
    )
    rows = Growing(tmp_path, (3,))
    for part in (np.ones((2, 3)), np.zeros((0, 3)), np.full((1, 3), 2.0)):
        rows.add(part)
    assert rows.whole().tolist() == [[1, 1, 1], [1, 1, 1], [2, 2, 2]]


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from Linux")
def test_what_is_held_is_never_there_twice(tmp_path):
    def peak() -> int:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

    machine.forget_peak()
    before, rows = peak(), Growing(tmp_path, (256,))
    for _ in range(200):
        rows.add(np.ones((1024, 256), np.float32))
    assert rows.whole().nbytes == 200 << 20
    assert peak() - before < 240


def test_nothing_put_down_is_an_empty_array(tmp_path):
    assert Growing(tmp_path, (3,)).whole().shape == (0, 3)
    assert Growing(tmp_path, dtype=np.int32).whole().dtype == np.int32


def test_many_tokens_lie_in_a_file_and_read_as_few_do(monkeypatch):
    def rows():
        for n in range(1, 40):
            pieces = [np.arange(n, dtype=np.int32), np.full(2, 7, np.int32)]
            yield Encoded(pieces, n, n, 2, [np.zeros(n, np.int32), np.ones(2, np.int32)])

    held = collected(rows(), unknown=7)
    monkeypatch.setattr(tokens, "MEMORY", 64)
    mapped = collected(rows(), unknown=7)
    assert isinstance(mapped.tokens, np.memmap)
    assert not isinstance(held.tokens, np.memmap)
    assert held.unknown == mapped.unknown == 39 * 2 + 32
    for one, other in zip(vars(held).values(), vars(mapped).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(mapped[5], held[5])
