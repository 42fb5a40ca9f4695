"""What a column looks like: its name, and what its cells are made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attune.data.cells import decoded

# fmt: off
TEXT_NAMES = [  # the likelier first
    "text", "sentence", "review", "tweet", "comment", "message", "content", "body", "utterance", "document",
    "post", "article", "description", "question", "query", "sms", "abstract", "sentence1", "title",
    "headline", "seq in",
]
LABEL_NAMES = [
    "label", "labels", "class", "category", "sentiment", "target", "intent", "topic", "emotion", "polarity",
    "stars", "rating", "score", "tag", "gold", "spam", "y",
]
BESIDE_NAMES = [
    "id", "idx", "index", "guid", "uuid", "date", "time", "timestamp", "url", "user", "author", "name",
    "split",
]
# fmt: on
PAIRS = [
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("sentence a", "sentence b"),
    ("text a", "text b"),
    ("s1", "s2"),
    ("1 string", "2 string"),  # MRPC
    ("text", "text pair"),
    *(
        (text, aspect)
        for text in ("text", "sentence", "review")
        for aspect in ("aspect", "aspect term", "term")
    ),
    ("question", "sentence"),  # QNLI
    ("question", "passage"),  # BoolQ
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
    ("context", "statement"),  # ANLI
]
KNOWN_NAMES = {*TEXT_NAMES, *LABEL_NAMES, *BESIDE_NAMES, *(name for pair in PAIRS for name in pair)}

NUMBER_NAMES = [
    "score",
    "rating",
    "points",
    "price",
    "grade",
    "similarity",
]  # of numbers, where values are many
STEP_NAMES = [*NUMBER_NAMES, "stars"]  # of numbers whose order means something, also where they are few
MOST_LABEL_WORDS = 6  # mean words of a cell; a column with more holds text
MOST_LABELS = 1000
ROOM = (
    1 << 25
)  # bytes that the different values of a column may take; of more only the extremes are told apart
VALUE = 120  # bytes that each takes beside its characters
MOST_FRACTIONS = 20  # a column with more different fractions holds measurements
COMMA = re.compile(r"\s*[-+]?\d+(,\d+)?\s*")  # a number with a decimal comma
THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2}(,\d{3})+\s*")  # as in 1,300, which is no 1.3
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Look:
    """What the cells of a column look like."""

    name: str
    words: float  # mean words of a cell
    counts: Counter[str]  # filled cells by the name they have as a label
    empty: int  # cells without a value
    strings: bool  # every filled cell is a string
    scalars: bool  # every filled cell is a string, a number or a boolean
    lists: bool  # every filled cell is a list of such; `counts` and `words` are then of what stands in them
    single: bool  # and every such list holds one
    fractions: int  # different values with a fraction, where all values are numbers
    many: bool = (
        False  # more values than are in `counts`, which has the first, the extremes and what is no number
    )

    @property
    def numbers(self) -> bool:
        """Whether every filled cell is a number, or spells one."""
        return bool(self.counts) and all(map(NUMBER.fullmatch, self.counts))

    @property
    def like_text(self) -> bool:
        """Whether the cells have too many words for labels."""
        return self.words > MOST_LABEL_WORDS

    @property
    def like_labels(self) -> bool:
        """Whether the column has at least two values, all short, and values that repeat."""
        most = max(2, min(MOST_LABELS, self.counts.total() // 2))
        few = 2 <= len(self.counts) <= most and self.fractions <= MOST_FRACTIONS
        return (
            few
            and (self.scalars or self.lists)
            and not self.like_text
            and plain(self.name) not in BESIDE_NAMES
        )

    def shown(self, most: int = 4) -> str:
        """The most frequent values, in order of their names."""
        names = [
            value if len(value) <= 24 else value[:23] + "…" for value, _ in self.counts.most_common(most)
        ]
        return ", ".join(sorted(names)) + (", ..." if len(self.counts) > most else "")


def look(name: str, cells: Sequence[Any]) -> Look:
    """The look of a column."""
    lists = _all_lists(cells)
    counts: Counter[str] = Counter()
    empty = words = parts = 0
    room, rest = ROOM, _Rest()
    strings = scalars = single = True
    for cell in cells:
        if is_missing(cell):
            empty += 1
            continue
        held = decoded(cell) if lists else cell
        strings, scalars = strings and isinstance(held, str), scalars and isinstance(held, (str, int, float))
        single = single and lists and len(held) == 1
        for part in held if lists else (held,):
            value = label_name(part)
            parts, words = parts + 1, words + len(value.split())
            if value in counts or room > 0:
                room -= 0 if value in counts else len(value) + VALUE
                counts[value] += 1
            else:
                rest.add(value)
    counts.update(rest.told)
    numbers = all(map(NUMBER.fullmatch, counts))
    return Look(
        name,
        words=words / max(1, parts),
        counts=counts,
        empty=empty,
        strings=strings,
        scalars=scalars,
        lists=lists,
        single=lists and single,
        fractions=sum(not float(value).is_integer() for value in counts) if numbers else 0,
        many=bool(rest.told),
    )


class _Rest:
    """Of values that are too many to be told apart: the least and the greatest number, and one that is no number."""

    def __init__(self) -> None:
        self.least = self.greatest = self.odd = ""

    def add(self, value: str) -> None:
        """Looks at one more."""
        if self.odd:
            return
        if not NUMBER.fullmatch(value):
            self.odd = value
        elif not self.least or float(value) < float(self.least):
            self.least = value
        if not self.odd and (not self.greatest or float(value) > float(self.greatest)):
            self.greatest = value

    @property
    def told(self) -> set[str]:
        """What there is of these."""
        return {self.least, self.greatest, self.odd} - {""}


def _all_lists(cells: Iterable[Any]) -> bool:
    """Whether every filled cell is a list of plain values, also as text; and there are filled ones."""
    lists = False
    for cell in cells:
        if not is_missing(cell):
            lists = _plain_list(decoded(cell))
            if not lists:
                return False
    return lists


def decimal_commas(cells: Sequence[str]) -> bool:
    """Whether these texts are numbers some of which have a decimal comma, and not all such commas part thousands."""
    commas = [cell for cell in cells if "," in cell]
    return bool(commas) and all(map(COMMA.fullmatch, cells)) and not all(map(THOUSANDS.fullmatch, commas))


def with_points(column: Look, *, sure: bool = False) -> Look:
    """The same column with its decimal commas as points, where that is what they are, or the user is `sure` of it.

    `2,5` may also be two labels, and `1,300` more than a thousand. It is a decimal where the column is called like a
    number, where it could be no list, as in `3,05`, and where most of the parts never stand alone.
    """
    values = [value.strip() for value in column.counts if "," in value]
    if not decimal_commas(list(column.counts)):
        return column
    odd = any(len(part) > 1 and part[0] == "0" for part in (value.partition(",")[2] for value in values))
    alone = sum(all(part in column.counts for part in value.split(",")) for value in values)
    if not (sure or rank(column.name, STEP_NAMES) >= 0 or odd or 2 * alone < len(values)):
        return column
    counts = Counter({value.replace(",", "."): times for value, times in column.counts.items()})
    fractions = sum(not float(value).is_integer() for value in counts)
    return replace(column, counts=counts, fractions=fractions)


def _plain_list(cell: Any) -> bool:
    return isinstance(cell, list) and all(isinstance(part, (str, int, float)) for part in cell)


def label_name(value: Any) -> str:
    """What a cell is called as a label: `true` and `false` for booleans, else the value as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_missing(value: Any) -> bool:
    """True for a cell without a value: null, not a number, or a text of blanks."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and value != value)


def plain(name: str) -> str:
    """A name in lower case, blanks between its words: `review text` for `reviewText` and `review_text`."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).strip().lower()


def known_name(name: str) -> bool:
    """True for a name that columns of texts or labels, or the columns beside them, often have."""
    return plain(name) in KNOWN_NAMES


def telling_name(name: str) -> bool:
    """True for a name that hardly ever is a cell: of texts and labels; `time` and `name` may well be one."""
    return known_name(name) and plain(name) not in BESIDE_NAMES


def rank(name: str, known: Sequence[str]) -> int:
    """How good a name is, 0 the best: one of the known, then one with such a word in it; -1 for any other."""
    whole = plain(name)
    if whole in known:
        return known.index(whole)
    words = whole.split()
    if any(word in BESIDE_NAMES for word in words):
        return -1
    return next((len(known) + place for place, each in enumerate(known) if each in words), -1)
