"""CoNLL columns: one word a line, its tags beside it, an empty line between sentences.

Read are CoNLL-2002 and 2003, WNUT and other tab files, CoNLL-U, and what Label Studio calls CoNLL. Columns are
parted by tabs or blanks. `-DOCSTART-` lines, comments, and the multi-word and empty words of CoNLL-U are no
rows of words. Each sentence is a row: `tokens`, the other columns under the number of the column, and the number
of its `document` where the file tells them apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from attune.data.looks import known_name
from attune.data.problems import count, listed, shown
from attune.data.table import Content
from attune.errors import DataError, Problem

SUFFIXES = (
    ".conll",
    ".conllu",
    ".conll2002",
    ".conll2003",
    ".iob",
    ".iob2",
    ".bio",
    ".bioes",
    ".ner",
    ".pos",
)
CONLLU = ("id", "tokens", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
COMMENT = re.compile(r"#\s*(sent_id|text|newdoc|newpar|global|id|doc|source|meta)\b")
BLANKS = re.compile(r"[ \t\r]+")
INDEX = re.compile(r"\d+")
MADE = re.compile(r"\d+[-.]\d+")  # the number of a multi-word token, or of a word that is not there
DOCUMENT = "-DOCSTART-"
NEW_DOCUMENT = re.compile(r"-DOCSTART-|#\s*newdoc\b")
DOCUMENTS = 20  # so many at least, or splits of whole documents would be too coarse
SAMPLE = 1 << 16  # characters from which a file is recognised
FIRST = 5000  # lines from which the usual width is told
MOST_TAGS = 200  # different values of a column that still may be tags


@dataclass
class _Block:
    """The lines between two empty ones, as fields, with their numbers; comments are not among them."""

    fields: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    document: int = 0  # from 1; 0 before the first line that begins one


def recognised(text: str) -> bool:
    """True for columns of words and tags: several blocks of lines with equally many fields, some few-valued."""
    sample = text[:SAMPLE]
    if len(text) > SAMPLE:
        sample = sample[: sample.rfind("\n") + 1]
    blocks = [block for block in _blocks(sample, _tabs(sample)) if block.fields]
    rows = [fields for block in blocks for fields in block.fields]
    if len(blocks) < 2 or len(rows) < 3 * len(blocks) or all(map(known_name, rows[0])):
        return False
    width, times = Counter(map(len, rows)).most_common(1)[0]
    regular = [fields for fields in rows if len(fields) == width]
    if width < 2 or times < 0.95 * len(rows):
        return False
    words = sum(" " not in fields[0].strip() for fields in regular)
    values = [{fields[at] for fields in regular} for at in range(1, width)]
    few = min(MOST_TAGS, max(2, len(regular) // 4))
    return words > 0.98 * len(regular) and any(
        len(held) <= few and not all(map(INDEX.fullmatch, held)) for held in values
    )


def parse(text: str, name: str) -> Content:
    """The sentences of a file, each with the line of its first word.

    Raises:
        DataError: for a file without words, and for every line of another width than most.
    """
    blocks = [block for block in _blocks(text, _tabs(text)) if block.fields]
    if not blocks:
        fix = "Give one word and its tag a line, and an empty line between sentences."
        raise DataError(Problem(name, "the file holds no words", fix=fix))
    width = Counter(len(fields) for block in blocks for fields in block.fields).most_common(1)[0][0]
    notes: list[str] = []
    _trim(blocks, width, name, notes)
    _check(blocks, width, name)
    columns = _columns(blocks, width)
    if columns[0] == "id":
        _drop_made(blocks, name, notes)
    cells: dict[str, list[Any]] = {
        column: [[fields[at] for fields in b.fields] for b in blocks] for at, column in enumerate(columns)
    }
    cells.pop("id", None)
    documents = [str(block.document) for block in blocks]
    if len(set(documents)) >= DOCUMENTS:
        columns, cells["document"] = (*columns, "document"), documents
        notes.append(
            f"{name} holds {len(set(documents))} documents; a split that is made keeps each of them whole."
        )
    if columns[: len(CONLLU)] == CONLLU:
        notes.append(f"{name} was read as CoNLL-U: one sentence a row.")
    else:
        notes.append(f"{name} was read as CoNLL columns ({', '.join(cells)}): one sentence a row.")
    return Content(tuple(cells), cells, [block.lines[0] for block in blocks], tuple(notes))


def _tabs(text: str) -> bool:
    """Whether tabs part the fields: most lines that are not empty have one."""
    lines = [line for line in text[:SAMPLE].split("\n") if line.strip()]
    return sum("\t" in line for line in lines) > len(lines) / 2


def _blocks(text: str, tabs: bool) -> Iterator[_Block]:
    """The sentences; comments are told from words by their place, their width or their wording."""
    raw: list[tuple[int, str]] = []
    document = 0
    lines = text.split("\n")
    usual = _Usual.of(lines, tabs)
    for number, line in enumerate((*lines, ""), 1):
        if NEW_DOCUMENT.match(line.lstrip()) and not raw:
            document += 1
        if line.strip() and not line.lstrip().startswith(DOCUMENT):
            raw.append((number, line))
        elif raw:
            made = _block(raw, usual, tabs=tabs)
            made.document = document
            yield made
            raw = []


@dataclass(frozen=True)
class _Usual:
    """How lines of words look, by which comments are told from them."""

    width: int
    numbered: bool
    last: frozenset[str]  # what stands in the last column more than once

    @classmethod
    def of(cls, lines: Sequence[str], tabs: bool) -> _Usual:
        rows = [_fields(line, tabs) for line in lines[:FIRST] if line.strip()]
        width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
        last = Counter(row[-1] for row in rows if len(row) == width)
        return cls(width, _numbered(lines, tabs), frozenset(tag for tag, times in last.items() if times > 1))

    def is_comment(self, line: str, fields: Sequence[str]) -> bool:
        """Whether a line that begins with # and opens a sentence is none of its words: `#meta` may be a hashtag."""
        if len(fields) != self.width or (self.numbered and not INDEX.match(fields[0])):
            return True
        tagged = fields[-1] in self.last and not INDEX.fullmatch(fields[-1]) and fields[0] != "#"
        return bool(COMMENT.match(line)) and not tagged


def _block(raw: Sequence[tuple[int, str]], usual: _Usual, *, tabs: bool) -> _Block:
    made = _Block()
    for number, line in raw:
        fields = _fields(line, tabs)
        if line.startswith("#") and not made.fields and usual.is_comment(line, fields):
            continue
        made.fields.append(fields)
        made.lines.append(number)
    return made


def _fields(line: str, tabs: bool) -> list[str]:
    if tabs:
        return line.rstrip("\r").split("\t")
    return [part for part in BLANKS.split(line) if part]  # a no-break space is part of a word


def _numbered(lines: Sequence[str], tabs: bool) -> bool:
    """Whether the first field counts the words of its sentence: 0, 1, 2 or 1, 2, 3."""
    at, checked = -1, 0
    for line in lines[:FIRST]:
        if not line.strip() or line.startswith(("#", DOCUMENT)):
            at = -1
            continue
        first = _fields(line, tabs)[0]
        if MADE.fullmatch(first):
            continue
        if (
            not INDEX.fullmatch(first)
            or int(first) != (at + 1 if at >= 0 else int(first))
            or int(first) > at + 2
        ):
            return False
        at, checked = int(first), checked + 1
    return checked > 1


def _trim(blocks: Sequence[_Block], width: int, name: str, notes: list[str]) -> None:
    """Leaves out empty fields behind the last column, as a tab at the end of a line makes them."""
    trimmed = 0
    for block in blocks:
        for at, fields in enumerate(block.fields):
            if len(fields) > width and not any(fields[width:]):
                block.fields[at] = fields[:width]
                trimmed += 1
    if trimmed:
        notes.append(f"{name}: {count(trimmed, 'line')} with a tab at the end, read without it.")


def _check(blocks: Sequence[_Block], width: int, name: str) -> None:
    """Raises with every line of another width, and every line without a word."""
    problems = []
    fix = "Give each line as many columns as the others, and an empty line between sentences."
    for block in blocks:
        for line, fields in zip(block.lines, block.fields, strict=True):
            if len(fields) != width:
                what = f"{count(len(fields), 'column')}, expected {width}"
                problems.append(Problem(f"{name}:{line}", what, shown(" ".join(fields)), fix))
    if width == 1:
        what = "one column only, where a word and its tag were expected"
        problems = [Problem(f"{name}:{blocks[0].lines[0]}", what, shown(blocks[0].fields[0][0]), fix)]
    if problems:
        raise DataError(*listed(problems))


def _columns(blocks: Sequence[_Block], width: int) -> tuple[str, ...]:
    """The names of the columns; `id` where the first counts the words."""
    lines = ["\t".join(fields) for block in blocks[:200] for fields in (*block.fields, [])]
    numbered = width > 2 and _numbered(lines, tabs=True)
    if width == len(CONLLU) and numbered:
        return CONLLU
    first = ("id", "tokens") if numbered else ("tokens",)
    return (*first, *(f"column{at}" for at in range(len(first) + 1, width + 1)))


def _drop_made(blocks: Sequence[_Block], name: str, notes: list[str]) -> None:
    """Leaves out the lines of multi-word tokens (`3-4`) and of words that are not in the text (`5.1`)."""
    dropped = 0
    for block in blocks:
        keep = [at for at, fields in enumerate(block.fields) if not MADE.fullmatch(fields[0])]
        dropped += len(block.fields) - len(keep)
        block.fields = [block.fields[at] for at in keep]
        block.lines = [block.lines[at] for at in keep]
    if dropped:
        notes.append(f"{name}: {count(dropped, 'line')} of multi-word tokens and empty words left out.")
