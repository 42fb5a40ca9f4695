"""What the columns mean: which one is the text, which one the label, what task that makes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from attune.data.table import Table
from attune.errors import DataError, Problem, RecipeError, nearest

SAMPLE = 5000
TEXT_NAMES = re.compile(
    r"text|sentence|review|body|content|tweet|message|comment|utterance|query|question|document|description|sms|post",
    re.IGNORECASE,
)
LABEL_NAMES = re.compile(
    r"label|sentiment|class|category|target|intent|topic|stars|rating|polarity|emotion|spam|gold|(^|_)y$|tag|type",
    re.IGNORECASE,
)
COLUMN_NAMES = re.compile(
    r"(id|idx|index|title|source|author|date|lang(uage)?|product|split|score|y|x"
    r"|(\w+_)?(text|sentence|review|body|content|tweet|message|comment|question|query|label|labels|class|category"
    r"|target|intent|topic|stars|rating|sentiment|polarity|emotion)\d?)",
    re.IGNORECASE,
)
SENTIMENT = {"positive", "negative", "neutral", "pos", "neg", "neu"}


def known_name(name: str) -> bool:
    """True for a name that data sets give their columns of text, labels or ids."""
    return len(name) <= 30 and bool(COLUMN_NAMES.fullmatch(name.strip()))


@dataclass(frozen=True)
class Roles:
    """The task and its columns, with the reasons in plain words."""

    task: str
    text: str
    label: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What a column looks like, over the first rows."""

    name: str
    words: float  # mean words of a cell
    distinct: int
    share: float  # distinct values of all values
    numeric: bool
    strings: bool


def infer(table: Table, *, task: str = "auto", text: str = "auto", label: str = "auto") -> Roles:
    """The roles of a table's columns; what is given wins, the rest is inferred.

    Raises:
        DataError: for a column that is not there, or when no column fits.
    """
    if task not in ("auto", "classification"):
        raise RecipeError(Problem("task.name", "no such task", repr(task), "The tasks are: classification"))
    wrong = [
        Problem(f"data.{role}", "no such column", repr(name), _columns(name, table))
        for role, name in (("text", text), ("label", label))
        if name != "auto" and name not in table.columns
    ]
    if wrong:
        raise DataError(*wrong)
    looks = {name: _look(name, table.column(name)[:SAMPLE]) for name in table.columns}
    label_name = label if label != "auto" else _label(table, [look for look in looks.values() if look.name != text])
    text_name = text if text != "auto" else _text(table, [x for x in looks.values() if x.name != label_name])
    values = looks[label_name]
    if values.numeric and values.distinct > 50 and values.share > 0.2:
        fix = "Regression is not available yet; choose another column with --label"
        raise DataError(Problem(table.path, f"column {label_name!r} holds measurements, not labels", fix=fix))
    return Roles("classification", text_name, label_name, _reasons(table, looks[text_name], values))


def _columns(name: str, table: Table) -> str:
    return " ".join(filter(None, [nearest(name, table.columns), f"The columns are: {', '.join(table.columns)}"]))


def _look(name: str, values: list[Any]) -> Look:
    texts = [str(value) for value in values if value is not None]
    distinct = len(set(texts))
    return Look(
        name,
        words=sum(len(text.split()) for text in texts) / max(1, len(texts)),
        distinct=distinct,
        share=distinct / max(1, len(texts)),
        numeric=all(re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", text) for text in texts),
        strings=any(isinstance(value, str) for value in values),
    )


def _label(table: Table, looks: list[Look]) -> str:
    """The column that looks most like labels: few values, short, by its name above all."""
    fits = [look for look in looks if 2 <= look.distinct <= max(20, len(table) // 3) and look.words <= 4]
    if not fits:
        named = [look.name for look in looks if LABEL_NAMES.search(look.name)]
        found = "; ".join(f"{look.name} has {look.distinct} values" for look in looks)
        if len(named) == 1:
            return named[0]  # one class only, or every value another one: said by the checks, by name
        raise DataError(Problem(table.path, "no column looks like a label", found, "Name it: --label COLUMN"))
    return max(fits, key=lambda look: (bool(LABEL_NAMES.search(look.name)), not look.numeric, -look.distinct)).name


def _text(table: Table, looks: list[Look]) -> str:
    fits = [look for look in looks if look.strings and look.distinct > 1 and not look.numeric]
    named = [look for look in fits if TEXT_NAMES.search(look.name)]
    wordy = max(fits, key=lambda look: look.words, default=None)
    if wordy is None:
        found = ", ".join(table.columns)
        raise DataError(Problem(table.path, "no column looks like text", found, "Name it: --text COLUMN"))
    # a name decides among columns of words; it does not make a review's short title its text
    best = max(named, key=lambda look: look.words, default=wordy)
    return best.name if best.words >= 0.5 * wordy.words else wordy.name


def _reasons(table: Table, text: Look, label: Look) -> tuple[str, ...]:
    values = sorted({str(value) for value in table.column(label.name)[:SAMPLE]})
    shown = ", ".join(values[:4]) + (", ..." if len(values) > 4 else "")
    kind = "sentiment" if {value.lower() for value in values} <= SENTIMENT else "classification"
    return (
        f"task: {kind}, because {label.name!r} has {label.distinct} values",
        f"text: {text.name!r}, {text.words:.0f} words on average",
        f"label: {label.name!r} ({shown})",
    )
