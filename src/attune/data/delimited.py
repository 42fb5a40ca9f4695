"""CSV and TSV, strictly: every cell arrives as the text that stands in the file, or the line is named.

Nothing is stripped and nothing becomes a number or a missing value. Which character parts the fields and
whether the first line holds names is told from the file; what was not obvious stands in the notes.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from threading import Lock

from attune.data.problems import count, listed, shown, some
from attune.data.roles import known_name
from attune.errors import DataError, Problem

NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
USUAL = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SAMPLE = 1 << 16  # characters from which the delimiter is told
LONGEST_NAME = 40  # characters; a longer first cell is text, not the name of a column
_field_limit = Lock()  # the csv module keeps the length limit of a field for the whole process


@dataclass
class Parsed:
    """Raw rows with the line each starts on, and where quoting went wrong."""

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: tuple[int, str] | None = None  # (line, reason)
    blank: int = 0  # empty lines before the last row


def parse(text: str, path: str, suffix: str) -> tuple[tuple[str, ...], list[list[str]], list[int], tuple[str, ...]]:
    """(column names, cells by column, line of each row, notes) of a delimited file."""
    name = PurePath(path).name
    if not text.strip():
        raise DataError(Problem(name, "the file is empty", fix="Give a file with a header and rows."))
    delimiter = _delimiter(text, suffix)
    parsed, notes = _rows(text, delimiter, name)
    if not parsed.rows and not parsed.broken:
        raise DataError(Problem(name, "the file is empty", fix="Give a file with a header and rows."))
    if delimiter != USUAL[suffix] and len(parsed.rows[0]) > 1:
        notes.append(f"{name} parts its fields by a {NAMES[delimiter]}.")
    if parsed.blank:
        notes.append(f"{name}: {count(parsed.blank, 'empty line')} skipped.")
    columns = _header(parsed.rows, name, notes)
    if columns:
        _check_header(parsed, name)
        rows, lines = parsed.rows[1:], parsed.lines[1:]
    else:
        rows, lines = parsed.rows, parsed.lines
        columns = tuple(f"column{i}" for i in range(1, _width(rows) + 1))
        notes.append(f"{name} has no header; its columns are called {columns[0]} to {columns[-1]}.")
    _check_rows(Parsed(rows, lines, parsed.broken), columns, name, delimiter)
    if not rows:
        raise DataError(Problem(name, "holds a header and no rows", f"the columns {some(columns)}", "Add rows below it."))
    return columns, [list(cells) for cells in zip(*rows, strict=True)], lines, tuple(notes)


@contextmanager
def _long_fields(length: int) -> Iterator[None]:
    """Lets fields be as long as the file."""
    with _field_limit:
        before = csv.field_size_limit(max(length + 1, csv.field_size_limit()))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _parsed(text: str, delimiter: str, *, quoted: bool = True) -> Parsed:
    """All rows up to the first place where the quotes do not close; with `quoted` off a quote is a letter."""
    found = Parsed()
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    start, blank = 1, 0
    with _long_fields(len(text)):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, quoting=quoting)
        try:
            for row in reader:
                if row:
                    found.rows.append(row)
                    found.lines.append(start)
                    found.blank, blank = found.blank + blank, 0
                else:
                    blank += 1
                start = reader.line_num + 1
        except csv.Error as error:
            found.broken = (start, str(error))
    return found


def _width(rows: list[list[str]]) -> int:
    """The number of fields that most rows have."""
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 0


def _delimiter(text: str, suffix: str) -> str:
    """The character that gives most rows of the sample as many fields as the first; the usual one wins ties."""
    usual = USUAL[suffix]
    if suffix == ".txt":
        return usual
    sample = text[:SAMPLE]
    if len(text) > SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, best_share = usual, 0.0
    for delimiter in [usual, *(d for d in NAMES if d != usual)]:
        share = max(_regular(_parsed(sample, delimiter)), _regular(_parsed(sample, delimiter, quoted=False)))
        if share > best_share + (0.05 if best == usual else 0):
            best, best_share = delimiter, share
    return best


def _regular(parsed: Parsed) -> float:
    """Share of the rows with as many fields as the first; 0 where the first has one field."""
    widths = [len(row) for row in parsed.rows]
    if not widths or widths[0] < 2:
        return 0.0
    return sum(width == widths[0] for width in widths) / len(widths)


def _rows(text: str, delimiter: str, name: str) -> tuple[Parsed, list[str]]:
    """The rows; tab files whose quotes are plain letters (as in GLUE) are read as such."""
    quoted = _parsed(text, delimiter)
    if delimiter != "\t" or '"' not in text:
        return quoted, []
    plain = _parsed(text, delimiter, quoted=False)
    regular = len(set(map(len, plain.rows))) == 1
    # Quotes that swallow whole regular lines were letters: such a file has more rows without quoting.
    if regular and (quoted.broken or len(quoted.rows) != len(plain.rows)):
        note = f"{name}: quote characters are read as part of the text, because they do not enclose whole fields."
        return plain, [note]
    return quoted, []


def _header(rows: list[list[str]], name: str, notes: list[str]) -> tuple[str, ...]:
    """The column names on the first line, or nothing where it is a row like the others."""
    if not rows or not _is_header(rows):
        return ()
    names = tuple(cell.strip() for cell in rows[0])
    if names != tuple(rows[0]):
        notes.append(f"{name}: blanks around column names were taken off.")
    if not any(map(known_name, names)):
        notes.append(f"{name}: the first line was taken as the names of the columns: {some(names)}.")
    named = tuple(cell or f"column{i}" for i, cell in enumerate(names, 1))
    if named != names:
        notes.append(f"{name}: a column without a name is called {some([n for n in named if n not in names])}.")
    return named


def _is_header(rows: list[list[str]]) -> bool:
    """True where the first row names columns: short, no numbers, and not values that come again below."""
    first = [cell.strip() for cell in rows[0]]
    if any(map(known_name, first)) and not any(len(cell) > 2 * LONGEST_NAME for cell in first):
        return not _comes_again(rows, by=known_name)
    if any(len(cell) > LONGEST_NAME or re.fullmatch(r"[-+]?\d+([.,]\d+)?", cell) for cell in first):
        return False
    return len([cell for cell in first if not cell]) <= 1 and not _comes_again(rows)


def _comes_again(rows: list[list[str]], by: object = None) -> bool:
    """True where a cell of the first row is a value of its column further down (a copy of the whole row aside)."""
    first = rows[0]
    below = [row for row in rows[1:] if row != first]
    for index, cell in enumerate(first):
        if cell and any(len(row) > index and row[index] == cell for row in below):
            return True
    return False


def _check_header(parsed: Parsed, name: str) -> None:
    """Raises where two columns have one name."""
    names = [cell.strip() for cell in parsed.rows[0]]
    twice = [cell for cell, n in Counter(names).items() if n > 1 and cell]
    if twice:
        where = f"{name}:{parsed.lines[0]}"
        raise DataError(Problem(where, f"two columns are called {some(twice)}", fix="Give each column its own name."))


def _check_rows(parsed: Parsed, columns: tuple[str, ...], name: str, delimiter: str) -> None:
    """Raises with every row that has too few or too many fields and with the place where quoting breaks."""
    problems = []
    mend = f'Put quotes around a text that holds a {NAMES[delimiter]} (and double the quotes within): "so, it is ""good"""'
    for row, line in zip(parsed.rows, parsed.lines, strict=True):
        if len(row) != len(columns):
            what = f"{count(len(row), 'field')}, expected {len(columns)} ({', '.join(columns)})"
            problems.append(Problem(f"{name}:{line}", what, shown(delimiter.join(row)), mend))
    if parsed.broken:
        line, reason = parsed.broken
        unclosed = "unexpected end" in reason
        what = "a quote opens here and never closes" if unclosed else "text follows a closing quote"
        problems.append(Problem(f"{name}:{line}", what, fix='Double a quote that is part of the text: "5"" screen".'))
    if problems:
        raise DataError(*listed(problems))
