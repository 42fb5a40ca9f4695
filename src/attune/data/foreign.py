"""Data of tasks that attune cannot learn yet, known by its columns and said in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attune.data.columns import joined_name
from attune.data.looks import look
from attune.data.schemas import sample
from attune.data.table import Table
from attune.errors import Problem

# fmt: off
LANGUAGES = {
    "en", "de", "fr", "es", "it", "pt", "nl", "ru", "zh", "ja", "ko", "ar", "tr", "pl", "cs", "sv", "da", "fi",
    "no", "hu", "ro", "bg", "el", "he", "hi", "uk", "vi", "th", "id",
}
# fmt: on
PAIRED = [
    ("summarisation", "texts with their summaries", ("article", "highlights")),
    ("summarisation", "texts with their summaries", ("document", "summary")),
    ("summarisation", "texts with their summaries", ("text", "summary")),
    ("summarisation", "conversations with their summaries", ("dialogue", "summary")),
    ("instruction tuning", "instructions with answers", ("instruction", "output")),
    ("instruction tuning", "instructions with answers", ("instruction", "response")),
    ("instruction tuning", "prompts with completions", ("prompt", "completion")),
    ("instruction tuning", "prompts with responses", ("prompt", "response")),
    ("text-to-text", "texts to be turned into texts", ("input_text", "target_text")),
    ("text-to-text", "texts to be turned into texts", ("source", "target")),
    ("text-to-text", "texts to be turned into texts", ("src", "tgt")),
    ("text-to-text", "texts to be turned into texts", ("input", "output")),
    ("text-to-text", "questions with free answers", ("question", "answer")),
]


def problem(table: Table) -> Problem | None:
    """What the data is and that its task is not there yet; None for everything else."""
    for recognise in (_chat, _preference, _translation, _paired, _raw):
        if found := recognise(table):
            task, what = found
            fix = "To learn labels all the same, name the columns: --text COLUMN --label COLUMN"
            return Problem(table.path, f"this looks like {what}; {task} is not available yet", fix=fix)
    return None


Found = tuple[str, str] | None


def _columns(table: Table, *names: str) -> list[str]:
    """The columns with these names; an empty list unless all are there."""
    plain = {joined_name(name): name for name in table.columns}
    found = [plain.get(joined_name(name), "") for name in names]
    return found if all(found) else []


def _every(table: Table, column: str, fits: Callable[[Any], bool]) -> bool:
    cells = sample(table, column)
    return bool(cells) and all(map(fits, cells))


def _chat(table: Table) -> Found:
    for name in ("messages", "conversations", "conversation", "dialog", "turns"):
        if (columns := _columns(table, name)) and _every(
            table, columns[0], lambda cell: isinstance(cell, list)
        ):
            return "dialogue", f"conversations (the turns stand in {columns[0]!r})"
    return None


def _preference(table: Table) -> Found:
    if _columns(table, "chosen", "rejected"):
        return "preference tuning", "preferences (a chosen and a rejected answer in each row)"
    if _columns(table, "prompt", "completion", "label"):
        return "preference tuning", "preferences (answers that are marked as good or bad)"
    return None


def _translation(table: Table) -> Found:
    columns = _columns(table, "translation")
    if columns and _every(table, columns[0], lambda cell: isinstance(cell, dict)):
        return "translation", "translations (both languages stand in 'translation')"
    codes = [name for name in table.columns if name.lower() in LANGUAGES]
    if len(codes) == 2 and all(_worded(table, codes)):
        return "translation", f"translations (columns {codes[0]!r} and {codes[1]!r})"
    return None


def _paired(table: Table) -> Found:
    for task, what, names in PAIRED:
        if (columns := _columns(table, *names)) and all(_worded(table, columns)):
            return task, f"{what} (columns {columns[0]!r} and {columns[1]!r})"
    return None


def _worded(table: Table, columns: Sequence[str]) -> list[bool]:
    """Whether each of these columns holds texts and not a few labels."""
    looks = [look(name, table.column(name)) for name in columns]
    return [held.strings and not held.numbers and not held.like_labels for held in looks]


def _raw(table: Table) -> Found:
    """Texts with nothing beside them."""
    if len(table.columns) > 1:
        return None
    held = look(table.columns[0], table.column(table.columns[0]))
    if not held.strings or held.words < 2:
        return None
    return "pre-training", f"raw text (one column, {held.name!r})"
