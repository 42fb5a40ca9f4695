"""Which columns hold what, what task that makes, and why: what is given wins, the rest is told from the table."""

from __future__ import annotations

from collections.abc import Sequence

from attune.data.columns import Asked, Choice, Roles, choose_label, choose_pair, choose_text
from attune.data.looks import MOST_FRACTIONS, Look, look
from attune.data.problems import count, shown, some
from attune.data.table import Table
from attune.errors import DataError, Problem, RecipeError, nearest

__all__ = ["TASKS", "Roles", "infer"]

TASKS = ("classification",)
SEPARATORS = ",|#;"
COMBINED = 3  # values made of other values, from which on a cell seems to hold several labels


def infer(
    table: Table, *, task: str = "auto", text: str = "auto", label: str = "auto", pair: str = "auto"
) -> Roles:
    """The task and the roles of a table's columns, as the file names them; `rows.canonical` renames them.

    Args:
        table: as `read` gives it; that of train, where there are several.
        task: one of TASKS, or auto.
        text: the column of the text, or auto.
        label: the column of the label, or several of 0 and 1 parted by commas, or auto.
        pair: the column of the second text, "" for none, or auto.

    Raises:
        RecipeError: for a task that does not exist.
        DataError: for a column that is not there or cannot be used, or where it cannot be told which to use.
    """
    if task not in ("auto", *TASKS):
        fix = f"{nearest(task, TASKS)} There is: {', '.join(TASKS)}.".strip()
        raise RecipeError(Problem("task.name", "no such task", shown(task), fix))
    asked = Asked(task, text, label, pair)
    _check_names(table, asked)
    return _labelled(table, asked)


def _labelled(table: Table, asked: Asked) -> Roles:
    """The roles of texts, or pairs of texts, with labels."""
    looks = {name: look(name, table.column(name)) for name in table.columns}
    given = asked.of(table.columns)
    texts = [held for name, held in looks.items() if name not in given]
    text, pair = choose_pair(texts, asked)
    if text:
        chosen_text = Choice(text)
    else:
        pair = "" if asked.pair == "auto" else asked.pair
        others = [held for held in texts if held.name != pair]
        chosen_text = choose_text(others) if asked.text == "auto" else Choice(asked.text)
    labels = [held for name, held in looks.items() if name not in (chosen_text.column, pair)]
    chosen_label = choose_label(labels) if not given else Choice(given[0])
    if not chosen_text.column or not chosen_label.column:
        raise DataError(_undecided(table, chosen_text, chosen_label))
    text_look, label_look = looks[chosen_text.column], looks[chosen_label.column]
    _check_cells(table, [text_look, *([looks[pair]] if pair else [])], label_look)
    reasons = (
        f"text: {text_look.name!r} (mean {text_look.words:.0f} words)",
        *([f"pair: {pair!r} (mean {looks[pair].words:.0f} words)"] if pair else []),
        f"label: {label_look.name!r} ({count(len(label_look.counts), 'value')}: {label_look.shown()})",
        *filter(None, (chosen_text.say, chosen_label.say)),
    )
    return Roles("classification", text_look.name, label_look.name, reasons, pair)


def _check_names(table: Table, asked: Asked) -> None:
    """Raises for columns that were named and are not there."""
    problems = []
    named = [("text", asked.text), *(("label", name) for name in asked.of(table.columns))]
    named += [("pair", asked.pair)] if asked.pair else []
    for role, name in named:
        if name != "auto" and name not in table.columns:
            fix = f"{nearest(name, table.columns)} The columns are {some(table.columns, 20)}.".strip()
            problems.append(Problem(table.path, f"no column {name!r} for --{role}", fix=fix))
    given = [(role, name) for role, name in named if name != "auto"]
    for at, (role, name) in enumerate(given):
        for other, same in given[at + 1 :]:
            if same == name and not problems:
                fix = f"Name two columns: --{role} COLUMN --{other} COLUMN"
                problems.append(Problem(table.path, f"{name!r} cannot be both {role} and {other}", fix=fix))
    if problems:
        raise DataError(*problems)


def _check_cells(table: Table, texts: Sequence[Look], label: Look) -> None:
    """Raises for a text that is no text, and for labels that are measurements or several in one cell."""
    problems = []
    for text in texts:
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


def _undecided(table: Table, text: Choice, label: Choice) -> Problem:
    """Asks for the columns by the flags that name them, with what could be told already filled in."""
    why = [
        f"{role}: {choice.say}" for role, choice in (("text", text), ("label", label)) if not choice.column
    ]
    what = f"it cannot be told which column is the {' and which the '.join(w.split(':')[0] for w in why)}"
    fix = f"Say it: --text {text.column or 'COLUMN'} --label {label.column or 'COLUMN'} ({'; '.join(why)})"
    return Problem(table.path, what, f"the columns {some(table.columns, 20)}", fix)
