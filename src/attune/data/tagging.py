"""Rows of tagged words: from lists of tokens, from texts with spans, or from two lines side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from attune.data import spans, tags
from attune.data.cells import decoded
from attune.data.columns import Roles
from attune.data.looks import is_missing
from attune.data.problems import count, listed, shown, some
from attune.data.table import Finding, Table
from attune.errors import DataError, Problem


def canonical(table: Table, roles: Roles, *, labelled: bool, snap: bool) -> Table:
    """`text`, `words` and, where labels are wanted and there, `label` as IOB2 or plain tags.

    Tokens are joined by single blanks. A text that comes with tags, one for each of its parts between blanks,
    has these parts as words; one that comes with spans, or alone, has those of `tags.words`.

    Raises:
        DataError: for cells that are neither, rows with more or fewer tags than words, and with `snap` off
            for spans that do not fit.
    """
    wanted = labelled and all(name in table.columns for name in roles.labels)
    column = table.column(roles.labels[0]) if wanted else [None] * len(table)
    made = _Rows(table, roles)
    texts = table.column(roles.text)
    listed_texts = [_list(text) for text in texts]
    if any(tokens is None and not is_missing(text) for tokens, text in zip(listed_texts, texts, strict=True)):
        # one text such as `[1]` is no list of tokens, where other rows hold plain texts
        listed_texts = [_list(text) if isinstance(text, list) else None for text in texts]
    for row, tokens in enumerate(listed_texts):
        made.add(row, texts[row] if tokens is None else tokens, column[row])
    problems = [*made.problems, *(() if snap else made.flaws.problems(table))]
    if problems:
        raise DataError(*listed(problems))
    cells: dict[str, list[Any]] = {"text": made.texts, "words": made.words}
    if roles.group in table.columns:
        cells["group"] = [str(name) for name in table.column(roles.group)]
    notes, findings = list(table.notes), [*table.findings, *made.findings()]
    if wanted:
        cells["label"] = _iob2(table, made.tags, notes, findings)
    return replace(table, columns=tuple(cells), cells=cells, notes=tuple(notes), findings=tuple(findings))


class _Rows:
    """The rows made so far, and what was wrong with some."""

    def __init__(self, table: Table, roles: Roles) -> None:
        self.table = table
        self.names, self.whole = roles.names, roles.whole
        self.texts: list[Any] = []
        self.words: list[list[tuple[int, int]]] = []
        self.tags: list[list[str] | None] = []
        self.problems: list[Problem] = []
        self.flaws = spans.Flaws()
        self.empty: list[int] = []  # a row for each token that is empty

    def add(self, row: int, text: Any, label: Any) -> None:
        """Takes a row; what is no text stays what it is, for the checks to name."""
        parts = _list(label)
        if isinstance(text, list):
            self._tokens(row, text, parts, label)
        elif not isinstance(text, str):
            self._keep(text, [], None if is_missing(label) else [])
        elif is_missing(label):
            self._keep(text, tags.words(text, whole=self.whole), None)
        elif (found := spans.marked(label)) is not None:
            self._spans(row, text, found)
        elif isinstance(label, str) or parts is not None:
            self._beside(row, text, [str(tag) for tag in parts] if parts is not None else label.split())
        else:
            self._problem(row, "neither tags nor spans", shown(label))

    def findings(self) -> list[Finding]:
        """What was mended."""
        found = list(self.flaws.findings(self.table))
        if self.empty:
            what = f"{count(len(self.empty), 'token')} of {self.table.name} hold nothing; left out with their tags."
            where = tuple(self.table.place(row) for row in dict.fromkeys(self.empty))
            found.append(Finding("empty_tokens", "warning", what, where[:10]))
        return found

    def _keep(self, text: Any, words: list[tuple[int, int]], labels: list[str] | None) -> None:
        self.texts.append(text)
        self.words.append(words)
        self.tags.append(labels)

    def _problem(self, row: int, what: str, found: str) -> None:
        fix = "Give one tag for each word, or spans with begin, end and label."
        self.problems.append(Problem(self.table.place(row), what, found, fix))
        self._keep("", [], [])

    def _tokens(self, row: int, tokens: list[Any], parts: list[Any] | None, label: Any) -> None:
        """A row of tokens, with as many tags."""
        names = None if parts is None else [self.names.get(str(tag), _tag(tag)) for tag in parts]
        if names is None and isinstance(label, str) and label.strip():
            names = label.split()
        if names is not None and len(names) != len(tokens):
            self._problem(
                row, f"{count(len(tokens), 'token')} and {count(len(names), 'tag')}", some(tokens, 3)
            )
            return
        held = [at for at, token in enumerate(tokens) if str(token)]
        self.empty += [row] * (len(tokens) - len(held))
        text, words = joined([str(tokens[at]) for at in held])
        self._keep(text, words, None if names is None else [names[at] for at in held])

    def _spans(self, row: int, text: str, given: Sequence[spans.Marked]) -> None:
        words = tags.words(text)
        entities, flaws = spans.laid(words, given, len(text))
        for flaw in flaws:
            self.flaws.rows[flaw].append(row)
        self._keep(text, words, tags.tagged(len(words), entities))

    def _beside(self, row: int, text: str, names: list[str]) -> None:
        """A text and its tags, one for each part between blanks."""
        words = parted(text)
        if len(words) == len(names):
            self._keep(text, words, [self.names.get(name, name) for name in names])
        else:
            self._problem(row, f"{count(len(words), 'word')} and {count(len(names), 'tag')}", shown(text))


def joined(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """(tokens with single blanks between, where each stands)."""
    words, at = [], 0
    for token in tokens:
        words.append((at, at + len(token)))
        at += len(token) + 1
    return " ".join(tokens), words


def parted(text: str) -> list[tuple[int, int]]:
    """Where the parts of a text between blanks stand."""
    words, at = [], 0
    for part in text.split():
        begin = text.index(part, at)
        at = begin + len(part)
        words.append((begin, at))
    return words


def _list(cell: Any) -> list[Any] | None:
    """The cell as a list of plain values, also where it is written as text; None where it is no such list."""
    cell = decoded(cell)
    if isinstance(cell, (list, tuple)) and all(isinstance(each, (str, int)) for each in cell):
        return list(cell)
    return None


def _tag(value: Any) -> str:
    """The name of a tag; `TAG_3` for a number that nobody named."""
    return f"TAG_{value}" if isinstance(value, int) else str(value)


def _check(table: Table, given: list[list[str] | None]) -> None:
    """Raises for tags that fit no scheme of entities among many that do."""
    strange = tags.odd(each for each in given if each)
    rows = [(row, tag) for row, each in enumerate(given) for tag in each or () if tag in strange]
    what, fix = (
        "no tag of entities, as the others are",
        "Write O, B-TYPE or I-TYPE, or another scheme throughout.",
    )
    problems = [Problem(table.place(row), what, shown(tag), fix) for row, tag in rows]
    if problems:
        raise DataError(*listed(problems))


def _iob2(
    table: Table, given: list[list[str] | None], notes: list[str], findings: list[Finding]
) -> list[list[str] | None]:
    """The tags as IOB2, and a word on what they were and how many had to be mended."""
    _check(table, given)
    scheme = tags.scheme(each for each in given if each)
    made: list[list[str] | None] = []
    mended: list[int] = []
    total = 0
    for row, each in enumerate(given):
        turned, times = tags.iob2(each, scheme) if each is not None else (None, 0)
        made.append(turned)
        total += times
        mended += [row] if times else []
    if scheme not in (tags.IOB2, tags.PLAIN):
        notes.append(f"{table.name}: the tags are {scheme}; read as IOB2.")
    if total:
        what = (
            f"{count(total, 'tag')} of {table.name} did not follow from the one before; mended, so that what"
        )
        what += " continues nothing begins an entity."
        where = tuple(table.place(row) for row in mended[:10])
        findings.append(Finding("transitions", "note", what, where))
    if any(each and each[0].startswith("TAG_") for each in made):
        what = f"The tags of {table.name} are numbers without names, called TAG_0 and so on."
        findings.append(Finding("unnamed_tags", "warning", what))
    return made
