"""From the name of a file, a folder or a data set to tables."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from attune.data import columnar, folders, linefiles, splitnames
from attune.data.document import Document
from attune.data.encoding import document
from attune.data.formats import FOREIGN, READABLE, parts
from attune.data.looks import plain
from attune.data.problems import some
from attune.data.stored import scratch
from attune.data.table import Content, Table
from attune.errors import DataError, Problem, nearest

PACKED: dict[str, Callable[[IO[bytes]], Any]] = {".gz": gzip.open, ".xz": lzma.open}
MARKS = {".gz": b"\x1f\x8b", ".xz": b"\xfd7zX"}  # how they begin


def read(source: str | Path, *, encoding: str = "auto") -> Table:
    """The rows of one file, or of a data set with one split.

    Raises:
        DataError: when it is not there, cannot be read, or has broken rows; all of these at once.
    """
    path = Path(source)
    tables = _file(path, encoding) if path.is_file() else read_splits(source, encoding=encoding)
    if len(tables) > 1:
        fix = (
            f"Name one of them: {path / next(iter(tables))}"
            if columnar.is_saved(path)
            else "Name a file in it."
        )
        raise DataError(
            Problem(str(source), "one table was expected", f"the splits {some(list(tables))}", fix)
        )
    return next(iter(tables.values()))


def read_splits(
    source: str | Path,
    *,
    valid: str = "",
    test: str = "",
    encoding: str = "auto",
    named: Sequence[str] = (),
) -> dict[str, Table]:
    """The tables of the splits there are, out of train, valid and test.

    `source` is a file, a folder with train/valid/test files, a saved data set, or one of the hub. Columns that are
    `named` hold what the user said, and not the names of splits.

    Raises:
        DataError: as `read`, for all files together.
    """
    path = Path(source)
    files: dict[str, Path] = {}
    tables: dict[str, Table] = {}
    if path.is_dir() and columnar.is_saved(path):
        tables = _by_split(columnar.saved(path), str(source))
    elif path.is_dir():
        files = folders.splits(path)
    elif path.is_file() or _names_a_file(str(source)):
        files = {"train": path}
    else:
        tables = _by_split(columnar.hub(str(source)), str(source))
    files |= {split: Path(given) for split, given in (("valid", valid), ("test", test)) if given}
    problems: list[Problem] = []
    for split, file in files.items():
        try:
            if split != "train":
                tables[split] = read(file, encoding=encoding)
            else:
                held = _file(file, encoding)
                tables |= {"train": held[""]} if "" in held else _by_split(held, str(file))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    if list(tables) == ["train"]:
        tables = _by_column(tables["train"], named)
    return {split: tables[split] for split in ("train", "valid", "test") if split in tables}


def _file(path: Path, encoding: str) -> dict[str, Table]:
    """The tables of one file by split, "" where it is one table; with it the files that go with it by line."""
    if not path.is_file():
        raise DataError(folders.absent(path))
    if group := linefiles.around(path):
        return {"": _by_line(path, group, encoding)}
    kind, packing = folders.kind_of(path)
    with _unpacked(path, packing) as (file, digest):
        found = parts(file, path, kind=kind, encoding=encoding)
    names = folders.names_beside(path)
    return {
        split: _table(f"{path}:{split}" if split else str(path), held, digest.hex(), names)
        for split, held in found.items()
    }


def _by_line(path: Path, group: linefiles.Group, encoding: str) -> Table:
    """The table of files whose lines belong together."""
    digest, texts = hashlib.sha256(), dict[str, Document]()
    with ExitStack() as opened:
        for column, each in group.items():
            file, _ = opened.enter_context(_unpacked(each, folders.kind_of(each)[1]))
            digest.update(b"\0" if texts else b"")
            with _opened(each) as raw:
                while part := raw.read(1 << 20):
                    digest.update(part)
            texts[column] = document(file, each.name, encoding=encoding)
        held = linefiles.content(texts, splitnames.shown(str(path)))
    return _table(str(path), held, digest.hexdigest(), folders.names_beside(path))


def _table(path: str, held: Content, digest: str, names: tuple[str, ...]) -> Table:
    return Table(path, held.columns, held.cells, held.lines, digest, held.notes, held.findings, names)


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(Problem(str(path), "cannot be opened", error.strerror or str(error))) from error


@contextmanager
def _unpacked(path: Path, packing: str) -> Iterator[tuple[IO[bytes], bytes]]:
    """(a file's bytes, or what they unpack to, from the beginning; the SHA-256 of the file as it lies there)."""
    with _opened(path) as file, ExitStack() as scratches:
        digest = _digest(file, path)
        if not packing:
            yield file, digest
            return
        if (start := file.peek(4)) and not start.startswith(MARKS[packing]):
            fix = f"It is not packed: call it {path.with_suffix('').name}"
            raise DataError(Problem(str(path), f"called {packing}, and it is none", fix=fix))
        with scratch():
            whole = scratches.enter_context(tempfile.TemporaryFile())
        try:
            with scratch(), PACKED[packing](file) as packed:
                shutil.copyfileobj(packed, whole, 1 << 20)
                whole.seek(0)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            fix = "Copy or download it again; it is cut off or damaged."
            raise DataError(Problem(str(path), f"not a whole {packing} file", str(error), fix)) from error
        yield whole, digest


def _digest(file: io.BufferedReader, path: Path) -> bytes:
    """The SHA-256 of all of it; the file stands at its beginning again."""
    try:
        found = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
    except OSError as error:
        raise DataError(Problem(str(path), "cannot be read", error.strerror or str(error))) from error
    return found


def _names_a_file(source: str) -> bool:
    """True for what cannot be the name of a data set of the hub."""
    kind, packing = folders.kind_of(Path(source))
    if kind in (*READABLE, *FOREIGN) or packing or not columnar.HUB_NAME.fullmatch(source):
        return True
    # `reviews.cvs`: a slip of the pen for a file that is there
    folder = Path(source).parent
    names = [other.name for other in folder.iterdir()] if "." in source and folder.is_dir() else []
    return bool(nearest(Path(source).name, names))


def _by_split(held: dict[str, Table], source: str) -> dict[str, Table]:
    """The tables under attune's names for splits; splits of other names are left out, with a note."""
    tables: dict[str, Table] = {}
    unused = []
    for name, table in held.items():
        split = splitnames.SPLITS.get(name.lower(), "")
        if split and split not in tables:
            tables[split] = table
        else:
            unused.append(name)
    if not tables and len(held) == 1:
        return {"train": next(iter(held.values()))}
    if "train" not in tables:
        fix = "Save the rows to learn from as the split `train`."
        raise DataError(Problem(source, "the data set has no train split", some(list(held)), fix))
    if unused:
        note = f"{source}: not used are the splits {some(unused)}."
        tables["train"] = replace(tables["train"], notes=(*tables["train"].notes, note))
    return tables


def _by_column(table: Table, named: Sequence[str]) -> dict[str, Table]:
    """The splits of a table in which every row says which one it is of; the table as train where it does not."""
    held = [name for name in table.columns if plain(name) == "split" and name not in named]
    column = held[0] if held and len(table.columns) > 2 else ""
    said = [splitnames.SPLITS.get(str(cell).strip().lower(), "") for cell in table.cells.get(column, [])]
    parts = [part for part in ("train", "valid", "test") if part in said]
    if "" in said or len(parts) < 2 or parts[0] != "train":
        return {"train": table}
    cells = {name: held for name, held in table.cells.items() if name != column}
    rest = replace(table, columns=tuple(cells), cells=cells)
    rows = {part: [row for row, each in enumerate(said) if each == part] for part in parts}
    told = ", ".join(f"{len(rows[part]):,} {part}" for part in parts)
    note = f"{table.name}: its column {column!r} says which rows are of which split ({told})."
    made: dict[str, Table] = {part: replace(rest.take(rows[part]), notes=()) for part in parts}
    made["train"] = replace(made["train"], notes=(*table.notes, note))
    return made
