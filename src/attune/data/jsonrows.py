"""JSON and JSON lines: objects become rows, values keep their types, what is not strictly JSON is named."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from attune.data.document import Document
from attune.data.problems import count, listed, shown, some
from attune.data.stored import Stored, Writer
from attune.data.table import Content
from attune.errors import DataError, Problem, nearest

BLANKS = " \t\r\n"
HALF = "\\ud"  # how the escape of half a surrogate pair begins


class _NotStrict(ValueError):
    """What Python takes for JSON and is not: a key that stands twice in one object, NaN."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise _NotStrict(f"the key {key!r} stands twice")
    return value


def _constant(name: str) -> None:
    raise _NotStrict(f"the value {name} does not exist in JSON, write null")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


class Rows:
    """The objects found so far, the line of each, and what was wrong on the way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: Sequence[int] = array("q")
        self.notes: tuple[str, ...] = ()
        self.problems: list[Problem] = []
        self._written = Writer()

    def __len__(self) -> int:
        return len(self._written)

    @cached_property
    def rows(self) -> Stored:
        """All objects; no more can be added."""
        return self._written.whole()

    def add(self, value: Any, line: int) -> None:
        """Keeps an object; any other value is a problem."""
        if isinstance(value, dict):
            assert isinstance(self.lines, array), "places are final"
            self._written.append(value)
            self.lines.append(line)
        else:
            fix = 'Write each row as an object: {"text": ..., "label": ...}'
            held = shown(json.dumps(value, ensure_ascii=False))
            self.problem(line, "not an object", found=held, fix=fix)

    def problem(self, line: int | str, what: str, *, found: str = "", fix: str = "") -> None:
        """Keeps a problem of a line."""
        self.problems.append(Problem(f"{self.name}:{line}", what, found, fix))


def rows(text: str, name: str) -> Rows:
    """The objects of a list, or those that stand one on each line.

    Raises:
        DataError: for what is not JSON (line and column), and values that are no objects.
    """
    if not text.strip(BLANKS):
        raise DataError(
            Problem(name, "the file is empty", fix="Give a list of objects, or one object on each line.")
        )
    found = Rows(name)
    if text.lstrip(BLANKS).startswith("["):
        _read_list(text, found)
    else:
        _read_lines(text.split("\n"), found, whole=text)
    return _checked(found, halves=HALF in text.lower())


def by_line(document: Document) -> Rows | None:
    """The objects of a file that has one on each line, as they are read; None where it cannot be told so.

    Raises:
        DataError: as `rows`.
    """
    first = list(islice((line for line in document.lines() if line.strip(BLANKS)), 2))
    if len(first) < 2 or single(first[0]) is None:
        return None
    found, halves = Rows(document.name), False

    def watched() -> Iterator[str]:
        nonlocal halves
        for line in document.lines():
            halves = halves or ("\\" in line and HALF in line.lower())
            yield line

    _read_lines(watched(), found)
    return _checked(found, halves=halves)


def _checked(found: Rows, *, halves: bool) -> Rows:
    """The same, with a problem for each row that holds half a character, where there may be such."""
    if not found.problems and halves:
        _find_surrogates(found)
    if not len(found) and not found.problems:
        found.problems.append(Problem(found.name, "holds no rows", fix="Add objects to the list."))
    if found.problems:
        raise DataError(*listed(found.problems))
    if len(found) > 1 and found.lines[0] == found.lines[-1]:
        found.lines = range(1, len(found) + 1)
        found.notes = (f"{found.name} stands on one line: places are the numbers of its objects.",)
    return found


def content(found: Rows) -> Content:
    """The columns of these objects.

    Raises:
        DataError: for objects whose keys differ.
    """
    columns = tuple(dict.fromkeys(key for row in found.rows for key in row))
    if not columns:
        fix = 'Write each row as an object: {"text": ..., "label": ...}'
        raise DataError(Problem(found.name, "no object has any key", f"{len(found):,} of {{}}", fix))
    _find_uneven(found, columns)
    if found.problems:
        raise DataError(*listed(found.problems))
    writers = {column: Writer() for column in columns}
    for row in found.rows:
        for column, writer in writers.items():
            writer.append(row[column])
    return Content(columns, {column: writer.whole() for column, writer in writers.items()}, found.lines)


def single(text: str) -> dict[str, Any] | None:
    """The object that is the whole file; None where more follows it, or it is none."""
    start = _skip(text, 0)
    if text[start : start + 1] != "{":
        return None
    try:
        value, end = _value(text, start)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and _skip(text, end) >= len(text) else None


def _value(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at `start` and where it ends; a JSONDecodeError for all that can be wrong with it."""
    try:
        return DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", text, start) from None
    except ValueError as error:  # a repeated key, a constant, a number of too many digits
        message = str(error) if isinstance(error, _NotStrict) else "A number with too many digits"
        raise json.JSONDecodeError(message, text, start) from None


def _skip(text: str, at: int) -> int:
    """The place of the next character that is no blank."""
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _read_lines(lines: Iterable[str], found: Rows, whole: str = "") -> None:
    """Reads one value a line; a single object over several lines, the `whole`, is no list of rows."""
    for number, raw in enumerate(lines, 1):
        line = raw.strip(BLANKS)
        if not line:
            continue
        try:
            value, end = _value(line, 0)
            if end < len(line):
                raise json.JSONDecodeError("More follows the object", line, end)
        except json.JSONDecodeError as error:
            if not len(found) and _one_object(whole, found):
                return
            column = error.colno + len(raw) - len(raw.lstrip(BLANKS))
            rest = line[error.pos :]
            held = shown(rest) if rest.strip() else "the end of the line"
            fix = 'Write one whole object on the line: {"text": ..., "label": ...}'
            found.problem(f"{number}:{column}", f"not JSON: {_lower(error.msg)}", found=held, fix=fix)
        else:
            found.add(value, number)


def _one_object(text: str, found: Rows) -> bool:
    """True, with the problem kept, where the whole file is one object."""
    value = single(text)
    if value is None:
        return False
    lists = [
        key for key, held in value.items() if isinstance(held, list) and held and isinstance(held[0], dict)
    ]
    fix = (
        f"Save the list under {lists[0]!r} as a file of its own."
        if lists
        else "Write a list of objects, one a row."
    )
    found.problem(1, "one object, not a list of objects", found=f"the keys {some(list(value))}", fix=fix)
    return True


def _read_list(text: str, found: Rows) -> None:
    """Reads the values of a list, each with the line it starts on; stops at the first that is broken."""
    at, line, counted = _skip(text, 0) + 1, 1, 0
    try:
        while (at := _skip(text, at)) < len(text) and text[at] != "]":
            line, counted = line + text.count("\n", counted, at), at
            value, at = _value(text, at)
            found.add(value, line)
            at = _skip(text, at)
            if text[at : at + 1] not in (",", "]"):
                raise json.JSONDecodeError("A comma or ] is missing", text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
                if text[at : at + 1] in ("]", ""):
                    raise json.JSONDecodeError("A value is missing after the comma", text, at)
        if at >= len(text):
            raise json.JSONDecodeError("The list is never closed", text, at)
        if _skip(text, at + 1) < len(text):
            raise json.JSONDecodeError("More follows the list", text, _skip(text, at + 1))
    except json.JSONDecodeError as error:
        place = f"{error.lineno}:{error.colno}"
        held = shown(text[error.pos : error.pos + 100])
        found.problem(place, f"not JSON: {_lower(error.msg)}", found=held)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _find_surrogates(found: Rows) -> None:
    """Names rows with half of a surrogate pair, which no file and no tokenizer can hold."""
    for row, line in zip(found.rows, found.lines, strict=True):
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            fix = r"Write the character whole, or as both of its \u escapes."
            found.problem(line, r"half of a character (a single \ud8.. or \udc.. escape)", fix=fix)


def _find_uneven(found: Rows, columns: tuple[str, ...]) -> None:
    """Names the rows that lack a key that most rows have, and those with a key that most lack."""
    having = Counter(key for row in found.rows for key in row)
    if all(times == len(found.rows) for times in having.values()):
        return
    usual = [column for column in columns if 2 * having[column] >= len(found.rows)]
    for row, line in zip(found.rows, found.lines, strict=True):
        missing = [key for key in usual if key not in row]
        extra = [key for key in row if key not in usual]
        if missing:
            hint = nearest(missing[0], extra)
            fix = (
                f"The key {missing[0]!r} is expected. {hint}"
                if hint
                else "Write null where there is no value."
            )
            what = f"no {some(missing)}, which other rows have"
            found.problem(line, what, found=f"the keys {some(list(row))}", fix=fix)
        elif extra:
            lacking = len(found.rows) - having[extra[0]]
            fix = "Write null where there is no value."
            found.problem(line, f"has {some(extra)}, which {count(lacking, 'other row')} lack", fix=fix)
