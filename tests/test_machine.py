"""The machine: which cores a process may use, whether the kernels are on, what a run remembers of both."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import psutil
import pytest
import torch

from attune import machine, run
from attune.models.kernels import scalars
from attune.rundir import RunDir


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Four logical processors, two to a core, and control groups without a limit."""
    for number in range(4):
        folder = tmp_path / f"devices/system/cpu/cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{number // 2 * 2}-{number // 2 * 2 + 1}\n")
    (tmp_path / "fs/cgroup/cpu").mkdir(parents=True)
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    return tmp_path


def test_two_hyper_threads_are_one_core_and_affinity_counts(system, monkeypatch):
    assert machine.cores() == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3})
    assert machine.cores() == 1
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda _: set(range(8))
    )  # four of which the system says nothing
    assert machine.cores() == 6


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 2),
        ({"cpu.max": "6400000 100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)
def test_a_quota_of_the_container_counts(system, files, expected):
    for name, text in files.items():
        (system / "fs/cgroup" / name).write_text(text + "\n")
    assert machine.cores() == expected


def test_the_command_starts_with_as_many_threads_as_there_are_cores_unless_told():
    code = "import os; from attune import cli; cli.app = lambda: print(os.environ['OMP_NUM_THREADS']); cli.main()"
    for told in ("", "7"):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        environment |= {"OMP_NUM_THREADS": told} if told else {}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert done.stdout.strip() == (told or str(machine.cores()))


def test_the_environment_names_numba_and_whether_the_kernels_are_on(monkeypatch):
    found = machine.environment(3)
    assert found["kernels"] == "on"
    assert found["numba"] is not None
    assert found["cores"] == machine.cores()
    monkeypatch.setenv("ATTUNE_KERNELS", "0")
    assert machine.environment(3)["kernels"] == "off: ATTUNE_KERNELS=0"
    monkeypatch.setenv("ATTUNE_KERNELS", "1")
    monkeypatch.setitem(sys.modules, "numba", None)
    assert machine.kernels().startswith("off: import of numba halted")


def test_a_run_goes_on_with_the_threads_it_began_with(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 3)
    before, folder = torch.get_num_threads(), RunDir(tmp_path)
    try:
        for held, told, now in (
            (before, "", before),
            (3, "3 threads, as", 3),
            (4, "began with 4 threads", before),
        ):
            torch.set_num_threads(before)
            folder.write("environment.json", {"threads": held})
            assert told in run.hold_threads(folder)
            assert torch.get_num_threads() == now
    finally:
        torch.set_num_threads(before)


def test_where_nothing_can_be_cached_kernels_compile_all_the_same(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    def twice(x):
        x[0] *= 2

    kernel = scalars.kernel(twice)
    import numpy as np

    x = np.ones(1)
    kernel(x)
    assert x[0] == 2


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems do not count the parent's memory in"
)
def test_the_peak_is_that_of_this_process_and_not_of_the_one_that_started_it():
    held = bytearray(os.urandom(1 << 20) * 400)
    code = "from attune import machine; print(machine.peak_memory_mib())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5 < float(done.stdout) < 200 < len(held) / 2**20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to")
def test_memory_that_is_free_goes_back_to_the_system():
    pieces = [b"x" * 50_000 for _ in range(2_000)]
    pieces, on_top = None, pieces[-1]  # which keeps the C library from giving any of it back itself
    before = psutil.Process().memory_info().rss
    machine.give_memory_back()
    assert before - psutil.Process().memory_info().rss > 50 << 20, len(on_top)
