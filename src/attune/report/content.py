"""The whole page as plain data: what the template shows, in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attune.report import scores, strips, wording
from attune.report.calibration import calibration
from attune.report.cards import cards
from attune.report.entities import seen
from attune.report.folder import Folder, finite, read
from attune.report.kinds import kind_of, task_of
from attune.report.learning import learning
from attune.report.mistakes import mistakes
from attune.report.quality import quality
from attune.report.rows import rows
from attune.report.trust import trust
from attune.report.verdict import main_metric, verdict

SECTIONS = (
    ("compared", "Verdict", "Verdict: is it better than a simple baseline?"),
    ("data", "Data", "Data"),
    ("training", "Training", "Training"),
    ("quality", "Quality", ""),
    ("calibration", "Calibration", "Can its probabilities be believed?"),
    ("mistakes", "Mistakes", ""),
    ("seen", "Examples", "As the model sees it"),
    ("trust", "Trust", "Can it be trusted?"),
    ("metrics", "All metrics", "All metrics"),
)


def content(run: Path) -> dict[str, Any]:
    """The view data of the report of the run in the folder `run`."""
    folder = read(run)
    parts = {
        "quality": quality(folder),
        "calibration": calibration(folder),
        "mistakes": mistakes(folder),
        "seen": seen(folder),
    }
    return {
        "title": folder.name,
        "task": task_of(folder),
        "status": folder.run.get("status") or "",
        "when": wording.when(folder.run.get("finished") or folder.run.get("started")),
        "version": folder.run.get("version") or "",
        "verdict": verdict(folder),
        "cards": cards(folder),
        "forest": forest(folder),
        "rows": rows(folder),
        "learning": learning(folder),
        **parts,
        "trust": trust(folder),
        "metrics": all_metrics(folder),
        "sections": sections(parts),
    }


def sections(parts: dict[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The sections that have something to show, numbered: id, short name, heading."""
    shown = [each for each in SECTIONS if each[0] not in parts or parts[each[0]]]
    return [
        {"id": id, "number": number, "name": name, "heading": heading or (parts[id] or {})["heading"]}
        for number, (id, name, heading) in enumerate(shown, 1)
    ]


def forest(folder: Folder) -> dict[str, Any] | None:
    """The interval plot of the model and its baselines in the main metric, or None without a result."""
    metric = main_metric(folder)
    entries = [("this model", (folder.metrics.get("test") or {}).get(metric), "a")]
    baselines = folder.metrics.get("baselines") or {}
    entries += [(scores.baseline(name), values.get(metric), "c") for name, values in baselines.items()]
    shown = [(name, entry, paint) for name, entry, paint in entries if entry]
    if not shown:
        return None
    scale = strips.shared_scale([entry for _, entry, _ in shown])
    return {
        "metric": wording.metric_name(metric),
        "scale": strips.scale_strip(scale),
        "rows": [
            {
                "name": name,
                "model": paint == "a",
                "value": scores.written(metric, entry.get("value")),
                "interval": scores.interval(metric, entry),
                "strip": strips.interval_strip(entry, scale, paint, _told(metric, entry)),
            }
            for name, entry, paint in shown
        ],
    }


def _told(metric: str, entry: dict[str, Any]) -> str:
    return f"{scores.written(metric, entry.get('value'))} {scores.interval(metric, entry)}"


def all_metrics(folder: Folder) -> dict[str, Any]:
    """Every metric of the model and the baselines, the best of the test rows marked."""
    baselines = folder.metrics.get("baselines") or {}
    columns = [("test", folder.metrics.get("test")), ("validation", folder.metrics.get("valid"))]
    columns += [(scores.baseline(name), values) for name, values in baselines.items()]
    columns = [(name, values) for name, values in columns if values]
    metrics = sorted({metric for _, values in columns for metric in values or {}}, key=scores.order)
    main = main_metric(folder)
    metrics.sort(key=lambda metric: metric != main)
    notes: list[str] = []
    table = [_metric_row(metric, columns, notes) for metric in metrics]
    kind = kind_of(folder)
    for metric, row in zip(metrics, table, strict=True):
        row["explained"] = scores.explained(metric, kind)
    return {"columns": [name for name, _ in columns], "rows": table, "notes": notes}


def _metric_row(metric: str, columns: list[tuple[str, Any]], notes: list[str]) -> dict[str, Any]:
    """One line of the table; notes on its scores are added to `notes` and told by their number."""
    lower = scores.lower_is_better(metric)
    comparable = [
        values[metric]["value"]
        for name, values in columns
        if name != "validation" and finite((values.get(metric) or {}).get("value"))
    ]
    best = (min if lower else max)(comparable) if len(comparable) > 1 else None
    cells = []
    for name, values in columns:
        entry = values.get(metric) or {}
        value = entry.get("value")
        cells.append(
            {
                "value": scores.written(metric, value),
                "interval": scores.interval(metric, entry),
                "best": name != "validation" and best is not None and value == best,
                "note": _noted(scores.note(entry), notes),
            }
        )
    return {"name": wording.metric_name(metric), "lower": lower, "cells": cells}


def _noted(note: str, notes: list[str]) -> int | None:
    if not note:
        return None
    if note not in notes:
        notes.append(note)
    return notes.index(note) + 1
