"""Lines that hold text and label without columns: fastText, a digit before the text, `$LABEL$` between."""

from __future__ import annotations

import re
from array import array

from attune.data.document import Document
from attune.data.problems import count
from attune.data.stored import Stored, Writer
from attune.data.table import Content

FASTTEXT = re.compile(r"((?:__label__\S+\s+)+)(.*)|(.*?)((?:\s+__label__\S+)+)\s*")
DIGIT = re.compile(r"(-?\d{1,2}) (\S.*)")
BETWEEN = re.compile(r"(.*)\$LABEL\$\s*(\S+)\s*")
MARK = "__label__"
SAMPLE = 1000  # lines from which the form is told
MOST_DIGITS = 20  # different numbers before texts that still are labels


def recognised(text: str) -> str:
    """`fasttext`, `digit` or `between` where every line has that form; else ""."""
    lines = [line for line in text[: 1 << 18].split("\n")[:SAMPLE] if line.strip()]
    if len(text) > 1 << 18 and len(lines) > 1:
        lines = lines[:-1]
    if not lines:
        return ""
    if all(MARK in line and FASTTEXT.fullmatch(line.strip()) for line in lines):
        return "fasttext"
    if all(map(BETWEEN.fullmatch, lines)):
        return "between"
    digits = [DIGIT.fullmatch(line.rstrip("\r")) for line in lines]
    numbers = {match[1] for match in digits if match}
    # each number several times: a numbered list has it once
    few = 2 <= len(numbers) <= min(MOST_DIGITS, len(lines) // 2)
    return "digit" if few and all(digits) and "\t" not in text else ""


def parse(document: Document, form: str) -> Content:
    """The columns `text` and `label` of a file in one of these forms; labels are lists where a line has several.

    A line that is not of the form has no label, which the checks name.
    """
    name, texts, labels, lines, most, bare = document.name, Writer(), Writer(), array("q"), 0, 0
    for number, raw in enumerate(document.lines(), 1):
        line = raw.strip()
        if not line:
            continue
        text, names = _line(line, form) or (line, [])
        texts.append(text)
        labels.append(names)
        lines.append(number)
        most, bare = max(most, len(names)), bare + (not names)
    held = labels.whole()
    if most <= 1:
        held = Stored.of(names[0] if names else None for names in held)
    written = {"fasttext": "__label__ and text", "digit": "number and text", "between": "text$LABEL$label"}[
        form
    ]
    note = f"{name} was read as lines of {written}."
    if bare:
        note += f" {count(bare, 'line')} of another form."
    return Content(("text", "label"), {"text": texts.whole(), "label": held}, lines, (note,))


def _line(line: str, form: str) -> tuple[str, list[str]] | None:
    """(text, labels) of one line."""
    if form == "fasttext":
        if not (match := FASTTEXT.fullmatch(line)) or MARK not in line:
            return None
        marks, text = (match[1], match[2]) if match[1] else (match[4], match[3])
        return text.strip(), [mark.removeprefix(MARK) for mark in marks.split()]
    if form == "digit":
        found = DIGIT.fullmatch(line)
        return (found[2], [found[1]]) if found else None
    found = BETWEEN.fullmatch(line)
    return (found[1].strip(), [found[2]]) if found else None
