"""The quality sections: each label, who is taken for whom, and whether the probabilities can be believed."""

from __future__ import annotations

from typing import Any

from attune.report import charts, strips, wording
from attune.report.folder import Folder, finite

HEAT_LABELS = 20  # a heat map of more labels cannot be read; its largest cells are listed instead
BESIDE = 5  # so few labels leave room for the map beside the table
SHOWN_LABELS = 20
SHOWN_PAIRS = 15
DARK_CELL = 0.75  # from this share on, a cell's number is written in light ink


def quality(folder: Folder) -> dict[str, Any]:
    """The view data of the per-label section."""
    test = folder.details.get("test") or {}
    classes = [_class(entry) for entry in test.get("per_class") or []]
    if len(classes) > SHOWN_LABELS:
        classes.sort(key=lambda entry: entry["order"])
    labels = [str(label) for label in folder.details.get("labels") or []]
    confusion = test.get("confusion") or []
    pairs = confused_pairs(labels, confusion)
    return {
        "classes": classes,
        "shown": SHOWN_LABELS,
        "sentences": _sentences(classes, pairs),
        "heat": _heat(labels, confusion) if 0 < len(confusion) <= HEAT_LABELS else None,
        "beside": 0 < len(confusion) <= BESIDE,
        "upright": len(labels) > 6 or any(len(label) > 9 for label in labels),
        "labels": labels,
        "pairs": pairs[:SHOWN_PAIRS],
        "more_pairs": max(0, len(pairs) - SHOWN_PAIRS),
        "curves": _curves(folder, test, labels),
    }


def confused_pairs(labels: list[str], confusion: list[list[int]]) -> list[dict[str, Any]]:
    """Which label is taken for which other one, the most rows first."""
    found: list[dict[str, Any]] = [
        {"true": labels[i], "predicted": labels[j], "n": n, "share": n / sum(row), "support": sum(row)}
        for i, row in enumerate(confusion)
        for j, n in enumerate(row)
        if n and i != j
    ]
    found.sort(key=lambda pair: (-pair["n"], -pair["share"]))
    return [
        {**pair, "percent": wording.percent(pair["share"]), "bar": strips.bar(pair["share"], "b")}
        for pair in found
    ]


def _class(entry: dict[str, Any]) -> dict[str, Any]:
    f1: Any = entry.get("f1")
    return {
        "label": str(entry["label"]),
        "order": f1 if finite(f1) else 2,
        "precision": wording.score(entry.get("precision")),
        "recall": wording.score(entry.get("recall")),
        "f1": wording.score(f1),
        "bar": strips.bar(f1 if finite(f1) else 0),
        "support": wording.count(entry.get("support")),
        "rows": entry.get("support") or 0,
        "few": (entry.get("support") or 0) < 10,
    }


def _sentences(classes: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> list[str]:
    sentences = []
    tested = [entry for entry in classes if entry["rows"]]
    if len(tested) > 1:
        ranked = sorted(tested, key=lambda entry: entry["order"])
        sentences.append(
            f"Best: \u201c{ranked[-1]['label']}\u201d with F1 {ranked[-1]['f1']}. "
            f"Weakest: \u201c{ranked[0]['label']}\u201d with F1 {ranked[0]['f1']}, "
            f"on {wording.counted(ranked[0]['rows'], 'row')}."
        )
    if pairs:
        pair = pairs[0]
        sentences.append(
            f"The commonest mistake: \u201c{pair['true']}\u201d is taken for "
            f"\u201c{pair['predicted']}\u201d, {pair['n']} of {wording.counted(pair['support'], 'row')}."
        )
    elif tested:
        sentences.append("No row was given a wrong label.")
    return sentences


def _heat(labels: list[str], confusion: list[list[int]]) -> list[dict[str, Any]]:
    return [
        {
            "label": labels[i],
            "total": wording.count(sum(row)),
            "cells": [_cell(labels, i, j, row) for j in range(len(row))],
        }
        for i, row in enumerate(confusion)
    ]


def _cell(labels: list[str], i: int, j: int, row: list[int]) -> dict[str, Any]:
    share = row[j] / sum(row) if sum(row) else 0.0
    shade = 0.12 + 0.88 * share if row[j] else 0.0  # a single row must be seen
    title = f"{labels[i]} predicted as {labels[j]}: {wording.counted(row[j], 'row')}"
    return {
        "n": wording.count(row[j]) if row[j] else "",
        "shade": f"{shade:.2f}",
        "paint": ("right" if i == j else "wrong") + (" strong" if shade > DARK_CELL else ""),
        "title": f"{title}, {wording.percent(share)}",
    }


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
        "auc": _with_interval(entries.get("roc_auc")),
        "ap": _with_interval(entries.get("average_precision")),
    }


def calibration(folder: Folder) -> dict[str, Any] | None:
    """The view data of the calibration section, or None without bins."""
    bins = [each for each in (folder.details.get("test") or {}).get("calibration") or [] if each.get("n")]
    if not bins:
        return None
    return {
        "chart": charts.reliability(bins),
        "sentences": _calibration_sentences(folder, bins),
        "bins": [
            {
                "range": f"{wording.percent(each['low'])} \N{EN DASH} {wording.percent(each['high'])}",
                "confidence": wording.percent(each["confidence"]),
                "accuracy": wording.percent(each["accuracy"]),
                "n": wording.count(each["n"]),
            }
            for each in bins
        ],
    }


def overconfidence(bins: list[dict[str, Any]]) -> tuple[float, float]:
    """The mean stated probability and the share of right answers over all bins."""
    total = sum(each["n"] for each in bins)
    stated = sum(each["n"] * each["confidence"] for each in bins) / total
    return stated, sum(each["n"] * each["accuracy"] for each in bins) / total


def _calibration_sentences(folder: Folder, bins: list[dict[str, Any]]) -> list[str]:
    stated, right = overconfidence(bins)
    gap = stated - right
    how = (
        "about as sure as it should be"
        if abs(gap) < 0.03
        else "too sure of itself"
        if gap > 0
        else "too modest"
    )
    sentences = [
        f"On average the model says {wording.percent(stated)} and is right {wording.percent(right)} "
        f"of the time: it is {how}."
    ]
    ece = (folder.metrics.get("test") or {}).get("ece")
    if ece:
        sentences.append(f"The mean gap between the two (ECE) is {_with_interval(ece)}; 0 is perfect.")
    return sentences


def _with_interval(entry: dict[str, Any] | None) -> str:
    return f"{wording.score(entry.get('value'))} {wording.interval(entry)}".strip() if entry else ""
