"""CSV and TSV, strictly: every cell arrives as the text that stands in the file, or its line is named.

Nothing is stripped, nothing becomes a number or a missing value. Which character parts the fields, and
whether the first line names the columns, is told from the file; what was not obvious stands in the notes.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from attune.data.looks import known_name, telling_name
from attune.data.problems import count, listed, shown, some
from attune.data.table import Content
from attune.errors import DataError, Problem

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
USUAL = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
SAMPLE = 1 << 16  # characters from which the delimiter is told
LONGEST_NAME = 40  # characters; a first cell longer than that is text, not the name of a column
# lines one after the other: io.StringIO would copy the text at four bytes a character
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_limit = Lock()  # the csv module has one limit on the length of a field, for the whole process


@dataclass
class Rows:
    """Raw rows with the line that each starts on, and where quoting went wrong."""

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: tuple[int, str] | None = None  # (line, the csv module's reason)
    blank: int = 0  # empty lines between rows

    def __len__(self) -> int:
        return len(self.rows)


def parse(text: str, name: str, *, suffix: str) -> Content:
    """The columns of a delimited file called `name`.

    Raises:
        DataError: for a file without rows, rows of other lengths than the first, names that stand twice.
    """
    if not text.strip():
        raise DataError(Problem(name, "the file is empty", fix="Give a file with a header and rows."))
    delimiter = _delimiter(text, suffix)
    found, notes = _rows(text, delimiter, name)
    if delimiter != USUAL[suffix]:
        notes.append(f"{name} parts its fields by a {DELIMITERS[delimiter]}.")
    if found.blank:
        notes.append(f"{name}: {count(found.blank, 'empty line')} skipped.")
    header = bool(found) and _is_header(found.rows)
    columns = _names(found, name, notes) if header else _numbers(found, name, notes)
    _check(found, columns, name, delimiter=delimiter, header=header)
    rows, lines = (found.rows[1:], found.lines[1:]) if header else (found.rows, found.lines)
    if not rows:
        raise DataError(
            Problem(name, "has a header and no rows", some(columns), "Add rows below the header.")
        )
    cells = {column: list(cells) for column, cells in zip(columns, zip(*rows, strict=True), strict=True)}
    return Content(columns, cells, lines, tuple(notes))


@contextmanager
def _long_fields(length: int) -> Iterator[None]:
    """Lets a field be as long as the file."""
    with _limit:
        before = csv.field_size_limit()
        csv.field_size_limit(max(length + 1, before))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _parsed(text: str, delimiter: str, *, quoted: bool = True) -> Rows:
    """The rows up to the first place where the quotes do not close; with `quoted` off a quote is a letter."""
    found, start, blank = Rows(), 1, 0
    with _long_fields(len(text)):
        reader = csv.reader(
            (found.group() for found in LINE.finditer(text)),
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=True,
        )
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


def _delimiter(text: str, suffix: str) -> str:
    """The character that gives most rows of the sample as many fields as the first; the usual one if near."""
    usual = USUAL[suffix]
    if suffix == ".txt":
        return usual  # prose has commas
    sample = text[:SAMPLE]
    if len(text) > SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    scores = {
        delimiter: max(_regular(_parsed(sample, delimiter, quoted=quoted)) for quoted in (True, False))
        for delimiter in DELIMITERS
    }
    best = max(scores, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > scores[usual] + 0.05 else usual


def _regular(found: Rows) -> float:
    """The share of rows with as many fields as the first; 0 where that has only one."""
    widths = [len(row) for row in found.rows]
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _rows(text: str, delimiter: str, name: str) -> tuple[Rows, list[str]]:
    """The rows; a tab file whose quotes are plain letters, as in GLUE, is read as such and a note says so."""
    quoted = _parsed(text, delimiter)
    if delimiter != "\t" or '"' not in text:
        return quoted, []
    plain = _parsed(text, delimiter, quoted=False)
    if len(set(map(len, plain.rows))) > 1:
        return quoted, []
    # Quotes that swallow lines, each of them a regular row, were letters.
    if quoted.broken or len(set(map(len, quoted.rows))) > 1 or len(quoted) != len(plain):
        note = f"{name}: quote characters are part of the text, for they do not enclose whole fields."
        return plain, [note]
    return quoted, []


def _is_header(rows: list[list[str]]) -> bool:
    """True where the first row names the columns: short, no number, no value that comes again below."""
    first = rows[0]
    below = [row for row in rows[1:] if row != first]
    again = [any(len(row) > i and row[i] == cell for row in below) for i, cell in enumerate(first)]
    named = [cell for cell, twice in zip(first, again, strict=True) if known_name(cell) and not twice]
    if any(map(telling_name, named)) or (named and not any(again)):
        return True
    if any(len(cell) > LONGEST_NAME or NUMBER.fullmatch(cell.strip()) for cell in first):
        return False
    empty = sum(not cell.strip() for cell in first)
    return empty <= 1 and len(first) > empty and not any(again)


def _names(found: Rows, name: str, notes: list[str]) -> tuple[str, ...]:
    """The column names of the header; blanks around them go, columns without a name are numbered."""
    names = tuple(cell.strip() for cell in found.rows[0])
    twice = [cell for cell, times in Counter(names).items() if times > 1 and cell]
    if twice:
        what, fix = f"more than one column is called {some(twice)}", "Give each column a name of its own."
        raise DataError(Problem(f"{name}:{found.lines[0]}", what, ", ".join(names), fix))
    if names != tuple(found.rows[0]):
        notes.append(f"{name}: blanks around the names of columns are left out.")
    below = {cell for row in found.rows[1:] for cell in row}
    if not any(map(known_name, names)) or any(cell in below for cell in found.rows[0] if cell.strip()):
        notes.append(f"{name}: the first line is read as the names of the columns, {some(names)}.")
    numbered = tuple(cell or _unused(i, names) for i, cell in enumerate(names, 1))
    unnamed = [new for new, old in zip(numbered, names, strict=True) if not old]
    if unnamed:
        notes.append(f"{name}: columns without a name are called {some(unnamed)}.")
    return numbered


def _unused(number: int, names: tuple[str, ...]) -> str:
    """`column3`, or a longer name where that is taken."""
    name = f"column{number}"
    while name in names:
        name += "_"
    return name


def _numbers(found: Rows, name: str, notes: list[str]) -> tuple[str, ...]:
    """`column1` and so on, for as many fields as most rows have."""
    width = Counter(map(len, found.rows)).most_common(1)[0][0] if found else 0
    if width:
        called = "column1" if width == 1 else f"column1 to column{width}"
        notes.append(f"{name} has no header; its columns are called {called}.")
    return tuple(f"column{i}" for i in range(1, width + 1))


def _check(found: Rows, columns: tuple[str, ...], name: str, *, delimiter: str, header: bool) -> None:
    """Raises with every row of another length than expected, every header come again, and broken quoting."""
    problems = []
    mend = f"Put quotes around a text that holds a {DELIMITERS[delimiter]}, and double the quotes within it."
    for row, line in zip(found.rows, found.lines, strict=True):
        if len(row) != len(columns):
            what = f"{count(len(row), 'field')}, expected {len(columns)} ({', '.join(columns)})"
            problems.append(Problem(f"{name}:{line}", what, shown(delimiter.join(row)), mend))
        elif header and row == found.rows[0] and line != found.lines[0]:
            problems.append(
                Problem(f"{name}:{line}", "the header stands here again", fix="Delete this line.")
            )
    if found.broken:
        line, reason = found.broken
        what = (
            "a quote opens in this row and never closes"
            if "unexpected end" in reason
            else "text after a closing quote"
        )
        fix = 'Double a quote that is part of a text: "a 5"" screen".'
        problems.append(Problem(f"{name}:{line}", what, fix=fix))
    if problems:
        raise DataError(*listed(problems))
