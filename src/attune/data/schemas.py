"""Tables that are known by their columns: tagged words, questions with answers, pairs alike, and other tasks' data.

Each recogniser returns the roles it is sure of, or None. What attune cannot learn yet is said in one sentence,
unless the user named the columns or the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from attune.data import spans
from attune.data.cells import decoded
from attune.data.columns import Asked, Roles, choose_pair, choose_text, joined_name
from attune.data.looks import is_missing, look
from attune.data.problems import count, some
from attune.data.table import Table

SAMPLE = 200  # filled cells from which a column's structure is told
TOKENS = ("tokens", "words", "token", "text")
TAGS = (
    "ner_tags",
    "ner",
    "tags",
    "slots",
    "seq.out",
    "labels",
    "label",
    "upos",
    "pos_tags",
    "pos",
    "chunk_tags",
)
CONTEXTS = ("context", "passage", "paragraph", "document")
QUESTIONS = ("question", "query")
ANSWERS = ("answers", "answer")
ALIKE = [
    ("anchor", "positive"),
    ("anchor", "pos"),
    ("query", "positive"),
    ("query", "pos"),
    ("query", "answer"),
]
SCORES = ("score", "label", "similarity", "similarity_score")


def tagging(table: Table, asked: Asked) -> Roles | None:
    """Tokens with tags, or a text with spans."""
    return _tokens(table, asked) or _spans(table, asked) or _beside(table, asked)


def qa(table: Table, asked: Asked) -> Roles | None:
    """Question, context and answers that stand in the context."""
    question = _named(table, QUESTIONS) if asked.text == "auto" else asked.text
    context = _named(table, CONTEXTS) if asked.pair == "auto" else asked.pair
    given = asked.of(table.columns)
    answers = given[0] if given else _named(table, ANSWERS)
    if not (question and context and answers) or len({question, context, answers}) < 3:
        return None
    held = sample(table, answers)
    by_place = bool(held) and all(map(answer_texts, held))
    if not (asked.task == "qa" or by_place or _stand_inside(table, answers, context)):
        return None
    title = _named(table, ("title",))
    reasons = (
        f"text: {question!r} (the questions)",
        f"pair: {context!r} (where the answers stand)",
        f"label: {answers!r} (answers by their place)",
        f"questions on one {title or context!r} stay in one split",
    )
    return Roles("qa", question, answers, reasons, pair=context, group=title or context)


def _stand_inside(table: Table, answers: str, context: str) -> bool:
    """Whether the cells are answers in plain words, one or a list, that all stand in their context."""
    for cell, text in zip(table.column(answers)[:SAMPLE], table.column(context)[:SAMPLE], strict=True):
        if is_missing(cell):
            continue
        held = decoded(cell)
        words = held if isinstance(held, list) else [held]
        if not all(isinstance(word, str) and word in str(text) for word in words):
            return False
    return True


def similarity(table: Table, asked: Asked) -> Roles | None:
    """Texts that are alike in pairs or triplets, with or without a score."""
    pair = _alike(table, asked)
    if not all(pair):
        return None
    looks = {name: look(name, table.column(name)) for name in pair}
    if not all(held.strings for held in looks.values()):
        return None
    given = asked.of(table.columns)
    scores = [name for name in (_named(table, [each]) for each in SCORES) if name and _numbers(table, name)]
    score = given[0] if given else (scores[0] if scores and asked.label == "auto" else "")
    negative = _named(table, ("negative", "neg"))
    reasons = (
        f"text: {pair[0]!r} (mean {looks[pair[0]].words:.0f} words)",
        f"pair: {pair[1]!r} (mean {looks[pair[1]].words:.0f} words)",
        f"label: {score!r} (how alike the two are)" if score else "no label: every pair is alike",
        *([f"negative: {negative!r} (not alike)"] if negative else []),
    )
    return Roles("similarity", pair[0], score, reasons, pair=pair[1], negative=negative)


def _alike(table: Table, asked: Asked) -> tuple[str, str]:
    """The two columns of texts that are alike, by name or because the user says so; "" where there are none."""
    pairs = [(_named(table, [one]), _named(table, [other])) for one, other in ALIKE]
    found = next((pair for pair in pairs if all(pair)), ("", ""))
    if asked.task == "similarity":
        if asked.text != "auto" and asked.pair not in ("auto", ""):
            found = (asked.text, asked.pair)
        elif not all(found):
            looks = [look(name, table.column(name)) for name in table.columns]
            found = choose_pair(looks, asked)
            texts = [held.name for held in looks if held.strings and held.words > 1]
            if not all(found) and len(texts) == 2 and asked.text == asked.pair == "auto":
                found = texts[0], texts[1]
    same = asked.text in ("auto", found[0]) and asked.pair in ("auto", found[1])
    return found if same else ("", "")


def _numbers(table: Table, column: str) -> bool:
    return look(column, table.column(column)).numbers


def sample(table: Table, column: str) -> list[Any]:
    """The first cells of a column that hold something."""
    return list(islice((cell for cell in table.column(column) if not is_missing(cell)), SAMPLE))


def answer_texts(cell: Any) -> bool:
    """True for answers as SQuAD has them: {text: [...], answer_start: [...]} or a list of {text, ...}."""
    cell = decoded(cell)
    if isinstance(cell, Mapping):
        return "text" in cell
    return isinstance(cell, list) and all(isinstance(each, Mapping) and "text" in each for each in cell)


def _named(table: Table, names: Sequence[str]) -> str:
    """The column with the first of these names; "" where there is none."""
    plain = {joined_name(name): name for name in table.columns}
    return next((plain[joined_name(name)] for name in names if joined_name(name) in plain), "")


def _lists(table: Table) -> dict[str, list[list[Any]]]:
    """The columns that hold a list of plain values in every row, with their first cells."""
    found = {}
    for name in table.columns:
        cells = [decoded(cell) for cell in sample(table, name)]
        if cells and all(isinstance(c, list) and all(isinstance(v, (str, int)) for v in c) for c in cells):
            found[name] = cells
    return found


def _tokens(table: Table, asked: Asked) -> Roles | None:
    """A column of lists of words and one of lists of as many tags."""
    lists = _lists(table)
    words = [
        n for n, cells in lists.items() if any(cells) and all(isinstance(v, str) for c in cells for v in c)
    ]
    named = [name for each in TOKENS for name in words if joined_name(name) == joined_name(each)]
    if not named and asked.task == "tagging":
        named = words
    text = asked.text if asked.text != "auto" else (named or [""])[0]
    if text not in words:
        return None
    lengths = list(map(len, lists[text]))
    tags = [name for name, cells in lists.items() if name != text and list(map(len, cells)) == lengths]
    given = asked.of(table.columns)
    if given:
        label = given[0] if given[0] in tags else ""
    else:
        label = next(
            (name for each in TAGS for name in tags if name.lower() == each), tags[-1] if tags else ""
        )
    if not label:
        return None
    others = [repr(name) for name in tags if name != label]
    values = {str(value) for cell in lists[label] for value in cell}
    reasons = [
        f"text: {text!r} (mean {sum(lengths) / len(lengths):.0f} tokens)",
        f"label: {label!r} (one tag a token, such as {', '.join(sorted(values)[:4])})",
    ]
    if others:
        reasons.append(f"could be the tags too: {', '.join(others)}; --label COLUMN to choose another")
    document = _named(table, ("document",))
    return Roles("tagging", text, label, tuple(reasons), group="" if document in (text, label) else document)


def _spans(table: Table, asked: Asked) -> Roles | None:
    """A column of texts and one of spans, by begin, end and label."""
    given = asked.of(table.columns)
    marked = []
    for name in given or table.columns:
        cells = [spans.marked(cell) for cell in sample(table, name)]
        if cells and None not in cells and any(cells):
            marked.append(name)
    if not marked or (len(marked) > 1 and not given):
        marked = [name for name in marked if joined_name(name) in ("spans", "entities", "label", "labels")][
            :1
        ]
    if not marked:
        return None
    text = _named(table, ("text",)) if asked.text == "auto" else asked.text
    if not text:
        looks = [look(name, table.column(name)) for name in table.columns if name not in marked]
        text = choose_text([held for held in looks if held.strings]).column
    if not text:
        return None
    kinds = sorted({span.kind for cell in sample(table, marked[0]) for span in spans.marked(cell) or []})
    reasons = (
        f"text: {text!r}",
        f"label: {marked[0]!r} (spans of {count(len(kinds), 'type')}: {some(kinds, 4)})",
    )
    return Roles("tagging", text, marked[0], reasons)


def _beside(table: Table, asked: Asked) -> Roles | None:
    """A text and as many tags as it has parts between blanks, both in one line each."""
    given = asked.of(table.columns)
    label = given[0] if given else _named(table, ("seq.out", "tags", "ner_tags", "slots"))
    texts = [name for name in table.columns if name != label]
    text = asked.text if asked.text != "auto" else _named(table, ("seq.in", "text", "sentence", "tokens"))
    if not label or text not in texts:
        return None
    lines = list(zip(table.column(text)[:SAMPLE], table.column(label)[:SAMPLE], strict=True))
    if not all(isinstance(cell, str) for line in lines for cell in line):
        return None
    if not given and "label" in table.columns:
        return None  # both kinds of labels: the one of the whole text is usual, the other is asked for
    widths = [(len(words.split()), len(tags.split())) for words, tags in lines]
    if any(words != tags for words, tags in widths) or max(words for words, _ in widths) < 2:
        return None
    reasons = (f"text: {text!r}", f"label: {label!r} (one tag a word)")
    return Roles("tagging", text, label, reasons)
