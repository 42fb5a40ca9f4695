"""Rows that are only to be answered: of a file, or as a program gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from attune.data import rows, tags
from attune.data.columns import Roles
from attune.data.looks import is_missing
from attune.data.problems import LONGEST, some
from attune.data.table import Table
from attune.data.tagging import joined
from attune.errors import DataError, Problem

ROLES = ("text", "pair", "words")


def of_file(table: Table, roles: Roles) -> Table:
    """The rows of a file by role; an empty text is answered like any other.

    Raises:
        DataError: for a file without the columns.
    """
    found = rows.canonical(table, roles, labelled=False)
    cells = dict(found.cells)
    for name in ("text", "pair"):
        if name in cells:
            cells[name] = ["" if is_missing(cell) else str(cell) for cell in cells[name]]
    return replace(found, cells=cells)


def of_program(
    inputs: Sequence[Any], task: str, *, names: Mapping[str, str] | None = None, whole: bool = False
) -> Table:
    """Texts, pairs of texts, lists of words (tagging), or objects with the cells by role.

    Args:
        inputs: the rows.
        task: the run's.
        names: the columns of the run's own file by role, by which cells may be called, too.
        whole: whether words of plain texts keep their inner signs (tagging).

    Raises:
        DataError: for an input that is none of these.
    """
    made = [_cells_of(_by_role(given, names or {}), task, whole=whole) for given in inputs]
    bad = [
        row
        for row, cells in enumerate(made)
        if not isinstance(cells.get("text"), str) or not isinstance(cells.get("pair", ""), str)
    ]
    if bad:
        found = json.dumps(inputs[bad[0]], ensure_ascii=False, default=repr)
        cut = found if len(found) <= LONGEST else found[: LONGEST - 1] + "…"
        raise DataError(Problem(f"input {bad[0]}", "holds no text", cut, _wanted(task, names or {})))
    for row, cells in enumerate(made):
        if torn := [cell for cell in cells.values() if isinstance(cell, str) and not _encodable(cell)]:
            what, fix = "holds bytes that are no UTF-8, or half of a surrogate pair", "Write it as UTF-8"
            raise DataError(Problem(f"input {row}", what, ascii(torn[0])[:60], fix))
    roles = [name for name in ROLES if any(name in cells for cells in made)]
    for row, cells in enumerate(made):
        if lacking := [name for name in roles if name not in cells]:
            raise DataError(Problem(f"input {row}", f"lacks {some(lacking)}, which others have"))
    columns = {name: [cells[name] for cells in made] for name in roles}
    return Table("", tuple(columns), columns, list(range(1, len(made) + 1)), "")


def _by_role(given: Any, names: Mapping[str, str]) -> Any:
    """An input under the names of its roles, where it has those of the run's own file."""
    if not names or not isinstance(given, Mapping) or not all(name in given for name in names.values()):
        return given
    return {**given, **{role: given[name] for role, name in names.items()}}


def shape(names: Mapping[str, str]) -> str:
    """What an object that is an input looks like; `names` are the columns by role."""
    return "{" + ", ".join(f'"{name}": "..."' for name in names.values()) + "}"


def _wanted(task: str, names: Mapping[str, str]) -> str:
    """What to give instead."""
    if task == "tagging":
        return "Give a text; or a list of its words, none of them empty or with a blank in it"
    if not names:
        return 'Give a text, two texts, or {"text": ..., "pair": ...}'
    return f"Give {'two texts in a list' if 'pair' in names else 'a text'}, or {shape(names)}"


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cells_of(given: Any, task: str, *, whole: bool) -> dict[str, Any]:
    """The cells of one input; without a text when it is nothing that can be answered."""
    if isinstance(given, str):
        cells: dict[str, Any] = {"text": given}
    elif isinstance(given, Mapping):
        cells = {name: given[name] for name in ROLES if name in given}
    elif isinstance(given, (tuple, list)) and task == "tagging":
        cells = {"text": given}
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        cells = {"text": given[0], "pair": given[1]}
    else:
        return {}
    if task == "tagging" and _are_texts(cells.get("text")):  # as a file of tokens names its column
        if "words" in cells:
            return {}  # words twice
        cells = dict(zip(("text", "words"), joined(cells["text"]), strict=True))
    if task == "tagging" and isinstance(cells.get("text"), str):
        cells.setdefault("words", tags.words(cells["text"], whole=whole))
        return cells if _are_words(cells["words"], cells["text"]) else {}
    return cells


def _are_texts(given: Any) -> bool:
    return isinstance(given, (list, tuple)) and all(isinstance(each, str) for each in given)


def _are_words(words: Any, text: str) -> bool:
    """Whether these are places (begin, end) of words in the text, none before the end of the last."""
    if not isinstance(words, (list, tuple)):
        return False
    last = 0
    for word in words:
        if not isinstance(word, (list, tuple)) or len(word) != 2 or not all(type(at) is int for at in word):
            return False
        if not last <= word[0] < word[1] <= len(text):
            return False
        last = word[1]
    return True
