"""Bytes as text: UTF-8 and UTF-16 by themselves, all else by name; never a guess that changes a letter."""

from __future__ import annotations

import codecs
import io
import re
import sys
from pathlib import PurePath
from typing import IO

from attune.data.document import Document
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


def document(file: IO[bytes], path: str, *, encoding: str = "auto") -> Document:
    """The text of a file, every byte of it checked; a DataError where its encoding is not certain."""
    name = PurePath(path).name
    file.seek(0)
    sample, size = file.read(SAMPLE), file.seek(0, io.SEEK_END)
    if encoding == "auto":
        found, begin, note = _recognised(sample, size)
        begin += _mark(sample[begin:], found)  # some tools write it twice
    else:
        found, begin, note = encoding, _mark(sample, encoding), f"was read as {encoding}."
        if codecs.lookup(encoding).name in ("utf-16", "utf-32"):
            found, begin = _ordered(sample, codecs.lookup(encoding).name)
    text = Document(file, name, found, begin, (f"{name} {note}",) if note else ())
    _check(text, told=encoding != "auto" or text.encoding != "utf-8")
    return text


def _recognised(sample: bytes, size: int) -> tuple[str, int, str]:
    """(encoding, length of the byte order mark, what to say) of a file whose encoding nobody named."""
    for mark, encoding, title in MARKS:
        if sample.startswith(mark):
            return encoding, len(mark), f"was read as {title}." if title else ""
    wide = _unmarked_utf16(sample, size)
    return (wide, 0, "has no byte order mark and was read as UTF-16.") if wide else ("utf-8", 0, "")


def _ordered(sample: bytes, encoding: str) -> tuple[str, int]:
    """(encoding with its order of bytes, length of the mark that tells it); this machine's where no mark does."""
    for mark, found, _ in MARKS:
        if found.startswith(encoding) and sample.startswith(mark):
            return found, len(mark)
    return f"{encoding}-{'le' if sys.byteorder == 'little' else 'be'}", 0


def _mark(sample: bytes, encoding: str) -> int:
    """The length of the byte order mark under an encoding that was named."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses what is no encoding, and encodings of bytes
        mark = "\ufeff".encode(encoding)
    except (LookupError, ValueError) as error:
        if isinstance(error, UnicodeError):
            return 0  # it has no such sign
        fix = "Write data.encoding=cp1252, latin-1, utf-8, utf-16, cp1251, shift_jis or gb18030, say."
        raise RecipeError(
            Problem("data.encoding", "no text encoding of that name", repr(encoding), fix)
        ) from None
    return len(mark) if sample.startswith(mark) else 0


def _check(text: Document, *, told: bool) -> None:
    """Raises for bytes that are none of the encoding (`told`: a note says which it is), and for NUL bytes."""
    holds_nul = False
    try:
        for chunk in text.chunks():
            holds_nul = holds_nul or "\0" in chunk
    except UnicodeError:
        raw = _raw(text)
        raise DataError(_not_readable(raw, text) if told else _not_utf8(raw, text.name)) from None
    if not holds_nul:
        return
    fix = "Remove the zero bytes; a file full of them is not a text file, or needs data.encoding."
    numbers = [number for number, line in enumerate(text.lines(), 1) if "\0" in line]
    raise DataError(*listed([Problem(f"{text.name}:{n}", "holds a NUL byte", fix=fix) for n in numbers]))


def _raw(text: Document) -> bytes:
    text.file.seek(text.begin)
    return text.file.read()


def _unmarked_utf16(sample: bytes, size: int) -> str:
    """`utf-16-le` or `utf-16-be` where every second byte is mostly zero, as in Latin text; else nothing."""
    if len(sample) < 4 or size % 2:
        return ""
    half = len(sample) // 2
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd > 0.5 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 and odd < 0.05 else ""


def _not_readable(raw: bytes, text: Document) -> Problem:
    """Names the first byte that is none of an encoding that was named, or told from the file."""
    start = 0
    try:
        raw.decode(text.encoding)
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
    found = f"byte 0x{raw[start]:02X}" if start < len(raw) else ""
    where = f"{text.name}:{_line(raw, start)}"
    return Problem(where, f"not readable as {text.encoding}", found, "Name another data.encoding.")


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
    found = f"byte 0x{line[at]:02X} in '{word.decode('ascii', 'backslashreplace')}'{more}"
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
