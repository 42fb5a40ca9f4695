"""The quality section: the scores of each label, type or tag, and what else a kind of run has to show of them."""

from __future__ import annotations

from typing import Any

from attune.report import charts, scores, strips, wording
from attune.report.answers import answerable
from attune.report.confusion import confusion
from attune.report.folder import Folder, finite
from attune.report.kinds import Kind, kind_of
from attune.report.numbers import plot

SHOWN_LABELS = 20
FEW_ROWS = 10
SCHEMES = {
    "strict": "extent and type",
    "exact": "extent, whatever the type",
    "partial": "extent, an overlap counting half",
    "type": "type, with any overlap",
}
PARTS = ("classes", "matching", "answerable", "plot", "ranks")
NEAR = 0.04  # F1 that is gained by overlooking something, from which on it is worth a sentence


def quality(folder: Folder) -> dict[str, Any] | None:
    """The view data of the section, or None where the run has nothing for it."""
    test, kind = folder.details.get("test") or {}, kind_of(folder)
    thresholds = test.get("thresholds") or {}
    classes = [_class(entry, kind, thresholds) for entry in test.get("per_class") or []]
    if len(classes) > SHOWN_LABELS:
        classes.sort(key=lambda entry: entry["order"])
    labels = [str(label) for label in folder.details.get("labels") or []]
    confused = confusion(labels, test.get("confusion") or [])
    view = {
        "heading": kind.quality,
        "label": kind.label,
        "units": wording.plural(kind.unit),
        "classes": classes,
        "thresholds": bool(thresholds),
        "few": any(entry["few"] for entry in classes),
        "shown": SHOWN_LABELS,
        "labels": labels,
        **confused,
        "curves": _curves(folder, test, labels),
        "matching": _matching(folder),
        "answerable": answerable(folder),
        "plot": plot(folder),
        "ranks": _ranks(folder),
    }
    view["sentences"] = _sentences(view, kind)
    return view if any(view[part] for part in PARTS) else None


def _class(entry: dict[str, Any], kind: Kind, thresholds: dict[str, Any]) -> dict[str, Any]:
    f1: Any = entry.get("f1")
    return {
        "label": str(entry.get("label")),
        "order": f1 if finite(f1) else 2,
        "precision": wording.score(entry.get("precision")),
        "recall": wording.score(entry.get("recall")),
        "f1": wording.score(f1),
        "bar": strips.bar(f1 if finite(f1) else 0),
        "support": wording.count(entry.get("support")),
        "rows": entry.get("support") or 0,
        "told": wording.counted(entry.get("support") or 0, kind.unit),
        "few": (entry.get("support") or 0) < FEW_ROWS,
        "threshold": wording.percent(thresholds.get(str(entry.get("label")))),
    }


def _sentences(view: dict[str, Any], kind: Kind) -> list[str]:
    sentences = []
    tested = [entry for entry in view["classes"] if entry["rows"]]
    ranked = sorted(tested, key=lambda entry: entry["order"])
    if len(tested) > 1 and ranked[0]["f1"] != ranked[-1]["f1"]:
        sentences.append(
            f"Best: \u201c{ranked[-1]['label']}\u201d with F1 {ranked[-1]['f1']}. "
            f"Weakest: \u201c{ranked[0]['label']}\u201d with F1 {ranked[0]['f1']}, on {ranked[0]['told']}."
        )
    if view["pairs"]:
        pair = view["pairs"][0]
        sentences.append(
            f"The commonest mistake: \u201c{pair['true']}\u201d is taken for "
            f"\u201c{pair['predicted']}\u201d, {pair['n']} of {wording.counted(pair['support'], 'row')}."
        )
    elif tested and kind.choice:
        sentences.append(f"No row was given a wrong {kind.label}.")
    for part in ("matching", "answerable", "plot"):
        sentences += view[part]["sentences"] if view[part] else []
    return sentences


def _matching(folder: Folder) -> dict[str, Any] | None:
    """Entity scores under four ideas of what is right, or None where no entities were marked."""
    entries = folder.metrics.get("test") or {}
    told = (folder.details.get("test") or {}).get("matching") or {}
    lines, f1s = [], {}
    for scheme, words in SCHEMES.items():
        of_scheme = told.get(scheme) or {}
        found = {
            measure: (entries.get(f"{scheme}_{measure}") or {}).get("value", of_scheme.get(measure))
            for measure in ("precision", "recall", "f1")
        }
        if not finite(found["f1"]):
            continue
        f1s[scheme] = found["f1"]
        written = {measure: wording.score(value) for measure, value in found.items()}
        lines.append({"words": words, **written, "bar": strips.bar(found["f1"])})
    return {"lines": lines, "sentences": _near(f1s)} if lines else None


def _ranks(folder: Folder) -> list[dict[str, Any]]:
    """The share of the rows whose partner is among the k nearest texts, for each k."""
    entries = folder.metrics.get("test") or {}
    found = {int(k): entry for name, entry in entries.items() if (k := scores.nearest(name)) and entry}
    return [
        {
            "k": wording.count(k),
            "share": wording.percent(entry.get("value")),
            "interval": f"[{wording.percent(entry.get('low'))}, {wording.percent(entry.get('high'))}]",
            "bar": strips.bar(entry["value"] if finite(entry.get("value")) else 0.0),
        }
        for k, entry in sorted(found.items())
    ]


def _near(f1s: dict[str, float]) -> list[str]:
    strict = f1s.get("strict")
    if strict is None:
        return []
    borders, types = f1s.get("type", strict) - strict, f1s.get("exact", strict) - strict
    sentences = []
    if borders >= NEAR and borders >= types:
        sentences.append(
            "Many misses are near: the type is right, only where the entity begins or ends is not."
        )
    elif types >= NEAR:
        sentences.append("Many misses are near: the entity is found whole, only its type is wrong.")
    return sentences


def _curves(folder: Folder, test: dict[str, Any], labels: list[str]) -> dict[str, Any] | None:
    if len(labels) != 2 or not (test.get("roc") or test.get("pr")):
        return None
    entries = folder.metrics.get("test") or {}
    supports: list[Any] = [entry.get("support") or 0 for entry in test.get("per_class") or []]
    share = supports[1] / sum(supports) if len(supports) == 2 and any(supports) else 0.5
    roc = charts.rates(test["roc"], "false alarms", "found", [(0, 0), (1, 1)]) if test.get("roc") else ""
    pr = (
        charts.rates(test["pr"], "found (recall)", "right (precision)", [(0, share), (1, share)])
        if test.get("pr")
        else ""
    )
    return {
        "positive": labels[1],
        "roc": roc,
        "pr": pr,
        "auc": wording.with_interval(entries.get("roc_auc")),
        "ap": wording.with_interval(entries.get("average_precision")),
    }
