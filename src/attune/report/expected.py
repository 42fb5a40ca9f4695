"""What to expect of new rows, in sentences that are true of each kind of run."""

from __future__ import annotations

from typing import Any

from attune.metrics.scales import scale, wilson
from attune.report import scores, wording
from attune.report.folder import Folder, finite
from attune.report.kinds import Kind, kind_of
from attune.report.numbers import bounds

HUNDRED = {
    "classification": ("accuracy", "Of 100 new texts like these, about {} would get the right label."),
    "sentiment": ("accuracy", "Of 100 new texts like these, the mood of about {} would be told right."),
    "multilabel": (
        "subset_accuracy",
        "Of 100 new texts like these, about {} would get exactly the right labels, none missed and none invented.",
    ),
    "tags": ("overall_accuracy", "Of 100 words in new texts like these, about {} would get the right tag."),
    "qa": ("exact_match", "Of 100 new questions like these, about {} would be answered word for word."),
    "retrieval": (
        "recall@1",
        "Of 100 texts like these, about {} would find their own partner before all others of the test.",
    ),
}
TWO = {
    "qa": (
        ("HasAns_exact", "NoAns_exact"),
        "Of 100 questions whose answer is in the text, about {} would be answered word for word; of 100 whose answer "
        "is not, about {} would be told to have none.",
    ),
    "entities": (
        ("overall_recall", "overall_precision"),
        "Of 100 entities in new texts like these, it would find about {}; of 100 that it marks, about {} would be "
        "right in extent and type.",
    ),
}
SAME = {"overall_accuracy": "accuracy"}  # other names of the same measure


def sentences(folder: Folder, metric: str, split: str) -> list[str]:
    """What the scores of a split promise, what the main metric is, and how sure that is."""
    kind, entries = kind_of(folder), folder.metrics[split]
    found = [_hundred(kind, entries), _two(kind, entries), _error(kind, folder, entries)]
    found += [_meaning(metric, kind), _interval(entries[metric])]
    return [sentence for sentence in found if sentence]


def _hundred(kind: Kind, entries: dict[str, Any]) -> str:
    metric, told = HUNDRED.get(kind.name, ("", ""))
    share = _value(entries, metric, SAME.get(metric, ""))
    if share is None:
        return ""
    whole = scale(metric).high
    low, high = _range(entries, metric, share / whole, whole)
    return told.format(f"{round(100 * share / whole)} ({round(100 * low)} to {round(100 * high)})")


def _two(kind: Kind, entries: dict[str, Any]) -> str:
    """Both sides of what one mean hides."""
    metrics, told = TWO.get(kind.name, ((), ""))
    shares = {metric: _value(entries, metric) for metric in metrics}
    known = [100 * share / scale(metric).high for metric, share in shares.items() if share is not None]
    return told.format(*map(round, known)) if known and len(known) == len(metrics) else ""


def _range(entries: dict[str, Any], metric: str, share: float, whole: float) -> tuple[float, float]:
    """The 95 % interval of a share, as the tables have it; Wilson's where a resampled one has no width.

    Rows that are all right, or all wrong, resample to themselves, which says nothing of the rows that are not there.
    """
    entry = next(entries[name] for name in (metric, SAME.get(metric, "")) if name in entries)
    bounds = (entry.get("low"), entry.get("high"))
    told = all(map(finite, bounds))
    if told and bounds[0] < bounds[1]:
        return bounds[0] / whole, bounds[1] / whole
    # words are not alone in their rows, of which there are fewer
    if metric != "overall_accuracy" and finite(entry.get("n")) and entry["n"] > 0:
        return wilson(share, float(entry["n"]))
    return (bounds[0] / whole, bounds[1] / whole) if told else (share, share)


def _error(kind: Kind, folder: Folder, entries: dict[str, Any]) -> str:
    error = _value(entries, "mae")
    if kind.name != "regression" or error is None:
        return ""
    known = bounds(folder)
    where = (
        f", where the true numbers go from {wording.number(known[0])} to {wording.number(known[1])}"
        if known
        else ""
    )
    return f"A new prediction would be off by about {scores.written('mae', error, 2)} on average{where}."


def _meaning(metric: str, kind: Kind) -> str:
    told, best = scores.explained(metric, kind), scores.perfect(metric)
    if not told:
        return ""
    plain = ("share", "balance", "mean", "chance", "typical", "agreement", "penalty", "overlap")
    verb = "is the" if told.startswith(plain) else "tells" if told.startswith("how") else "is"
    name = wording.metric_name(metric)
    return f"{name[0].upper()}{name[1:]} {verb} {told}" + (f"; {best}." if best else ".")


def _interval(entry: dict[str, Any]) -> str:
    doubt = scores.note(entry)
    if doubt:
        return f"Read its brackets with care: {doubt}."
    return "The brackets hold the true value in 95 of 100 such tests." if wording.interval(entry) else ""


def _value(entries: dict[str, Any], *metrics: str) -> float | None:
    for metric in metrics:
        value = (entries.get(metric) or {}).get("value")
        if finite(value):
            return float(value)
    return None
