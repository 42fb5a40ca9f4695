"""Files that are whole or not there: written under another name, flushed to the disk, renamed.

A crash, a full disk or a kill at any moment leaves either the old file or the new one. Nothing here
knows what a run is; `rundir` and `training.checkpoint` build on it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attune.errors import MachineError, Problem, command

PARTIAL = ".partial-"
OLD = "old-"  # after it, in the name of what is being replaced


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full disk, a read-only folder or a missing permission into one sentence."""
    try:
        yield
    except Exception as error:
        again = f"Free some space and do it again; a training goes on with: {command('resume RUN')}"
        reasons = {
            errno.ENOSPC: ("the disk is full", again),
            errno.EDQUOT: ("the disk quota is used up", again),
            errno.EFBIG: (
                "the file is larger than the system allows",
                "Raise the limit on file sizes (ulimit -f)",
            ),
            errno.EACCES: ("no permission to write here", "Choose another folder with --out"),
            errno.ENOENT: (
                "there is no such folder, and it cannot be made",
                "Choose another folder with --out",
            ),
            errno.ENOTDIR: (
                "what stands before the name is a file, not a folder",
                "Choose another folder with --out",
            ),
            errno.ENAMETOOLONG: (
                "the name is longer than the system allows",
                "Choose a shorter one with --out",
            ),
            errno.EROFS: ("the folder is read-only", "Choose another folder with --out"),
        }
        if (number := _number(error)) not in reasons:
            raise
        what, fix = reasons[number]
        raise MachineError(Problem(str(path), what, fix=fix)) from error


def _number(error: Exception) -> int | None:
    """The system's number of an error; libraries in Rust have it only in their words."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def sync(path: Path) -> None:
    """Waits until the file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write that takes the name `path` only once all of it is on the disk."""
    partial = path.with_name(f"{path.name}{PARTIAL}{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        try:
            yield partial
            sync(partial)
            partial.replace(path)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces the file by `text` (UTF-8), whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Replaces the file by `value` as indented JSON, keys in the order given."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that takes the name `path` only once everything in it is on the disk.

    An existing folder of that name is replaced at the end. When the block fails, nothing is left.
    """
    partial = path.with_name(f"{path.name}{PARTIAL}{uuid.uuid4().hex[:8]}")
    with disk_errors(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            readable = partial.stat().st_mode & 0o666  # some libraries write files for their owner alone
            for file in sorted(partial.rglob("*")):
                if file.is_file():
                    file.chmod(readable)
                sync(file)
            sync(partial)
            replaced = path.with_name(f"{path.name}{PARTIAL}{OLD}{uuid.uuid4().hex[:8]}")
            if path.exists():
                path.replace(replaced)
            partial.replace(path)
            sync(path.parent)
            shutil.rmtree(replaced, ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def remove_partials(folder: Path) -> None:
    """Deletes what a killed process left half-written in `folder`, and puts back what it was about to replace."""
    for leftover in sorted(folder.glob(f"*{PARTIAL}*")):
        name, _, kind = leftover.name.partition(PARTIAL)
        if kind.startswith(OLD) and not (folder / name).exists():
            leftover.replace(folder / name)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def crc32(path: Path) -> str:
    """The CRC-32 of a file's bytes, in hexadecimal: it tells damage, no forgery, in an eighth of SHA-256's time."""
    found = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found = zlib.crc32(part, found)
    return f"{found:08x}"


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
