"""Predictions for files and pipes: read, answered and written as a stream."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attune import rundir
from attune.data import read
from attune.errors import DataError, Problem, RecipeError, nearest
from attune.predictor import Prediction, open_run

SUFFIXES = (".csv", ".jsonl", ".parquet")
ROWS = 4096  # rows of a Parquet group
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(name: str, source: str, *, column: str = "", out: str = "") -> None:
    """Answers the texts of a file, or of standard input (`-`), into a file or as JSON lines to standard output.

    Raises:
        RecipeError: for an output of unknown kind.
        DataError: when the input has no such column.
    """
    if out and Path(out).suffix.lower() not in SUFFIXES:
        raise RecipeError(
            Problem("--out", "cannot be written", repr(out), f"Use one of {', '.join(SUFFIXES)}")
        )
    texts = _texts(name, source, column)
    rows = _rows(texts, open_run(name).stream(texts) if isinstance(texts, list) else _piped(name, texts))
    if not out:
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        return
    path, kind = Path(out), Path(out).suffix.lower()
    partial = path.with_name(f"{path.name}.partial")
    try:
        {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[kind](partial, rows)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _texts(name: str, source: str, column: str) -> list[str] | None:
    if source == "-":
        return None
    table = read.read(source)
    wanted = column or rundir.find(name).read("data.json")["roles"]["text"]
    if wanted not in table.columns:
        fix = f"{nearest(wanted, table.columns)} Name it: --text COLUMN; there are {', '.join(table.columns)}"
        raise DataError(Problem(source, f"no column {wanted!r}", fix=fix.strip()))
    return ["" if text is None else str(text) for text in table.column(wanted)]


def _piped(name: str, _: None) -> Iterator[Prediction]:
    """Answers each line as it comes."""
    predictor = open_run(name)
    for line in sys.stdin:
        yield from predictor.predict([line.rstrip("\n")])


def _rows(texts: list[str] | None, answers: Iterable[Prediction]) -> Iterator[dict[str, Any]]:
    for number, answer in enumerate(answers):
        row: dict[str, Any] = {} if texts is None else {"text": texts[number]}
        yield {
            **row,
            "label": answer.label,
            "probability": answer.probability,
            "probabilities": answer.probabilities,
        }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "text": row.get("text", ""),
        "label": row["label"],
        "probability": row["probability"],
        **{f"p({label})": value for label, value in row["probabilities"].items()},
    }


def _csv(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = None
        for row in map(_flat, rows):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            # a spreadsheet would run a text that begins like a formula (OWASP: CSV injection)
            unsafe = str(row["text"]).startswith(FORMULA)
            writer.writerow({**row, "text": f"'{row['text']}" if unsafe else row["text"]})


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
    table = pyarrow.Table.from_pylist(held)
    writer = writer or parquet.ParquetWriter(path, table.schema)
    writer.write_table(table)
    return writer
