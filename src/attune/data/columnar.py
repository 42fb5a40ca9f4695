"""Parquet files and Hugging Face data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attune.data.table import Table
from attune.errors import DataError, Problem


def parquet(path: Path, digest: str) -> Table:
    """The rows of a Parquet file.

    Raises:
        DataError: for a file that is none.
    """
    import pyarrow
    from pyarrow import parquet as reader

    try:
        held = reader.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(Problem(str(path), "is not a Parquet file", str(error).split("\n")[0][:80])) from error
    cells = {name: held.column(name).to_pylist() for name in held.column_names}
    return Table(str(path), tuple(held.column_names), cells, list(range(1, held.num_rows + 1)), digest)


def saved(folder: Path) -> dict[str, Table]:
    """The splits of a folder that `save_to_disk` wrote, by the names they have there."""
    import datasets

    held = datasets.load_from_disk(str(folder))
    splits = held if isinstance(held, datasets.DatasetDict) else {"train": held}
    return {str(name): _table(f"{folder}/{name}", split) for name, split in splits.items()}


def hub(name: str) -> dict[str, Table]:
    """The splits of a data set of the hub; its code, if it has any, is never run.

    Raises:
        DataError: when the hub does not have it or cannot be reached.
    """
    import datasets

    try:
        held = datasets.load_dataset(name)
    except Exception as error:  # the hub's client raises many kinds; all mean that there are no rows
        what = "there is no such file or folder, and no data set of this name could be had from the hub"
        found = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}" if str(error) else type(error).__name__
        raise DataError(Problem(name, what, found)) from error
    return {str(split): _table(f"{name}/{split}", rows) for split, rows in held.items()}


def _table(place: str, split: Any) -> Table:
    from datasets import ClassLabel

    cells: dict[str, list[Any]] = {}
    for name, feature in split.features.items():
        values = list(split[name])
        if isinstance(feature, ClassLabel):
            values = [None if value is None or value < 0 else feature.int2str(value) for value in values]
        cells[name] = values
    lines = list(range(1, len(split) + 1))
    return Table(place, tuple(split.features), cells, lines, str(split._fingerprint))
