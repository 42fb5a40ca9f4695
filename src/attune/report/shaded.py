"""Texts of wrong labels, their words shaded by what drove the model, and plain texts that stand beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

from attune.report import wording
from attune.report.folder import finite

SHOWN_PIECES = 240  # words and gaps of a long text that are shown, around the strongest word
LONG_PIECE = 400  # characters; what the model did not read comes as one piece
FAINT = 0.08  # weaker words are not shaded: they would only be noise
FULL = 0.62  # opacity of a word with weight 1
MARKS = {
    "cut": "not read: beyond max_tokens{}",
    "unexplained": "read in a later window, which is not explained here",
}


class Piece(NamedTuple):
    """A part of a text: how much it spoke for the prediction, in [-1, 1], and why it has no say."""

    text: str
    weight: float = 0.0
    mark: str = ""  # cut: not read; unexplained: read in another window than the one that was explained


GAP = Piece(" \N{HORIZONTAL ELLIPSIS} ")


def shaded(text: str, words: list[dict[str, Any]]) -> dict[str, Any]:
    """The view of a text: its pieces around the strongest word, and whether more stands before and after them."""
    cut = pieces(text, words) if words else [Piece(word + " ") for word in text.split(" ")]
    shown, before, after = _window(cut)
    return {
        "pieces": [_piece(each) for each in shown],
        "before": before,
        "after": after,
        "empty": not text.strip(),
    }


def legends(texts: list[dict[str, Any]], limit: Any) -> list[str]:
    """What the marks that occur in some views mean; `limit` is the most tokens that the model reads."""
    used = {piece["mark"] for text in texts for piece in text["pieces"]}
    most = f" ({wording.count(limit)})" if finite(limit) else ""
    return [meaning.format(most) for mark, meaning in MARKS.items() if mark in used]


def pieces(text: str, words: list[dict[str, Any]]) -> list[Piece]:
    """The text cut into shaded, marked and plain pieces that together are the text again.

    Words are looked for in their order; one that is not found (normalised by the tokenizer) stays unshaded.
    Neighbours with the same mark are one piece.
    """
    found: list[Piece] = []
    start = 0
    for word in words:
        written = str(word.get("text", "")).strip()
        place = text.find(written, start) if written else -1
        if place < 0:
            continue
        mark = next((mark for mark in MARKS if word.get(mark)), "")
        if mark and found and found[-1].mark == mark:
            found[-1] = Piece(found[-1].text + text[start : place + len(written)], 0.0, mark)
        else:
            weight = word.get("weight")
            gap = [Piece(text[start:place])] if place > start else []
            found += [*gap, Piece(written, float(weight) if finite(weight) and not mark else 0.0, mark)]
        start = place + len(written)
    if start < len(text):
        found.append(Piece(text[start:]))
    return found


def _window(cut: list[Piece]) -> tuple[list[Piece], bool, bool]:
    """The pieces around the strongest and the marked ones, and whether more stand before and after them."""
    if len(cut) <= SHOWN_PIECES:
        return cut, False, False
    strongest = max(range(len(cut)), key=lambda index: abs(cut[index].weight))
    first = min(max(0, strongest - SHOWN_PIECES // 2), len(cut) - SHOWN_PIECES)
    last = first + SHOWN_PIECES
    early = [part for piece in cut[:first] if piece.mark for part in (piece, GAP)]
    late = [part for piece in cut[last:] if piece.mark for part in (GAP, piece)]
    return (
        [*early, *cut[first:last], *late],
        first > 0 and not cut[0].mark,
        last < len(cut) and not cut[-1].mark,
    )


def _piece(piece: Piece) -> dict[str, Any]:
    text, strength = piece.text, min(abs(piece.weight), 1.0)
    paint = "" if strength < FAINT else "for" if piece.weight > 0 else "against"
    if len(text) > LONG_PIECE:
        head, tail = text[: LONG_PIECE - 100], text[-60:]
        # between words, where there are blanks
        head, tail = head.rpartition(" ")[0] or head, tail.partition(" ")[2] or tail
        text = f"{head} \N{HORIZONTAL ELLIPSIS} {tail}"
    return {
        "text": text,
        "mark": piece.mark,
        "paint": paint,
        "shade": f"{FULL * strength:.2f}",
        "weight": wording.change(piece.weight, 2),
    }
