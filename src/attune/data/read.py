"""From the name of a file, a folder or a data set to tables."""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path

from attune import files
from attune.data import columnar, delimited, jsonrows
from attune.data import encoding as encodings
from attune.data.table import Table
from attune.errors import DataError, Problem, nearest

DELIMITED = {".csv", ".tsv", ".txt"}
JSON = {".json", ".jsonl", ".ndjson"}
PARQUET = {".parquet", ".pq"}
PACKED = {".gz": gzip.decompress, ".xz": lzma.decompress}
READABLE = "CSV, TSV, JSON, JSON lines, Parquet (CSV, TSV and JSON also packed with gz or xz)"
SPLITS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid"}
SPLITS |= {"dev": "valid", "eval": "valid", "test": "test"}


def read(source: str | Path, *, encoding: str = "auto") -> Table:
    """The rows of one file.

    Raises:
        DataError: when it is not there, cannot be read, or has broken rows; all of them at once.
    """
    path = Path(source)
    if not path.is_file():
        raise DataError(_absent(path))
    suffix = _suffix(path)
    if suffix in PARQUET:
        return columnar.parquet(path, files.sha256(path))
    if suffix not in DELIMITED | JSON:
        raise DataError(Problem(str(path), "files of this kind are not read", suffix or "no suffix", READABLE))
    text, notes = encodings.decode(_unpacked(path), str(path), encoding=encoding)
    if suffix in JSON:
        columns, values, lines, more = jsonrows.parse(path, text)
    else:
        columns, values, lines, more = delimited.parse(text, str(path), suffix)
    cells = dict(zip(columns, values, strict=True))
    return Table(str(path), columns, cells, lines, files.sha256(path), (*notes, *more))


def _unpacked(path: Path) -> bytes:
    """The bytes of a file, unpacked if its name ends in .gz or .xz."""
    held = path.read_bytes()
    unpack = PACKED.get(path.suffix.lower())
    try:
        raw = unpack(held) if unpack else held
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        fix = "Download or pack it again"
        raise DataError(Problem(str(path), "the packed file is damaged or cut short", str(error), fix)) from error
    if not raw.strip():
        raise DataError(Problem(str(path), "the file is empty", fix="Give a file with rows"))
    return raw


def read_splits(source: str, *, valid: str = "", test: str = "", encoding: str = "auto") -> dict[str, Table]:
    """The tables of the splits there are: of a file, a folder with train/valid/test files, or a data set.

    Raises:
        DataError: as `read`, for all files together.
    """
    path = Path(source)
    named: dict[str, Path] = {}
    tables: dict[str, Table] = {}
    if path.is_dir() and any((path / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
        tables = _by_split(columnar.saved(path))
    elif path.is_dir():
        named = _folder(path)
    elif path.is_file() or path.suffix or source.startswith((".", "/")) or source.count("/") > 1:
        named = {"train": path}
    else:
        tables = _by_split(columnar.hub(source))
    named |= {split: Path(file) for split, file in (("valid", valid), ("test", test)) if file}
    problems: list[Problem] = []
    for split, file in named.items():
        try:
            tables[split] = read(file, encoding=encoding)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return {split: tables[split] for split in ("train", "valid", "test") if split in tables}


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _absent(path: Path) -> Problem:
    folder = path.parent if path.parent.is_dir() else None
    names = [other.name for other in folder.iterdir()] if folder else []
    fix = nearest(path.name, names) if folder else f"The folder {path.parent} is not there either"
    return Problem(str(path), "is a folder" if path.is_dir() else "there is no such file", fix=fix)


def _folder(path: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        split = SPLITS.get(file.name.split(".")[0].lower())
        if file.is_file() and split and _suffix(file) in DELIMITED | JSON | PARQUET and split not in named:
            named[split] = file
    if "train" not in named:
        here = ", ".join(sorted(file.name for file in path.iterdir())[:12]) or "nothing"
        fix = "Name a file in it, or call the files train.csv, valid.csv, test.csv"
        raise DataError(Problem(str(path), "the folder has no train file", here, fix))
    return named


def _by_split(held: dict[str, Table]) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for name, table in held.items():
        split = SPLITS.get(name.lower())
        if split and split not in tables:
            tables[split] = table
    if "train" not in tables and held:
        raise DataError(Problem(next(iter(held.values())).path, "there is no train split", ", ".join(held)))
    return tables
