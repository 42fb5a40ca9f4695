"""Bytes as text: UTF-8 and UTF-16 by themselves, all else by name; never a guess that changes a letter."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath

from attune.data.problems import LONGEST, count, listed
from attune.errors import DataError, Problem, RecipeError

MARKS = (  # byte order marks; the longer first, because the mark of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8", ""),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
SAMPLE = 4096  # bytes looked at to recognise UTF-16 that has no mark


def decode(raw: bytes, path: str, *, encoding: str = "auto") -> tuple[str, tuple[str, ...]]:
    """The text of a file and sentences on how it was read; a DataError where that is not certain."""
    name = PurePath(path).name
    if encoding == "auto":
        text, notes = _recognised(raw, name)
    else:
        text, notes = _named(raw, name, encoding), (f"{name} was read as {encoding}.",)
    nul_lines = (
        [number for number, line in enumerate(text.split("\n"), 1) if "\0" in line] if "\0" in text else []
    )
    if nul_lines:
        fix = "Remove the zero bytes; a file full of them is not a text file, or needs data.encoding."
        raise DataError(*listed([Problem(f"{name}:{n}", "holds a NUL byte", fix=fix) for n in nul_lines]))
    return text, notes


def _recognised(raw: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file whose encoding nobody named."""
    for mark, encoding, title in MARKS:
        if raw.startswith(mark):
            text = _named(raw[len(mark) :], name, encoding)
            return text, ((f"{name} was read as {title}.",) if title else ())
    wide = _unmarked_utf16(raw)
    if wide:
        return _named(raw, name, wide), (f"{name} has no byte order mark and was read as UTF-16.",)
    try:
        return raw.decode("utf-8"), ()
    except UnicodeDecodeError:
        raise DataError(_not_utf8(raw, name)) from None


def _unmarked_utf16(raw: bytes) -> str:
    """`utf-16-le` or `utf-16-be` where every second byte is mostly zero, as in Latin text; else nothing."""
    sample = raw[:SAMPLE]
    if len(sample) < 4 or len(raw) % 2:
        return ""
    half = len(sample) // 2
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd > 0.5 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 and odd < 0.05 else ""


def _named(raw: bytes, name: str, encoding: str) -> str:
    """The text under an encoding that was named, without its byte order mark."""
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        fix = "Write data.encoding=cp1252, latin-1, utf-8, utf-16, cp1251, shift_jis or gb18030, say."
        raise RecipeError(
            Problem("data.encoding", "no text encoding of that name", repr(encoding), fix)
        ) from None
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        found = f"byte 0x{raw[start]:02X}" if start < len(raw) else ""
        problem = Problem(
            f"{name}:{_line(raw, start)}", f"not readable as {encoding}", found, "Name another data.encoding."
        )
        raise DataError(problem) from None


def _line(raw: bytes, offset: int) -> int:
    """The 1-based line that the byte at `offset` stands on."""
    return raw.count(b"\n", 0, offset) + 1


def _not_utf8(raw: bytes, name: str) -> Problem:
    """Names the first line that is not UTF-8, how many there are, and an encoding that reads its word."""
    bad, good = [], 0
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            good += not line.isascii() and bool(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            bad.append((number, line, error.start))
    number, line, at = bad[0]
    word = _word(line, at)
    more = f" (and {count(len(bad) - 1, 'more line')} like it)" if len(bad) > 1 else ""
    found = f"byte 0x{line[at]:02X} in {word.decode('ascii', 'backslashreplace')!r}{more}"
    return Problem(f"{name}:{number}", "not UTF-8", found, _remedy(word, good))


def _remedy(word: bytes, good: int) -> str:
    """What to do about a word that is not UTF-8 in a file with `good` lines of proper UTF-8 letters."""
    if good:
        return f"{count(good, 'other line')} with such letters are good UTF-8: mend this one."
    for encoding in ("cp1252", "cp1250", "cp1251"):
        try:
            decoded = word.decode(encoding)
        except UnicodeDecodeError:
            continue
        return (
            f"data.encoding={encoding} (of predict: --encoding {encoding}) reads it as {decoded!r}. "
            "If that is not right, name another encoding."
        )
    return "Name the encoding of the file (data.encoding=latin-1, say; of predict: --encoding), or save it as UTF-8."


def _word(line: bytes, at: int) -> bytes:
    """The bytes around `at` up to the next blanks, commas and quotes."""
    start = max((m.end() for m in re.finditer(rb'[\s,;"]', line[:at])), default=0)
    end = re.search(rb'[\s,;"]', line[at:])
    word = line[start : at + end.start() if end else len(line)]
    return word if len(word) <= LONGEST else line[at : at + 1]
