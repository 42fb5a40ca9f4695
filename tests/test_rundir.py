"""The run folder: one process at a time, and no two runs in one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from attune import files, rundir
from attune.errors import RecipeError
from attune.rundir import RunDir

WAITING = "import sys; from attune.rundir import RunDir; from pathlib import Path\n"
WAITING += "with RunDir(Path(sys.argv[1])).claimed():\n    print('has it', flush=True)\n    sys.stdin.read()"


def test_runs_that_begin_at_one_moment_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(rundir, "RUNS", tmp_path / "runs")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: rundir.create("", "data.csv", "starter/bert").path, range(16)))
    assert len(set(made)) == 16
    assert all(path.is_dir() for path in made)


def test_a_run_belongs_to_one_process_until_that_ends_however_it_ends(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline().strip() == "has it"
        with pytest.raises(RecipeError, match="still going on"), RunDir(tmp_path).claimed():
            pass
        other.kill()
        other.wait()
        with RunDir(tmp_path).claimed():
            assert not list(tmp_path.iterdir())


def test_a_kill_between_the_two_renames_of_a_folder_loses_neither(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint-1"
    for text in ("old", "new"):
        moves = []

        def replace(self, target, moves=moves, real=Path.replace):
            moves.append(target)
            if len(moves) == 2 and Path(target) == path:
                raise KeyboardInterrupt  # stands for a kill: what follows does not run
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
        try:
            with files.whole_folder(path) as partial:
                (partial / "a").write_text(text)
        except KeyboardInterrupt:
            pass
        monkeypatch.undo()
    assert not path.exists()
    files.remove_partials(tmp_path)
    assert (path / "a").read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["checkpoint-1"]


def test_a_run_is_free_again_when_its_training_is_left(tmp_path):
    for _ in range(2):
        with RunDir(tmp_path).claimed():
            pass
