"""What the columns mean: which holds the text, which the label, what task that makes, and why.

Neither a name nor its cells decide alone: `title` and `review` are both names of text, and only the longer is
what one wants classified; `id` is short, and has as many values as rows. What stays open is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attune.data.looks import LABEL_NAMES, MOST_FRACTIONS, PAIRS, TEXT_NAMES, Look, look, plain, rank
from attune.data.problems import count, shown, some
from attune.data.table import Table
from attune.errors import DataError, Problem, RecipeError, nearest

TASKS = ("classification",)
SEPARATORS = ",|#;"
COMBINED = 3  # values made of other values, from which on a cell seems to hold several labels


@dataclass(frozen=True)
class Roles:
    """The task and its columns, with the reasons in plain words."""

    task: str
    text: str
    label: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Choice:
    """The column for a role and what else to say; or no column and why not."""

    column: str
    say: str = ""


def infer(table: Table, *, task: str = "auto", text: str = "auto", label: str = "auto") -> Roles:
    """The roles of a table's columns; what is given wins, the rest is told from names and cells.

    Raises:
        RecipeError: for a task that does not exist.
        DataError: for a column that is not there or cannot be used, or where it cannot be told which to use.
    """
    if task not in ("auto", *TASKS):
        fix = f"{nearest(task, TASKS)} There is: {', '.join(TASKS)}.".strip()
        raise RecipeError(Problem("task.name", "no such task", shown(task), fix))
    _check_names(table, text=text, label=label)
    looks = {name: look(name, table.column(name)) for name in table.columns}
    texts = [held for name, held in looks.items() if name != label]
    chosen_text = _choose_text(texts) if text == "auto" else _Choice(text)
    labels = [held for name, held in looks.items() if name != chosen_text.column]
    chosen_label = _choose_label(labels) if label == "auto" else _Choice(label)
    if not chosen_text.column or not chosen_label.column:
        raise DataError(_undecided(table, chosen_text, chosen_label))
    text_look, label_look = looks[chosen_text.column], looks[chosen_label.column]
    _check_cells(table, text_look, label_look)
    reasons = (
        f"text: {text_look.name!r} (mean {text_look.words:.0f} words)",
        f"label: {label_look.name!r} ({count(len(label_look.counts), 'value')}: {label_look.shown()})",
        *filter(None, (chosen_text.say, chosen_label.say)),
    )
    return Roles("classification", text_look.name, label_look.name, reasons)


def _check_names(table: Table, *, text: str, label: str) -> None:
    """Raises for columns that were named and are not there."""
    problems = []
    for role, name in (("text", text), ("label", label)):
        if name != "auto" and name not in table.columns:
            fix = f"{nearest(name, table.columns)} The columns are {some(table.columns, 20)}.".strip()
            problems.append(Problem(table.path, f"no column {name!r} for --{role}", fix=fix))
    if not problems and text == label != "auto":
        fix = "Name two columns: --text COLUMN --label COLUMN"
        problems.append(Problem(table.path, f"{text!r} cannot be both text and label", fix=fix))
    if problems:
        raise DataError(*problems)


def _check_cells(table: Table, text: Look, label: Look) -> None:
    """Raises for a text that is no text, and for labels that are measurements or several in one cell."""
    problems = []
    if not text.strings:
        what = f"the column {text.name!r} does not hold text only"
        fix = "Name the column that holds the text: --text COLUMN"
        problems.append(Problem(table.path, what, text.shown(3), fix))
    several = f"the column {label.name!r} holds several labels a row, which is not available yet"
    if not label.scalars:
        problems.append(Problem(table.path, several, label.shown(3), "Give one label a row: --label COLUMN"))
    elif combined := _combined(label):
        fix = "Keep one label in each row, or name another column: --label COLUMN"
        problems.append(Problem(table.path, several, some(combined, 3), fix))
    elif label.fractions > MOST_FRACTIONS:
        what = f"the column {label.name!r} holds measurements, and regression is not available yet"
        found = f"{len(label.counts):,} different numbers, such as {label.shown(3)}"
        fix = "Put the numbers into a few classes, or name another column: --label COLUMN"
        problems.append(Problem(table.path, what, found, fix))
    if problems:
        raise DataError(*problems)


def _combined(label: Look) -> list[str]:
    """Values such as `4,27` whose parts are values of the column too, where there are several such."""
    for separator in SEPARATORS:
        joined = [
            value
            for value in label.counts
            if separator in value and all(part.strip() in label.counts for part in value.split(separator))
        ]
        if len(joined) >= COMBINED:
            return joined
    return []


def _choose_text(looks: Sequence[Look]) -> _Choice:
    """The column of texts: of the known names the one with most words, unless another has far more."""
    fits = [held for held in looks if held.strings and len(held.counts) > 1 and not held.numbers]
    by_plain = {plain(held.name): held.name for held in fits}
    for one, other in PAIRS:
        if one in by_plain and other in by_plain:
            pair = f"{by_plain[one]!r} and {by_plain[other]!r}"
            return _Choice("", f"{pair} are a pair of texts; a task on pairs is not available yet")
    named = [held for held in fits if rank(held.name, TEXT_NAMES) >= 0]
    wordy = sorted((held for held in fits if held.words >= 2), key=lambda held: -held.words)
    if not wordy:  # single words, as in a list of names: only a column's name can tell
        best = min(named, key=lambda held: rank(held.name, TEXT_NAMES), default=None)
        return _Choice(best.name) if best else _Choice("", "no column holds words")
    best = next((held for held in wordy if held in named and held.words >= wordy[0].words / 2), wordy[0])
    others = [held for held in wordy if held is not best]
    rivals = [held.name for held in others if held.words > 0.7 * best.words]
    if rivals and best not in named:
        return _Choice("", f"{some([best.name, *rivals])} hold texts of much the same length")
    beside = ", ".join(f"{held.name!r} (mean {held.words:.0f} words)" for held in others if held.words >= 3)
    return _Choice(best.name, f"not read: {beside}; --text COLUMN to choose another" if beside else "")


def _choose_label(looks: Sequence[Look]) -> _Choice:
    """The column of labels: the best known name, else the only column with a few short values that repeat."""
    candidates = [held for held in looks if held.counts and not held.like_text]
    ranked = [held for held in candidates if rank(held.name, LABEL_NAMES) >= 0]
    named = sorted(ranked, key=lambda held: (not held.like_labels, rank(held.name, LABEL_NAMES)))
    fits = [held for held in looks if held.like_labels and (held in named or not held.empty)]
    if not named and len(fits) != 1:
        values = [
            f"{held.name!r} has {count(len(held.counts), 'value')} ({held.shown()})" for held in fits[:6]
        ]
        return _Choice("", "; ".join(values) or "no column has a few short values that repeat")
    # A column called `label` with one class, or a class a row, still is it: the checks say what is wrong.
    best = (named or fits)[0]
    others = ", ".join(repr(held.name) for held in named if held is not best and held in fits)
    return _Choice(
        best.name, f"could be the label too: {others}; --label COLUMN to choose it" if others else ""
    )


def _undecided(table: Table, text: _Choice, label: _Choice) -> Problem:
    """Asks for the columns by the flags that name them, with what could be told already filled in."""
    why = [
        f"{role}: {choice.say}" for role, choice in (("text", text), ("label", label)) if not choice.column
    ]
    what = f"it cannot be told which column is the {' and which the '.join(w.split(':')[0] for w in why)}"
    fix = f"Say it: --text {text.column or 'COLUMN'} --label {label.column or 'COLUMN'} ({'; '.join(why)})"
    return Problem(table.path, what, f"the columns {some(table.columns, 20)}", fix)
