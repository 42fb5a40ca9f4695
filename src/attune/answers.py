"""Predictions for files and pipes: read, answered and written as a stream."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from attune import files, rundir
from attune.data import inputs, read
from attune.data.columns import Roles
from attune.errors import DataError, Problem, RecipeError
from attune.predictor import CHUNK, open_run

SUFFIXES = (".csv", ".jsonl", ".parquet")
ROWS = 4096  # rows of a Parquet group
FORMULA = ("=", "+", "-", "@", "\t", "\r")
HARMLESS = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)?([eE][-+]?\d+)?", re.ASCII)


def write(name: str, source: str, *, columns: Mapping[str, str] | None = None, out: str = "") -> None:
    """Answers the rows of a file, or of standard input (`-`), into a file or as JSON lines to standard output.

    Args:
        name: of the run.
        source: the file; of standard input each line is a text, or a JSON object with the row's cells.
        columns: by role, where the file calls them otherwise than the run's training file did.
        out: the file to write.

    Raises:
        RecipeError: for an output of unknown kind.
        DataError: when the input has no such column.
    """
    if out and Path(out).suffix.lower() not in SUFFIXES:
        raise RecipeError(
            Problem("--out", "cannot be written", repr(out), f"Use one of {', '.join(SUFFIXES)}")
        )
    if out and Path(out).exists():
        raise RecipeError(Problem("--out", "the file exists already", out, "Name another, or remove it"))
    if out and not Path(out).parent.is_dir():
        raise RecipeError(Problem("--out", "there is no such folder", str(Path(out).parent), "Make it first"))
    rows = _piped(name) if source == "-" else _of_file(name, source, columns or {})
    if not out:
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        return
    path, kind = Path(out), Path(out).suffix.lower()
    partial = path.with_name(f"{path.name}.partial")
    try:
        with files.disk_errors(path):
            {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[kind](partial, rows)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _of_file(name: str, source: str, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    held = rundir.find(name).read("data.json")["roles"]
    text, pair = (columns.get(role) or held[role] if held[role] else "" for role in ("text", "pair"))
    table = read.read(source)
    rows = inputs.of_file(table, Roles(held["task"], text, "", pair=pair))
    predictor = open_run(name)
    for first in range(0, len(rows), CHUNK):
        part = rows.take(range(first, min(first + CHUNK, len(rows))))
        for place, answer in enumerate(predictor.answers(part), start=first):
            yield _beside(table.row(place), asdict(answer))


def _beside(given: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The answer behind the file's own cells; a column of the same name is kept as `given_label`."""
    kept: dict[str, Any] = {}
    taken = {*answer, *(name for name in given if name not in answer)}
    for name, cell in given.items():
        free = name
        while free in answer or (free != name and free in taken):
            free = f"given_{free}"
        taken.add(free)
        kept[free] = cell
    return {**kept, **answer}


def _piped(name: str) -> Iterator[dict[str, Any]]:
    """Answers each line as it comes."""
    predictor = open_run(name)
    for number, line in enumerate(sys.stdin, start=1):
        text = line.rstrip("\n")
        given: Any = json.loads(text) if text.startswith("{") and _is_object(text) else text
        try:
            yield asdict(predictor.predict([given])[0])
        except DataError as error:
            places = [replace(problem, where=f"standard input:{number}") for problem in error.problems]
            raise DataError(*places) from error


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The row with one column for each probability, and what is a list as JSON."""
    flat: dict[str, Any] = {}
    for name, cell in row.items():
        if name == "probabilities":
            flat |= {f"p({label})": value for label, value in cell.items()}
        else:
            flat[name] = json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell
    return flat


def _csv(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = None
        for row in map(_flat, rows):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow({name: _safe(cell) for name, cell in row.items()})


def _safe(cell: Any) -> Any:
    """A text that begins like a formula is quoted: a spreadsheet would run it (OWASP: CSV injection).

    Numbers, and signs alone, are no formulas.
    """
    harmless = not isinstance(cell, str) or not cell.startswith(FORMULA) or HARMLESS.fullmatch(cell)
    return cell if harmless else f"'{cell}"


def _jsonl(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _parquet(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    writer, held = None, []
    for row in map(_flat, rows):
        held.append(row)
        if len(held) == ROWS:
            writer = _group(path, writer, held, pyarrow, parquet)
            held = []
    if held or writer is None:
        writer = _group(path, writer, held, pyarrow, parquet)
    writer.close()


def _group(path: Path, writer: Any, held: list[dict[str, Any]], pyarrow: Any, parquet: Any) -> Any:
    """Writes a group of rows in the types of the first one; what is empty in all of that is taken for text."""
    table = pyarrow.Table.from_pylist(held)
    if writer is None:
        fields = [
            pyarrow.field(f.name, pyarrow.string() if pyarrow.types.is_null(f.type) else f.type)
            for f in table.schema
        ]
        writer = parquet.ParquetWriter(path, pyarrow.schema(fields))
    writer.write_table(table.cast(writer.schema))
    return writer
