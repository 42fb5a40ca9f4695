"""Parquet files and data sets of the `datasets` library; numbers of classes become their names."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import IO, Any

from attune.data.problems import some
from attune.data.stored import Writer
from attune.data.table import Content, Table
from attune.errors import DataError, MachineError, Problem

BATCH = 1000  # rows that are read at a time
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(:[\w.-]+)?")


def parse(file: IO[bytes], name: str) -> Content:
    """The columns of a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        held = parquet.ParquetFile(file)
        columns = held.schema_arrow.names
        _check(columns, held.metadata.num_rows, name)
        classes = _classes(held.schema_arrow.metadata or {})
        writers = {column: Writer() for column in columns}
        for group in range(held.num_row_groups):  # of several it would keep what it has read
            for batch in held.iter_batches(BATCH, row_groups=[group]):
                for column, values in zip(columns, batch.columns, strict=True):
                    writers[column].extend(_named(values.to_pylist(), classes.get(column)))
    except (pyarrow.ArrowException, OSError) as error:
        fix = "Write it again, for instance with DataFrame.to_parquet."
        raise DataError(Problem(name, "not a whole Parquet file", _first_line(error), fix)) from error
    cells = {column: writer.whole() for column, writer in writers.items()}
    return Content(tuple(columns), cells, range(1, held.metadata.num_rows + 1))


def _check(columns: list[str], rows: int, name: str) -> None:
    """Raises for columns of one name, and for a file without rows."""
    twice = [column for column, times in Counter(columns).items() if times > 1]
    if twice:
        fix = "Give each column a name of its own."
        raise DataError(Problem(name, f"more than one column is called {some(twice)}", fix=fix))
    if not rows:
        raise DataError(Problem(name, "holds no rows", some(columns), "Give a file with rows."))


def is_saved(folder: Path) -> bool:
    """True for a folder that `save_to_disk` wrote."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    )


def saved(folder: Path) -> dict[str, Table]:
    """The splits of a folder that `save_to_disk` wrote, by their names there; one alone is `train`."""
    datasets = _library()
    try:
        held = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        fix = "Save it again with save_to_disk."
        raise DataError(
            Problem(str(folder), "not a whole saved data set", _first_line(error), fix)
        ) from error
    if not isinstance(held, dict):
        return {"train": _table(str(folder), held)}
    return {str(split): _table(f"{folder}/{split}", rows) for split, rows in held.items()}


def hub(source: str) -> dict[str, Table]:
    """The splits of a data set of the hub, `name`, `org/name` or `name:configuration`; its code is never run.

    Raises:
        DataError: when there is none of that name, or the hub cannot be reached.
    """
    datasets = _library()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every attempt
    name, _, configuration = source.partition(":")
    try:
        held = datasets.load_dataset(name, configuration or None)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(_unavailable(source, error)) from error
    return {str(split): _table(f"{name}/{split}", rows) for split, rows in held.items()}


def _unavailable(source: str, error: Exception) -> Problem:
    """Why no rows came from the hub, and what to do."""
    message = _first_line(error)
    if "onfig name is missing" in str(error):
        known = re.findall(r"'([^']+)'", str(error).partition("[")[2].partition("]")[0])
        fix = f"Name one of its configurations: {source}:{known[0] if known else 'NAME'}"
        return Problem(source, "this data set has several configurations", some(known), fix)
    if isinstance(error, (ConnectionError, FileNotFoundError)):
        what = "no such file or folder, and no data set of that name on the hub or in its cache"
        fix = "Check the path; for a data set of the hub, check its name and the connection."
        return Problem(source, what, message, fix)
    fix = "Export its rows to CSV, JSON lines or Parquet and give that file."
    return Problem(source, "this data set of the hub cannot be loaded", message, fix)


def _library() -> Any:
    """The `datasets` package, which takes a second to import."""
    try:
        import datasets
    except ImportError as error:
        fix = "pip install datasets"
        raise MachineError(
            Problem("", "data sets of the hub need the package `datasets`", fix=fix)
        ) from error
    return datasets


def _table(path: str, rows: Any) -> Table:
    """One split; what its features call a class stands in the cells by name."""
    rows = rows.with_format(None)
    writers = {column: Writer() for column in rows.features}
    if not len(rows):
        raise DataError(Problem(path, "holds no rows", some(list(writers)), "Give a data set with rows."))
    digest = hashlib.sha256()
    for batch in rows.iter(batch_size=BATCH):
        digest.update(json.dumps(batch, default=str).encode())
        for column, feature in rows.features.items():
            inner = getattr(feature, "feature", feature)
            writers[column].extend(_named(batch[column], getattr(inner, "names", None)))
    cells = {column: writer.whole() for column, writer in writers.items()}
    return Table(path, tuple(cells), cells, range(1, len(rows) + 1), digest.hexdigest())


def _classes(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the classes that `datasets` wrote into a Parquet file, by column."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return {column: names for column, feature in features.items() if (names := _class_names(feature))}


def _class_names(feature: Any) -> list[str] | None:
    """The names of a class, or of the classes in a list, as the metadata have them."""
    if isinstance(feature, list) and feature:
        return _class_names(feature[0])
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        return feature.get("names")
    return _class_names(feature.get("feature"))


def _named(values: list[Any], names: list[str] | None) -> list[Any]:
    """Class numbers as names, in lists too; a negative one, as in tests whose labels are kept back, is none."""
    if not names:
        return values
    if any(isinstance(value, list) for value in values):
        return [None if value is None else _named(value, names) for value in values]
    if odd := [value for value in values if value is not None and value >= len(names)]:
        what = "a class number without a name"
        raise DataError(
            Problem("", what, f"{odd[0]} of the names {some(names)}", "Write the data set again.")
        )
    return [None if value is None or value < 0 else names[value] for value in values]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
