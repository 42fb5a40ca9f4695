"""CSV and TSV, strictly: every cell arrives as the text that stands in the file, or its line is named.

Nothing is stripped, nothing becomes a number or a missing value. Which character parts the fields, and
whether the first line names the columns, is told from the file; what was not obvious stands in the notes.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from attune.data.document import Document
from attune.data.looks import known_name, telling_name
from attune.data.problems import count, listed, shown, some
from attune.data.stored import Writer
from attune.data.table import Content
from attune.errors import DataError, Problem

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
USUAL = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
SAMPLE = 1 << 16  # characters from which the delimiter is told
LONGEST_NAME = 40  # characters; a first cell longer than that is text, not the name of a column
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


class _Reader:
    """The rows with the line that each starts on, up to the first place where the quotes do not close."""

    def __init__(self, lines: Iterable[str], delimiter: str, *, longest: int, quoted: bool = True) -> None:
        self.lines, self.delimiter, self.longest, self.quoted = lines, delimiter, longest, quoted
        self.broken: tuple[int, str] | None = None  # (line, the csv module's reason)
        self.blank = 0  # empty lines between rows

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        start, blank = 1, 0
        with LIMIT.raised(self.longest):
            reader = csv.reader(
                self.lines,
                delimiter=self.delimiter,
                quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,  # where a quote is a letter
                strict=True,
            )
            try:
                for row in reader:
                    if row:
                        yield start, row
                        self.blank, blank = self.blank + blank, 0
                    else:
                        blank += 1
                    start = reader.line_num + 1
            except csv.Error as error:
                self.broken = (start, str(error))


class _Tally:
    """What one pass over all rows finds."""

    def __init__(self, document: Document, delimiter: str, *, quoted: bool = True) -> None:
        self.quoted = quoted
        self.first: list[str] = []
        self.line = 0  # on which the first row starts
        self.widths: Counter[int] = Counter()
        self.below: set[str] = set()  # cells of the first row that stand in a later one, in any column
        self.again: set[int] = set()  # columns whose first cell stands below it, the header come again apart
        rows = _rows(document, delimiter, quoted=quoted)
        for line, row in rows:
            self.line = self.line or line
            self._add(row)
        self.broken, self.blank = rows.broken, rows.blank

    def __len__(self) -> int:
        return self.widths.total()

    def _add(self, row: list[str]) -> None:
        if not self.widths:
            self.first, self._names = row, set(row)
        elif not self._names.isdisjoint(row):
            self.below |= self._names.intersection(row)
            if row != self.first:
                cells = enumerate(zip(self.first, row, strict=False))
                self.again |= {at for at, (first, cell) in cells if first == cell}
        self.widths[len(row)] += 1


def parse(document: Document, *, suffix: str) -> Content:
    """The columns of a delimited file.

    Raises:
        DataError: for a file without rows, rows of other lengths than the first, names that stand twice.
    """
    name = document.name
    if document.blank:
        raise DataError(Problem(name, "the file is empty", fix="Give a file with a header and rows."))
    delimiter = _delimiter(document.head, suffix)
    found, notes = _tally(document, delimiter)
    if delimiter != USUAL[suffix]:
        notes.append(f"{name} parts its fields by a {DELIMITERS[delimiter]}.")
    if found.blank:
        notes.append(f"{name}: {count(found.blank, 'empty line')} skipped.")
    header = len(found) > 0 and _is_header(found)
    columns = _names(found, name, notes) if header else _numbers(found, name, notes)
    cells, lines = _cells(document, delimiter, found, columns, header=header)
    if not lines:
        raise DataError(
            Problem(name, "has a header and no rows", some(columns), "Add rows below the header.")
        )
    return Content(columns, cells, lines, tuple(notes))


def _rows(document: Document, delimiter: str, *, quoted: bool) -> _Reader:
    """The rows of the whole file."""
    return _Reader(document.lines(""), delimiter, longest=document.size, quoted=quoted)


class _Limit:
    """The csv module's one limit on fields, raised while anybody reads a file with longer ones, then as it was."""

    def __init__(self) -> None:
        self.lock, self.readers, self.before = Lock(), 0, 0

    @contextmanager
    def raised(self, length: int) -> Iterator[None]:
        """Lets a field be so long; others may read at the same time."""
        with self.lock:
            self.before = self.before if self.readers else csv.field_size_limit()
            self.readers += 1
            longest = min(length + 1, 2**31 - 1)  # a C long, which has 32 bits on some systems
            csv.field_size_limit(max(longest, csv.field_size_limit()))
        try:
            yield
        finally:
            with self.lock:
                self.readers -= 1
                if not self.readers:
                    csv.field_size_limit(self.before)


LIMIT = _Limit()


def _delimiter(text: str, suffix: str) -> str:
    """The character that gives most rows of the sample as many fields as the first; the usual one if near."""
    usual = USUAL[suffix]
    if suffix == ".txt":
        return usual  # prose has commas
    sample = text[:SAMPLE]
    if len(text) > SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    scores = {
        delimiter: max(_regular(sample, delimiter, quoted=quoted) for quoted in (True, False))
        for delimiter in DELIMITERS
    }
    best = max(scores, key=lambda delimiter: scores[delimiter])
    return best if scores[best] > scores[usual] + 0.05 else usual


def _regular(sample: str, delimiter: str, *, quoted: bool) -> float:
    """The share of rows with as many fields as the first; 0 where that has only one."""
    lines = io.StringIO(sample, newline="")
    widths = [len(row) for _, row in _Reader(lines, delimiter, longest=len(sample), quoted=quoted)]
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _tally(document: Document, delimiter: str) -> tuple[_Tally, list[str]]:
    """The rows, counted; a tab file whose quotes are plain letters, as in GLUE, is read so, and a note says it."""
    quoted = _Tally(document, delimiter)
    if delimiter != "\t" or not document.holds('"'):
        return quoted, []
    plain = _Tally(document, delimiter, quoted=False)
    if len(plain.widths) > 1:
        return quoted, []
    # Quotes that swallow lines, each of them a regular row, were letters.
    if quoted.broken or len(quoted.widths) > 1 or len(quoted) != len(plain):
        what = "quote characters are part of the text, for they do not enclose whole fields."
        return plain, [f"{document.name}: {what}"]
    return quoted, []


def _is_header(found: _Tally) -> bool:
    """True where the first row names the columns: short, no number, no value that comes again below."""
    first, again = found.first, found.again
    named = [cell for at, cell in enumerate(first) if known_name(cell) and at not in again]
    if any(map(telling_name, named)) or (named and not again):
        return True
    if any(len(cell) > LONGEST_NAME or NUMBER.fullmatch(cell.strip()) for cell in first):
        return False
    empty = sum(not cell.strip() for cell in first)
    return empty <= 1 and len(first) > empty and not again


def _names(found: _Tally, name: str, notes: list[str]) -> tuple[str, ...]:
    """The column names of the header; blanks around them go, columns without a name are numbered."""
    names = tuple(cell.strip() for cell in found.first)
    twice = [cell for cell, times in Counter(names).items() if times > 1 and cell]
    if twice:
        what, fix = f"more than one column is called {some(twice)}", "Give each column a name of its own."
        raise DataError(Problem(f"{name}:{found.line}", what, ", ".join(names), fix))
    if names != tuple(found.first):
        notes.append(f"{name}: blanks around the names of columns are left out.")
    if not any(map(known_name, names)) or any(map(str.strip, found.below)):
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


def _numbers(found: _Tally, name: str, notes: list[str]) -> tuple[str, ...]:
    """`column1` and so on, for as many fields as most rows have."""
    width = found.widths.most_common(1)[0][0] if found.widths else 0
    if width:
        called = "column1" if width == 1 else f"column1 to column{width}"
        notes.append(f"{name} has no header; its columns are called {called}.")
    return tuple(f"column{i}" for i in range(1, width + 1))


def _cells(
    document: Document, delimiter: str, found: _Tally, columns: tuple[str, ...], *, header: bool
) -> tuple[dict[str, Sequence[Any]], array[int]]:
    """(the cells by column, the lines on which the rows start).

    Raises with every row of another length than expected, every header come again, and broken quoting.
    """
    name, problems, lines = document.name, list[Problem](), array("q")
    mend = f"Put quotes around a text that holds a {DELIMITERS[delimiter]}, and double the quotes within it."
    writers = [Writer() for _ in columns]
    for number, (line, row) in enumerate(_rows(document, delimiter, quoted=found.quoted)):
        if len(row) != len(columns):
            what = f"{count(len(row), 'field')}, expected {len(columns)} ({', '.join(columns)})"
            problems.append(Problem(f"{name}:{line}", what, shown(delimiter.join(row)), mend))
        elif header and number and row == found.first:
            problems.append(
                Problem(f"{name}:{line}", "the header stands here again", fix="Delete this line.")
            )
        elif number or not header:
            lines.append(line)
            for writer, cell in zip(writers, row, strict=True):
                writer.append(cell)
    problems += [_broken(name, *found.broken)] if found.broken else []
    if problems:
        raise DataError(*listed(problems))
    return {column: writer.whole() for column, writer in zip(columns, writers, strict=True)}, lines


def _broken(name: str, line: int, reason: str) -> Problem:
    """Quotes that do not close."""
    what = (
        "a quote opens in this row and never closes"
        if "unexpected end" in reason
        else "text after a closing quote"
    )
    return Problem(f"{name}:{line}", what, fix='Double a quote that is part of a text: "a 5"" screen".')
