"""The mistakes section: wrong answers the model was sure of, their words shaded by what drove it."""

from __future__ import annotations

from typing import Any

from attune.report import strips, wording
from attune.report.folder import KEPT_MISTAKES, Folder, finite

SHOWN_PIECES = 240  # words and gaps of a long text that are shown, around the strongest word
LONG_PIECE = 400  # characters; what lies beyond the model's window comes as one piece
FAINT = 0.08  # weaker words are not shaded: they would only be noise
FULL = 0.62  # opacity of a word with weight 1


def mistakes(folder: Folder) -> dict[str, Any]:
    """The view data of the section; texts without explanation are shown unshaded."""
    explained = [each for each in folder.explanations if each.get("predicted") != each.get("label")]
    source = (explained or folder.mistakes)[:KEPT_MISTAKES]
    return {
        "shaded": bool(explained),
        "texts": [_item(each) for each in source],
        "sentences": _sentences(folder, len(source)),
    }


def pieces(text: str, words: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """The text cut into shaded and plain pieces that together are the text again.

    Words are looked for in their order; one that is not found (normalised by the tokenizer) stays unshaded.
    """
    found: list[tuple[str, float]] = []
    start = 0
    for word in words:
        written = str(word.get("text", "")).strip()
        place = text.find(written, start) if written else -1
        if place < 0:
            continue
        if place > start:
            found.append((text[start:place], 0.0))
        weight = word.get("weight")
        found.append((written, float(weight) if finite(weight) else 0.0))
        start = place + len(written)
    if start < len(text):
        found.append((text[start:], 0.0))
    return found


def _item(entry: dict[str, Any]) -> dict[str, Any]:
    text = str(entry.get("text") or "")
    cut = (
        pieces(text, entry.get("words") or [])
        if entry.get("words")
        else [(word + " ", 0.0) for word in text.split(" ")]
    )
    shown, before, after = _window(cut)
    probability = entry.get("probability")
    return {
        "place": str(entry.get("row") or ""),
        "label": str(entry.get("label")),
        "predicted": str(entry.get("predicted")),
        "percent": wording.percent(probability),
        "bar": strips.bar(probability if finite(probability) else 0.0, "b"),
        "pieces": [_piece(part, weight) for part, weight in shown],
        "before": before,
        "after": after,
        "empty": not text.strip(),
    }


def _window(cut: list[tuple[str, float]]) -> tuple[list[tuple[str, float]], bool, bool]:
    if len(cut) <= SHOWN_PIECES:
        return cut, False, False
    strongest = max(range(len(cut)), key=lambda index: abs(cut[index][1]))
    first = min(max(0, strongest - SHOWN_PIECES // 2), len(cut) - SHOWN_PIECES)
    return cut[first : first + SHOWN_PIECES], first > 0, first + SHOWN_PIECES < len(cut)


def _piece(text: str, weight: float) -> dict[str, Any]:
    strength = min(abs(weight), 1.0)
    paint = "" if strength < FAINT else "for" if weight > 0 else "against"
    if len(text) > LONG_PIECE:
        text = f"{text[: LONG_PIECE - 100]} \N{HORIZONTAL ELLIPSIS} {text[-60:]}"
    return {
        "text": text,
        "paint": paint,
        "shade": f"{FULL * strength:.2f}",
        "weight": wording.change(weight, 2),
    }


def _sentences(folder: Folder, shown: int) -> list[str]:
    entry = (folder.metrics.get("test") or {}).get("accuracy") or {}
    if not shown:
        return ["No wrong answer is known."]
    sentences = []
    if finite(entry.get("value")) and entry.get("n"):
        wrong = round((1 - entry["value"]) * entry["n"])
        sentences.append(
            f"{wording.count(wrong)} of {wording.counted(entry['n'], 'test row')} got a wrong label."
        )
    sentences.append(
        f"Below stand the {shown} that the model was surest of. Read them: the given label may be wrong, too."
        if shown > 1
        else "Below stands the one that the model was surest of."
    )
    return sentences
