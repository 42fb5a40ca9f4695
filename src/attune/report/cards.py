"""The key figures on top of the page."""

from __future__ import annotations

from typing import Any

from attune.report import scores, wording
from attune.report.charts import sparkline
from attune.report.folder import Folder, finite
from attune.report.kinds import kind_of
from attune.report.learning import best_step, evaluated
from attune.report.verdict import hardest, main_metric

MOST = 2  # cards for metrics beside the main one


def cards(folder: Folder) -> list[dict[str, Any]]:
    """Name, value, a line of context, perhaps a sparkline."""
    found = [_main(folder), _right(folder), *_beside(folder), _gain(folder), _weakest(folder)]
    found += [_calibration(folder), _time(folder)]
    return [{"spark": "", **card} for card in found if card]


def _main(folder: Folder) -> dict[str, Any] | None:
    metric = main_metric(folder)
    entry = (folder.metrics.get("test") or folder.metrics.get("valid") or {}).get(metric)
    if not entry:
        return None
    name = wording.metric_name(metric)
    curve = [value for _, value in evaluated(folder, metric)]
    return {
        "name": f"{name[:1].upper()}{name[1:]}",
        "value": scores.written(metric, entry.get("value"), 2),
        "context": _between(metric, entry),
        "spark": sparkline(curve, f"{name} of the validation rows while it learned"),
    }


def _between(metric: str, entry: dict[str, Any]) -> str:
    if not wording.interval(entry):
        return "not bounded"
    low, high = (scores.written(metric, entry[side], 2) for side in ("low", "high"))
    return f"between {low} and {high}"


def _right(folder: Folder) -> dict[str, Any] | None:
    entry = (folder.metrics.get("test") or {}).get("accuracy") or {}
    if not finite(entry.get("value")) or not kind_of(folder).choice:
        return None
    n = entry.get("n") or 0
    right = f"{wording.count(round(entry['value'] * n))} of {wording.counted(n, 'row')}"
    context = right if n else "of the test rows"
    return {"name": "Right answers", "value": wording.percent(entry["value"]), "context": context}


def _beside(folder: Folder) -> list[dict[str, Any]]:
    entries, main = folder.metrics.get("test") or {}, main_metric(folder)
    metrics = [metric for metric in kind_of(folder).cards if metric != main and entries.get(metric)]
    found = []
    for metric in metrics[:MOST]:
        name = wording.metric_name(metric)
        lower = "lower is better, " if scores.lower_is_better(metric) else ""
        found.append(
            {
                "name": f"{name[:1].upper()}{name[1:]}",
                "value": scores.written(metric, entries[metric].get("value"), 2),
                "context": lower + _between(metric, entries[metric]),
            }
        )
    return found


def _gain(folder: Folder) -> dict[str, Any] | None:
    comparison = hardest(folder, main_metric(folder))
    if comparison is None:
        return None
    name = scores.baseline(str(comparison.get("baseline")))
    value = scores.change(str(comparison["metric"]), comparison["difference"], 2)
    return {"name": "Over best baseline", "value": value, "context": name}


def _weakest(folder: Folder) -> dict[str, Any] | None:
    classes, kind = (folder.details.get("test") or {}).get("per_class") or [], kind_of(folder)
    tested = [each for each in classes if each.get("support") and finite(each.get("f1"))]
    if len(tested) < 2:
        return None
    weakest = min(tested, key=lambda each: each["f1"])
    context = f"\u201c{weakest.get('label')}\u201d, {wording.counted(weakest['support'], kind.unit)}"
    return {
        "name": f"Weakest {kind.label} (F1)",
        "value": wording.score(weakest["f1"], 2),
        "context": context,
    }


def _calibration(folder: Folder) -> dict[str, Any] | None:
    entry = (folder.metrics.get("test") or {}).get("ece") or {}
    if not finite(entry.get("value")):
        return None
    return {"name": "Calibration error", "value": wording.score(entry["value"], 2), "context": "0 is perfect"}


def _time(folder: Folder) -> dict[str, Any] | None:
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
