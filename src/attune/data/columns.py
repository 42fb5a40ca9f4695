"""The columns that carry a task, and how each is chosen by its name and by what its cells look like.

Neither a name nor its cells decide alone: `title` and `review` are both names of text, and only the longer is
what one wants classified; `id` is short, and has as many values as rows. What stays open is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attune.data.looks import LABEL_NAMES, MOST_FRACTIONS, PAIRS, TEXT_NAMES, Look, plain, rank
from attune.data.problems import count, some


@dataclass(frozen=True)
class Roles:
    """The task and the names of its columns in the file, with the reasons in plain words; "" is no column."""

    task: str
    text: str
    label: str | tuple[str, ...]  # several columns of 0 and 1: multilabel, named by the columns
    reasons: tuple[str, ...] = ()
    pair: str = ""
    negative: str = ""
    group: str = ""
    names: Mapping[str, str] = field(default_factory=dict)  # what numbered labels are called
    separator: str = ""  # what parts the labels of a cell, where they are joined: `a|b`
    whole: bool = False  # whether words of plain texts keep their inner signs, as the tokens of train do

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of labels: none, one or several."""
        return self.label if isinstance(self.label, tuple) else (self.label,) if self.label else ()

    @property
    def knobs(self) -> dict[str, str]:
        """The same choice as knobs of `data`, from which `infer` finds these roles again."""
        return {"text": self.text, "label": ",".join(self.labels), "pair": self.pair}


@dataclass(frozen=True)
class Asked:
    """What the user said of task and columns; `auto` where nothing."""

    task: str = "auto"
    text: str = "auto"
    label: str = "auto"  # one column, or several parted by commas
    pair: str = "auto"  # "" where the texts stand alone

    def of(self, columns: Sequence[str]) -> tuple[str, ...]:
        """The columns of labels that were named."""
        if self.label in ("auto", ""):
            return ()
        return (self.label,) if self.label in columns else tuple(map(str.strip, self.label.split(",")))


@dataclass(frozen=True)
class Choice:
    """The column for a role and what else to say; or no column and why not."""

    column: str
    say: str = ""
    between: tuple[str, ...] = ()  # the columns of which each could be it


def choose_pair(looks: Sequence[Look], asked: Asked) -> tuple[str, str]:
    """(text, pair) for columns that are named as two texts of one row; ("", "") where none are."""
    by_plain = {joined_name(held.name): held.name for held in looks if held.strings and len(held.counts) > 1}
    for one, other in PAIRS:
        text, pair = by_plain.get(joined_name(one), ""), by_plain.get(joined_name(other), "")
        if text and pair and asked.text in ("auto", text) and asked.pair in ("auto", pair):
            return text, pair
    return "", ""


def choose_text(looks: Sequence[Look]) -> Choice:
    """The column of texts: of the known names the one with most words, unless another has far more."""
    fits = [held for held in looks if held.strings and len(held.counts) > 1 and not held.numbers]
    named = [held for held in fits if rank(held.name, TEXT_NAMES) >= 0]
    wordy = sorted((held for held in fits if held.words >= 2), key=lambda held: -held.words)
    if not wordy:  # single words, as in a list of names: only a column's name can tell
        best = min(named, key=lambda held: rank(held.name, TEXT_NAMES), default=None)
        return Choice(best.name) if best else Choice("", "no column holds words")
    best = next((held for held in wordy if held in named and held.words >= wordy[0].words / 2), wordy[0])
    others = [held for held in wordy if held is not best]
    rivals = [held.name for held in others if held.words > 0.7 * best.words]
    if rivals and best not in named:
        say = f"{some([best.name, *rivals])} hold texts of much the same length; --pair COLUMN to read two"
        return Choice("", say, (best.name, *rivals))
    beside = ", ".join(f"{held.name!r} (mean {held.words:.0f} words)" for held in others if held.words >= 3)
    say = f"not read: {beside}; --text COLUMN to choose another, --pair COLUMN to read two"
    return Choice(best.name, say if beside else "")


def choose_label(looks: Sequence[Look]) -> Choice:
    """The column of labels: the best known name, else the only one of few short values, else of measurements."""
    candidates = [held for held in looks if held.counts and not held.like_text]
    ranked = [held for held in candidates if rank(held.name, LABEL_NAMES) >= 0]
    named = sorted(ranked, key=lambda held: (not held.like_labels, rank(held.name, LABEL_NAMES)))
    fits = [held for held in looks if held.like_labels and (held in named or not held.empty)]
    measures = [held for held in candidates if held.numbers and held.fractions > MOST_FRACTIONS]
    if not named and not fits and len(measures) == 1:
        return Choice(measures[0].name)
    bare = [held.name for held in looks if not held.counts and rank(held.name, LABEL_NAMES) >= 0]
    if not named and not fits and bare:
        return Choice("", f"nothing stands in {some(bare)}")
    gaps = [held for held in candidates if held.like_labels and held.empty]
    if not named and not fits and len(gaps) == 1:
        return Choice(gaps[0].name)  # the checks say which rows lack a label
    if not named and len(fits) != 1:
        values = [
            f"{held.name!r} has {count(len(held.counts), 'value')} ({held.shown()})" for held in fits[:6]
        ]
        return Choice("", "; ".join(values) or "no column has a few short values that repeat")
    # A column called `label` with one class, or a class a row, still is it: the checks say what is wrong.
    best = (named or fits)[0]
    others = ", ".join(repr(held.name) for held in named if held is not best and held in fits)
    return Choice(
        best.name, f"could be the label too: {others}; --label COLUMN to choose it" if others else ""
    )


def joined_name(name: str) -> str:
    """A name without case, blanks and signs: `sentence1` for `Sentence_1`."""
    return plain(name).replace(" ", "")
