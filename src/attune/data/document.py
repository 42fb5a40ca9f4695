"""The text of a file, line by line or whole, as often as it is asked for; checked once, before any of it is used."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import IO

HEAD = (1 << 18) + 1  # characters from which it is told what the lines are
CHUNK = 1 << 20  # bytes decoded at a time


class Document:
    """A text that stays in its file.

    Args:
        file: the bytes; can be read from any place.
        name: for messages.
        encoding: of its characters.
        begin: the byte behind its byte order mark.
        notes: how it was read, as sentences.
    """

    def __init__(
        self, file: IO[bytes], name: str, encoding: str, begin: int = 0, notes: tuple[str, ...] = ()
    ) -> None:
        self.file, self.name, self.encoding, self.begin, self.notes = file, name, encoding, begin, notes

    @cached_property
    def size(self) -> int:
        """Its bytes, which are no fewer than its characters."""
        return self.file.seek(0, io.SEEK_END) - self.begin

    @cached_property
    def head(self) -> str:
        """Its first 2^18 characters and one, or all of it."""
        with self._text("") as text:
            return text.read(HEAD)

    def chunks(self) -> Iterator[str]:
        """All of it in parts.

        Raises:
            UnicodeError: for bytes that are none of this encoding.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)()
        self.file.seek(self.begin)
        while raw := self.file.read(CHUNK):
            at = self.file.tell()
            yield decoder.decode(raw)
            self.file.seek(at)
        yield decoder.decode(b"", final=True)

    def lines(self, newline: str = "\n") -> Iterator[str]:
        """Its lines with their ends: line feeds, or with `newline=""` carriage returns, too, and both together."""
        with self._text(newline) as text:
            yield from iter(text.readline, "")  # of the text itself it would close the file at an early end

    def whole(self) -> str:
        """All of it at once."""
        self.file.seek(self.begin)
        return self.file.read().decode(self.encoding)

    def holds(self, sign: str) -> bool:
        """Whether a character stands anywhere in it."""
        return any(sign in chunk for chunk in self.chunks())

    @property
    def blank(self) -> bool:
        """Whether there is nothing but blanks in it."""
        return not any(chunk.strip() for chunk in self.chunks())

    @contextmanager
    def _text(self, newline: str) -> Iterator[io.TextIOWrapper]:
        self.file.seek(self.begin)
        text = io.TextIOWrapper(self.file, self.encoding, newline=newline)
        try:
            yield text
        finally:
            if not self.file.closed:
                text.detach()  # else the file is closed with it
