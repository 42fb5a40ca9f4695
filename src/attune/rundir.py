"""The run folder: every result of a run by name. It is the only thing report, dashboard and comparison read."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from attune import files
from attune.errors import Problem, RecipeError, command, nearest

RUNS = Path("runs")


class RunDir:
    """One run's folder; the files in it are written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def model(self) -> Path:
        """The model in transformers' layout."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Where training continues from."""
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Keeps the run to this process; the system lets go of it however the process ends.

        Raises:
            RecipeError: while another one has it.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                fix = "Let it end, or stop it"
                raise RecipeError(Problem(str(self.path), "the run is still going on", fix=fix)) from error
            except OSError:
                pass  # a file system without locks
            yield
        finally:
            os.close(handle)

    def write(self, name: str, value: Any) -> None:
        """Replaces a JSON file of the run."""
        files.write_json(self.path / name, value)

    def read(self, name: str, default: Any = None) -> Any:
        """A JSON file of the run, or `default` when it is not there."""
        path = self.path / name
        if not path.is_file():
            return default
        try:
            return files.read_json(path)
        except ValueError as error:
            fix = "Copy the run folder again, or train anew"
            raise RecipeError(
                Problem(str(path), "is damaged: not whole JSON", str(error)[:80], fix)
            ) from error

    def write_lines(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Replaces a JSON-lines file of the run, row by row."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        with files.whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    def lines(self, name: str) -> Iterator[str]:
        """The lines of a JSON-lines file of the run; none where it is not there."""
        path = self.path / name
        if path.is_file():
            with path.open(encoding="utf-8") as file:
                yield from file

    def append_event(self, event: dict[str, Any]) -> None:
        """Adds a line to events.jsonl."""
        path = self.path / "events.jsonl"
        with files.disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")

    def events(self) -> list[dict[str, Any]]:
        """What happened; a last line that a kill cut short is left out."""
        path = self.path / "events.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def forget_events_after(self, step: int) -> None:
        """Drops the events of steps that are taken again after a kill."""
        kept = [event for event in self.events() if event["step"] <= step and event["event"] != "finished"]
        self.write_lines("events.jsonl", kept)

    def status(self, status: str, **more: Any) -> None:
        """Updates run.json: running, finished, stopped or failed, and what else is known."""
        held = self.read("run.json", {})
        self.write("run.json", {**held, "status": status, "pid": os.getpid(), **more})


def create(out: str, data: str, model: str) -> RunDir:
    """A new run folder: `out`, else runs/<date>-<data>-<model>.

    Raises:
        RecipeError: when `out` is there already.
    """
    if not out:
        return RunDir(_made(RUNS / f"{datetime.now():%Y-%m-%d_%H%M}-{_word(data)}-{_word(model)}"))
    refuse_existing(out)
    path = Path(out)
    with files.disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return RunDir(path)


def refuse_existing(out: str) -> None:
    """Raises a RecipeError when `out` is a folder with something in it, or a file."""
    path = Path(out)
    with files.disk_errors(path):
        there = path.exists()
    if out and there and (not path.is_dir() or any(path.iterdir())):
        fix = "Choose another --out"
        if path.is_file():
            raise RecipeError(Problem(out, "there is a file of that name; nothing was changed", fix=fix))
        if _goes_on(path):
            fix += f", or go on with it: {command(f'resume {out}')}"
        raise RecipeError(Problem(out, "the run folder is there already; nothing was changed", fix=fix))
    if above := [parent for parent in path.parents if parent.is_file()]:
        what = "a run folder cannot lie in a file"
        raise RecipeError(Problem(out, what, str(above[0]), "Choose another --out"))


def _goes_on(path: Path) -> bool:
    """Whether a folder holds a run that is not finished."""
    try:
        held = RunDir(path).read("run.json", {})
    except RecipeError:
        return False
    told = held.get("status") if isinstance(held, dict) else None
    return told in ("running", "stopped", "failed")  # one that was killed is running still, in its file


def find(name: str) -> RunDir:
    """The run folder of this name; `last` is the one under runs/ that was begun last.

    Raises:
        RecipeError: when there is no such run.
    """
    known = sorted((p for p in RUNS.glob("*") if (p / "run.json").is_file()), key=_started)
    if name == "last" and known:
        return RunDir(known[-1])
    path = Path(name)
    if name == "last" and not path.exists():
        fix = f"`{command('train')}` makes one; or go to the folder that holds runs/, or name a run's folder"
        raise RecipeError(Problem("last", f"there is no run in {RUNS}/ here", fix=fix))
    if not (path / "run.json").is_file():
        fix = (
            nearest(name, [str(run) for run in known])
            or f"A run folder holds run.json; `{command('train')}` makes one"
        )
        raise RecipeError(Problem(name, "is not a run folder", fix=fix))
    return RunDir(path)


def _word(name: str) -> str:
    stem = Path(name.rstrip("/")).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-")[:40] or "data"


def _made(path: Path) -> Path:
    """A folder of this name, or with the first number that is free; made by this process and no other."""
    with files.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
            with contextlib.suppress(FileExistsError):
                candidate.mkdir()
                return candidate
    raise AssertionError("numbers do not end")


def _started(folder: Path) -> tuple[str, str]:
    """When a run began; what is no run.json of ours comes first."""
    try:
        return str(files.read_json(folder / "run.json").get("started", "")), folder.name
    except (ValueError, AttributeError, OSError):
        return "", folder.name
