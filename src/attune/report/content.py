"""The whole page as plain data: what the template shows, in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attune.report import strips, wording
from attune.report.charts import sparkline
from attune.report.folder import Folder, finite, read
from attune.report.learning import best_step, evaluated, learning
from attune.report.mistakes import mistakes
from attune.report.quality import calibration, quality
from attune.report.rows import rows
from attune.report.trust import trust
from attune.report.verdict import hardest, main_metric, verdict


def content(run: Path) -> dict[str, Any]:
    """The view data of the report of the run in the folder `run`."""
    folder = read(run)
    return {
        "title": folder.name,
        "task": (folder.data.get("roles") or {}).get("task") or folder.knob("task", "name") or "",
        "status": folder.run.get("status") or "",
        "when": wording.when(folder.run.get("finished") or folder.run.get("started")),
        "version": folder.run.get("version") or "",
        "verdict": verdict(folder),
        "cards": cards(folder),
        "forest": forest(folder),
        "rows": rows(folder),
        "learning": learning(folder),
        "quality": quality(folder),
        "calibration": calibration(folder),
        "mistakes": mistakes(folder),
        "trust": trust(folder),
        "metrics": all_metrics(folder),
    }


def cards(folder: Folder) -> list[dict[str, Any]]:
    """The key figures: name, value, a line of context, perhaps a sparkline."""
    found = [_main_card(folder), _accuracy_card(folder), _gain_card(folder), _weakest_card(folder)]
    found += [_calibration_card(folder), _time_card(folder)]
    return [{"spark": "", **card} for card in found if card]


def forest(folder: Folder) -> dict[str, Any] | None:
    """The interval plot of the model and its baselines in the main metric, or None without a result."""
    metric = main_metric(folder)
    entries = [("this model", (folder.metrics.get("test") or {}).get(metric), "a")]
    baselines = folder.metrics.get("baselines") or {}
    entries += [(wording.baseline_name(name), values.get(metric), "c") for name, values in baselines.items()]
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
                "value": wording.score(entry["value"]),
                "interval": wording.interval(entry),
                "strip": strips.interval_strip(
                    entry, scale, paint, f"{wording.score(entry['value'])} {wording.interval(entry)}"
                ),
            }
            for name, entry, paint in shown
        ],
    }


def all_metrics(folder: Folder) -> dict[str, Any]:
    """Every metric of the model and the baselines, the best of the test rows marked."""
    baselines = folder.metrics.get("baselines") or {}
    columns = [("test", folder.metrics.get("test")), ("validation", folder.metrics.get("valid"))]
    columns += [(wording.baseline_name(name), values) for name, values in baselines.items()]
    columns = [(name, values) for name, values in columns if values]
    metrics = [metric for metric in wording.METRICS if any(metric in (values or {}) for _, values in columns)]
    metrics += sorted({metric for _, values in columns for metric in values or {}} - set(metrics))
    return {
        "columns": [name for name, _ in columns],
        "rows": [_metric_row(metric, columns) for metric in metrics],
    }


def _metric_row(metric: str, columns: list[tuple[str, Any]]) -> dict[str, Any]:
    lower = metric in wording.LOWER_IS_BETTER
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
                "value": wording.score(value),
                "interval": wording.interval(entry),
                "best": name != "validation" and best is not None and value == best,
            }
        )
    explained = wording.METRICS.get(metric, ("", ""))[1]
    return {"name": wording.metric_name(metric), "lower": lower, "explained": explained, "cells": cells}


def _main_card(folder: Folder) -> dict[str, Any] | None:
    metric = main_metric(folder)
    entry = (folder.metrics.get("test") or folder.metrics.get("valid") or {}).get(metric)
    if not entry:
        return None
    curve = evaluated(folder, metric)
    name = wording.metric_name(metric)
    return {
        "name": name,
        "value": wording.score(entry["value"], 2),
        "context": _between(entry),
        "spark": sparkline([value for _, value in curve], f"{name} of the validation rows while it learned"),
    }


def _between(entry: dict[str, Any]) -> str:
    if not wording.interval(entry):
        return "not bounded"
    return f"between {wording.score(entry['low'], 2)} and {wording.score(entry['high'], 2)}"


def _accuracy_card(folder: Folder) -> dict[str, Any] | None:
    entry = (folder.metrics.get("test") or {}).get("accuracy") or {}
    if not finite(entry.get("value")):
        return None
    n = entry.get("n") or 0
    context = (
        f"{wording.count(round(entry['value'] * n))} of {wording.counted(n, 'row')}"
        if n
        else "of the test rows"
    )
    return {"name": "Right answers", "value": wording.percent(entry["value"]), "context": context}


def _gain_card(folder: Folder) -> dict[str, Any] | None:
    comparison = hardest(folder, main_metric(folder))
    if comparison is None:
        return None
    name = wording.baseline_name(comparison["baseline"])
    value = wording.change(comparison["difference"], 2)
    return {"name": "Over best baseline", "value": value, "context": name}


def _weakest_card(folder: Folder) -> dict[str, Any] | None:
    classes = (folder.details.get("test") or {}).get("per_class") or []
    tested = [each for each in classes if each.get("support") and finite(each.get("f1"))]
    if len(tested) < 2:
        return None
    weakest = min(tested, key=lambda each: each["f1"])
    context = f"\u201c{weakest['label']}\u201d, {wording.counted(weakest['support'], 'row')}"
    return {"name": "Weakest label (F1)", "value": wording.score(weakest["f1"], 2), "context": context}


def _calibration_card(folder: Folder) -> dict[str, Any] | None:
    entry = (folder.metrics.get("test") or {}).get("ece") or {}
    if not finite(entry.get("value")):
        return None
    return {"name": "Calibration error", "value": wording.score(entry["value"], 2), "context": "0 is perfect"}


def _time_card(folder: Folder) -> dict[str, Any] | None:
    seconds = (folder.details.get("cost") or {}).get("train_seconds", folder.run.get("seconds"))
    if not finite(seconds):
        return None
    best = best_step(folder)
    device = folder.environment.get("device") or ""
    steps = f"best at step {wording.count(best)}" if best is not None else ""
    return {
        "name": "Training time",
        "value": wording.duration(seconds),
        "context": ", ".join(filter(None, [str(device), steps])),
    }
