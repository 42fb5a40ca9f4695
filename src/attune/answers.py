"""Predictions for files and pipes: read, answered and written as a stream."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune import files, rundir
from attune.data import inputs, read
from attune.data.columns import Roles
from attune.errors import DataError, Problem, RecipeError

if TYPE_CHECKING:
    from attune.predictor import Predictor

SUFFIXES = (".csv", ".jsonl", ".parquet")
Row = tuple[dict[str, Any], dict[str, Any]]  # the cells of the file, and the answer
ROWS = 4096  # rows of a Parquet group
SILENT = 10.0  # seconds between two lines that say how far it is
FORMULA = ("=", "+", "-", "@", "\t", "\r")
HARMLESS = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)?([eE][-+]?\d+)?", re.ASCII)


def write(
    name: str,
    source: str,
    *,
    columns: Mapping[str, str] | None = None,
    out: str = "",
    encoding: str = "auto",
    precision: str = "float32",
    device: str = "auto",
    say: Callable[[str], None] = lambda told: None,
) -> None:
    """Answers the rows of a file, or of standard input (`-`), into a file or as JSON lines to standard output.

    Args:
        name: of the run.
        source: the file; of standard input each line is a text, a JSON object with the row's cells, or a
            JSON list of texts: a pair, or the words of a row to tag.
        columns: by role, where the file calls them otherwise than the run's training file did.
        out: the file to write.
        encoding: of the source, where it is neither UTF-8 nor UTF-16.
        precision: float32, bfloat16 or int8 (`open_run`).
        device: cpu, cuda, mps or auto (`open_run`).
        say: takes what is to be known beside the answers.

    Raises:
        RecipeError: for an output of unknown kind.
        DataError: when the input has no such column.
    """
    if out:
        _check_out(out)
    rundir.find(name)
    opened = partial(_opened, name, precision, device, say)
    piped = source == "-"
    rows = _piped(opened, say) if piped else _of_file(name, source, columns or {}, encoding, opened, say)
    if out:
        written = _into(Path(out), rows)
        say(f"{written:,} {'row' if written == 1 else 'rows'} answered: {out}")
        return
    for given, answer in rows:
        sys.stdout.write(_told(_beside(given, answer)) + "\n")
        sys.stdout.flush()


def _into(path: Path, rows: Iterator[Row]) -> int:
    """Writes a file that has its name only once it is whole; how many rows it holds."""
    half, numbers = path.with_name(f"{path.name}.partial"), count()
    counted = (row for row, _ in zip(rows, numbers, strict=False))
    try:
        with files.disk_errors(path):
            {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix.lower()](half, counted)
            half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return next(numbers)


def _opened(name: str, precision: str, device: str, say: Callable[[str], None]) -> Predictor:
    """The predictor; of a lower precision it is said what it costs. What cannot be is refused before it is loaded."""
    from attune import rounding
    from attune.predictor import open_run

    predictor = open_run(name, precision=precision, device=device)
    if told := rounding.told(predictor, say):
        say(told)
    return predictor


def _check_out(out: str) -> None:
    """Raises for a file that cannot be written, before the rows are read."""
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        fix = f"Use one of {', '.join(SUFFIXES)}"
        raise RecipeError(Problem("--out", "cannot be written", repr(out), fix))
    if path.exists():
        raise RecipeError(Problem("--out", "the file exists already", out, "Name another, or remove it"))
    if not path.parent.is_dir():
        raise RecipeError(Problem("--out", "there is no such folder", str(path.parent), "Make it first"))


def _of_file(
    name: str,
    source: str,
    columns: Mapping[str, str],
    encoding: str,
    opened: Callable[[], Predictor],
    say: Callable[[str], None],
) -> Iterator[Row]:
    held = rundir.find(name).read("data.json")["roles"]
    text, pair = (columns.get(role) or held[role] if held[role] else "" for role in ("text", "pair"))
    table = read.read(source, encoding=encoding)
    rows = inputs.of_file(table, Roles(held["task"], text, "", pair=pair, whole=held.get("whole", False)))
    predictor = opened()
    from attune.predictor import CHUNK

    told = time.monotonic()
    for first in range(0, len(rows), CHUNK):
        part = rows.take(range(first, min(first + CHUNK, len(rows))))
        for place, answer in enumerate(predictor.answers(part), start=first):
            yield table.row(place), asdict(answer)
        if (now := time.monotonic()) - told > SILENT:
            told, done = now, first + len(part)
            say(f"{done:,} of {len(rows):,} rows answered ({done / len(rows):.0%})")
    _tell_cut(predictor, say)


def _tell_cut(predictor: Predictor, say: Callable[[str], None]) -> None:
    """Says how many rows were longer than what the run reads of them."""
    if predictor.cut:
        are, most = "is" if predictor.cut == 1 else "are", predictor.encoder.max_tokens
        say(
            f"{predictor.cut:,} of {predictor.answered:,} rows {are} longer than the {most:,} tokens that the run "
            "reads (model.max_tokens, model.long_texts); what is more of them was not read"
        )


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


def _piped(opened: Callable[[], Predictor], say: Callable[[str], None]) -> Iterator[Row]:
    """Answers each line as it comes; an object's cells are named by role, or as in the run's own file."""
    predictor = opened()
    for number, line in enumerate(sys.stdin, start=1):
        text = (line.removeprefix("\ufeff") if number == 1 else line).rstrip("\n")
        try:
            yield {}, asdict(predictor.predict([_input(text, predictor.lists)])[0])
        except DataError as error:
            places = [replace(problem, where=f"standard input:{number}") for problem in error.problems]
            raise DataError(*places) from error
    _tell_cut(predictor, say)


def _input(line: str, lists: Callable[[Any], bool]) -> Any:
    """What a line holds: a JSON object, a list that is an input of the run, or else a text."""
    if line.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            held = json.loads(line)
            return held if isinstance(held, dict) or lists(held) else line
    return line


def _flat(given: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The row with one column for each probability, and what is a list as JSON."""
    flat: dict[str, Any] = {}
    for name, cell in answer.items():
        if name == "probabilities":
            flat |= {f"p({label})": value for label, value in cell.items()}
        else:
            flat[name] = cell
    row = _beside(given, flat)
    return {name: _told(cell) if isinstance(cell, list | dict) else cell for name, cell in row.items()}


def _told(cell: Any) -> str:
    """JSON; of a date and the like the text."""
    return json.dumps(cell, ensure_ascii=False, default=str)


def _csv(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = None
        for given, answer in rows:
            row = _flat(given, answer)
            if writer is None:
                writer = csv.writer(file)
                writer.writerow(map(_safe, row))
            writer.writerow(map(_safe, row.values()))


def _safe(cell: Any) -> Any:
    """A text that begins like a formula is quoted: a spreadsheet would run it (OWASP: CSV injection).

    Numbers, and signs alone, are no formulas.
    """
    harmless = not isinstance(cell, str) or not cell.startswith(FORMULA) or HARMLESS.fullmatch(cell)
    return cell if harmless else f"'{cell}"


def _jsonl(path: Path, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for given, answer in rows:
            file.write(_told(_beside(given, answer)) + "\n")


def _parquet(path: Path, rows: Iterator[Row]) -> None:
    """Writes groups of rows; a column of one kind of cells in the first group keeps it, any other is text."""
    from pyarrow import parquet

    writer, held = None, []
    for given, answer in rows:
        held.append(_flat(given, answer))
        if len(held) == ROWS:
            writer = _group(path, writer, held, parquet)
            held = []
    if held or writer is None:
        writer = _group(path, writer, held, parquet)
    writer.close()


def _group(path: Path, writer: Any, held: list[dict[str, Any]], parquet: Any) -> Any:
    import pyarrow

    names = writer.schema.names if writer is not None else list(held[0]) if held else []
    kinds = [_kind(pyarrow, writer, [row[name] for row in held], name) for name in names]
    columns = []
    for name, kind in zip(names, kinds, strict=True):
        cells = [row[name] for row in held]
        if kind == pyarrow.string():
            cells = [cell if cell is None or isinstance(cell, str) else _told(cell) for cell in cells]
        try:
            columns.append(pyarrow.array(cells).cast(kind))  # safe: 1.5 is not cut to 1
        except (pyarrow.ArrowException, OverflowError, TypeError) as error:
            what = f"the column {name!r} holds cells of several kinds, which a Parquet file cannot"
            fix = "Write a .jsonl or a .csv file instead"
            raise DataError(
                Problem(str(path.name).removesuffix(".partial"), what, str(error)[:80], fix)
            ) from error
    table = pyarrow.table(dict(zip(names, columns, strict=True)))
    if writer is None:
        writer = parquet.ParquetWriter(path, table.schema)
    writer.write_table(table)
    return writer


def _kind(pyarrow: Any, writer: Any, cells: list[Any], name: str) -> Any:
    """The type of a column: as it was begun, else that of its cells; text where they are of several kinds."""
    if writer is not None:
        return writer.schema.field(name).type
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int, float}:
        return pyarrow.float64()
    return pyarrow.infer_type(cells) if len(kinds) == 1 else pyarrow.string()
