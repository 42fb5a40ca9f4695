"""Which columns hold what, what task that makes, and why: what is given wins, the rest is told from the table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from attune.data import foreign, labels, schemas
from attune.data.columns import Asked, Choice, Roles, choose_label, choose_pair, choose_text
from attune.data.looks import (
    LABEL_NAMES,
    MOST_FRACTIONS,
    NUMBER_NAMES,
    STEP_NAMES,
    Look,
    decimal_commas,
    look,
    rank,
    with_points,
)
from attune.data.problems import count, shown, some
from attune.data.table import Table
from attune.errors import DataError, Problem, RecipeError, nearest

__all__ = ["TASKS", "Roles", "infer"]

TASKS = ("classification", "multilabel", "regression", "tagging", "qa", "similarity")
KNOWN = {"qa": schemas.qa, "tagging": schemas.tagging, "similarity": schemas.similarity}
NEEDED = {
    "qa": "question, context and answers: --text QUESTION --pair CONTEXT --label ANSWERS",
    "tagging": "words with one tag each, or texts with spans: --text COLUMN --label COLUMN",
    "similarity": "two texts in each row: --text COLUMN --pair COLUMN",
}
FEWEST_MARKS = 3  # columns of 0 and 1 from which on they are labels without being named


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
        DataError: for a column that is not there or cannot be used, where it cannot be told which to use, and
            for data of a task that attune cannot learn.
    """
    if task not in ("auto", *TASKS):
        fix = f"{nearest(task, TASKS)} There is: {', '.join(TASKS)}.".strip()
        raise RecipeError(Problem("task.name", "no such task", shown(task), fix))
    asked = Asked(task, text, label, pair)
    _check_names(table, asked)
    for name, recognise in KNOWN.items():
        if task in ("auto", name) and (found := recognise(table, asked)):
            return found
    if task in KNOWN:
        what, found_columns = f"no {NEEDED[task].split(':')[0]}", f"the columns {some(table.columns, 20)}"
        fix = f"For {task} name the columns:{NEEDED[task].split(':')[1]}"
        raise DataError(Problem(table.path, what, found_columns, fix))
    if task == "auto" and "auto" in (text, label) and (problem := foreign.problem(table)):
        raise DataError(problem)
    found = _labelled(table, asked)
    unread = [name for name in table.columns if name not in (found.text, found.pair, *found.labels)]
    left = (f"not read: {some(unread)}",) if unread else ()
    return replace(found, reasons=(*found.reasons, *left))


def _labelled(table: Table, asked: Asked) -> Roles:
    """The roles of texts, or pairs of texts, with labels or numbers."""
    raw = {name: look(name, table.column(name)) for name in table.columns}
    looks = raw
    if asked.task != "multilabel":
        sure = asked.task == "regression"
        looks = {name: with_points(held, sure=sure) for name, held in raw.items()}
    given = asked.of(table.columns)
    text, pair = _texts([held for name, held in looks.items() if name not in given], asked)
    candidates = [held for name, held in looks.items() if name not in (text.column, pair)]
    marks = _marks(candidates, given, asked)
    label = Choice(marks[0]) if marks else Choice(given[0]) if given else choose_label(candidates)
    if not label.column and asked.task == "multilabel" and len(candidates) == 1:
        label = Choice(candidates[0].name)  # many combinations of labels, so that few of them repeat
    if not text.column or not label.column:
        raise DataError(_undecided(table, text, label, pair))
    texts = [looks[name] for name in (text.column, pair) if name]
    reasons = [f"text: {texts[0].name!r} (mean {texts[0].words:.0f} words)"]
    reasons += [f"pair: {pair!r} (mean {texts[1].words:.0f} words)"] if pair else []
    say = tuple(filter(None, (text.say, label.say)))
    if marks:
        _check_texts(table, texts)
        reasons.append(f"label: {count(len(marks), 'column')} of 0 and 1 ({some(marks, 4)})")
        return Roles("multilabel", text.column, tuple(marks), (*reasons, *say), pair)
    held = looks[label.column]
    sign = labels.separator(held) if held.scalars and asked.task in ("auto", "multilabel") else ""
    task = _task(held, sign, bool(pair)) if asked.task == "auto" else asked.task
    _check_texts(table, texts, _wrong_label(table, held, task))
    named = _names(table, held, sign) if task in ("classification", "multilabel") else {}
    why = _why(held if task == "regression" else raw[held.name], task, sign)
    roles = Roles(task, text.column, held.name, (*reasons, why, *say), pair, names=named, separator=sign)
    if not named:
        return roles
    return replace(roles, reasons=(*roles.reasons, f"the numbers are named by the list beside {table.name}"))


def _texts(looks: Sequence[Look], asked: Asked) -> tuple[Choice, str]:
    """The column of the text and that of the second one, if there is one."""
    text, pair = choose_pair(looks, asked)
    if text:
        return Choice(text), pair
    pair = "" if asked.pair == "auto" else asked.pair
    others = [held for held in looks if held.name != pair]
    return (choose_text(others) if asked.text == "auto" else Choice(asked.text)), pair


def _marks(looks: Sequence[Look], given: tuple[str, ...], asked: Asked) -> list[str]:
    """The columns of 0 and 1 that are the labels, named or found."""
    if len(given) > 1:
        return list(given)
    if given or asked.task not in ("auto", "multilabel"):
        return []
    marks = [held.name for held in looks if labels.truths(held)]
    fewest = 2 if asked.task == "multilabel" else FEWEST_MARKS
    named = [held for held in looks if held.counts and rank(held.name, LABEL_NAMES) >= 0]
    return marks if len(marks) >= fewest and all(held.name in marks for held in named) else []


def _task(label: Look, sign: str, pair: bool) -> str:
    """What the cells of the label make to learn."""
    if sign or (label.lists and not label.single):
        return "multilabel"
    many = label.fractions > MOST_FRACTIONS or (pair and label.fractions > 1)
    scored = rank(label.name, NUMBER_NAMES) >= 0 and label.numbers and len(label.counts) > MOST_FRACTIONS
    return "regression" if many or scored else "classification"


def _names(table: Table, label: Look, sign: str) -> dict[str, str]:
    """What the numbered labels are called in the list beside the file."""
    values = {part.strip() for value in label.counts for part in (value.split(sign) if sign else [value])}
    return labels.names(values, table.names)


def _why(label: Look, task: str, sign: str) -> str:
    """What the label holds, in words."""
    if task == "regression":
        numbers = sorted(map(float, label.counts))
        return f"label: {label.name!r} (numbers from {numbers[0]:g} to {numbers[-1]:g})"
    if sign:
        parts = {part.strip() for value in label.counts for part in value.split(sign)}
        other = "; --task regression reads decimals" if decimal_commas(list(label.counts)) else ""
        return f"label: {label.name!r} ({count(len(parts), 'label')}, joined by {sign!r}{other})"
    noun = "label" if task == "multilabel" else "value"
    steps = task == "classification" and label.numbers and rank(label.name, STEP_NAMES) >= 0
    ordered = (
        "; learned as unordered: --task regression learns numbers" if steps and len(label.counts) > 2 else ""
    )
    return f"label: {label.name!r} ({count(len(label.counts), noun)}: {label.shown()}{ordered})"


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


def _check_texts(table: Table, texts: Sequence[Look], *more: Problem | None) -> None:
    """Raises for a text that is no text, together with what else is wrong."""
    problems = [problem for problem in more if problem]
    for text in texts:
        if not text.strings:
            what = f"the column {text.name!r} does not hold text only"
            fix = "Name the column that holds the text: --text COLUMN"
            problems.append(Problem(table.path, what, text.shown(3), fix))
    if problems:
        raise DataError(*problems)


def _wrong_label(table: Table, label: Look, task: str) -> Problem | None:
    """A label whose cells are not what the task learns."""
    if task == "regression" and not label.numbers:
        labels.refuse_odd_numbers(table, label.name)
        fix = "Name the column of the numbers: --label COLUMN"
        return Problem(table.path, f"the column {label.name!r} does not hold numbers", label.shown(3), fix)
    if task == "classification" and not (label.scalars or label.single):
        fix = "Learn several labels a row: task.name=multilabel; or name another column: --label COLUMN"
        return Problem(
            table.path, f"the column {label.name!r} holds several labels a row", label.shown(3), fix
        )
    if task == "multilabel" and not (label.scalars or label.lists):
        fix = "Write the labels of a row as a list, or name another column: --label COLUMN"
        return Problem(table.path, f"the column {label.name!r} holds no labels", label.shown(3), fix)
    if task == "classification" and label.fractions > MOST_FRACTIONS:
        most = "more than " if label.many else ""
        found = f"{most}{len(label.counts):,} different numbers, such as {label.shown(3)}"
        fix = "Learn the numbers: task.name=regression; or name another column: --label COLUMN"
        return Problem(table.path, f"the column {label.name!r} holds measurements", found, fix)
    return None


def _undecided(table: Table, text: Choice, label: Choice, pair: str) -> Problem:
    """Asks for the columns by the flags that name them, with what could be told already filled in."""
    why = [
        f"{role}: {choice.say}" for role, choice in (("text", text), ("label", label)) if not choice.column
    ]
    what = f"it cannot be told which column is the {' and which the '.join(w.split(':')[0] for w in why)}"
    told, second = text.column or "COLUMN", pair
    if len(text.between) == 2 and not pair:
        told, second = sorted(text.between, key=table.columns.index)
    words = ["--text", told, *(["--pair", second] if second else []), "--label", label.column or "COLUMN"]
    fix = f"Say it: {shlex.join(words)} ({'; '.join(why)})"
    if pair and not label.column:
        fix += "; or task.name=similarity, if the two texts of each row are alike"
    return Problem(table.path, what, f"the columns {some(table.columns, 20)}", fix)
