"""The verdict: how good, on how many rows, and is it better than what costs nothing."""

from __future__ import annotations

from typing import Any

from attune.report import expected, scores, wording
from attune.report.folder import Folder, finite
from attune.report.kinds import kind_of

TONES = {
    "good": ("\N{HEAVY CHECK MARK}", "Better than the baselines"),
    "unsure": ("\N{ALMOST EQUAL TO}", "Not clearly better than the baselines"),
    "bad": ("\N{HEAVY MULTIPLICATION X}", "Worse than a baseline"),
    "none": ("i", "Not compared with a baseline"),
    "empty": ("i", "No result"),
}
ALPHA = 0.05  # as in metrics.intervals: better or worse needs interval and p to say so
STATUS = {
    "finished": "finished",
    "running": "still running",
    "stopped": "stopped before its end",
    "failed": "failed",
}


def main_metric(folder: Folder) -> str:
    """The metric that judges the run: the one its comparisons use, else macro-F1, else the first there is."""
    compared = [entry["metric"] for entry in folder.metrics.get("comparisons") or [] if entry.get("metric")]
    measured = list(folder.metrics.get("test") or folder.metrics.get("valid") or {})
    named = [folder.run["main_metric"]] if "main_metric" in folder.run else []
    preferred = [*named, *compared[:1], *[name for name in ("f1_macro", "accuracy") if name in measured]]
    return str([*preferred, *measured, "f1_macro"][0])


def verdict(folder: Folder) -> dict[str, Any]:
    """The headline in parts, its tone, the sentences under it and the rows of the interval plot."""
    metric = main_metric(folder)
    split = "test" if (folder.metrics.get("test") or {}).get(metric) else "valid"
    entry = (folder.metrics.get(split) or {}).get(metric)
    if not entry:
        return _without_result(folder)
    comparison = hardest(folder, metric)
    tone = judged(comparison)
    held_out = "held-out" if split == "test" else "validation"
    row = kind_of(folder).row
    return {
        "tone": tone,
        "icon": TONES[tone][0],
        "badge": TONES[tone][1],
        "metric": _headed(wording.metric_name(metric)),
        "value": scores.written(metric, entry.get("value"), 2),
        "interval": scores.interval(metric, entry, 2),
        "rest": f"on {wording.counted(entry.get('n') or 0, f'{held_out} {row}')}{_clause(comparison)}",
        "sentences": _sentences(folder, metric, split),
        "comparisons": [_comparison(each) for each in folder.metrics.get("comparisons") or []],
    }


def hardest(folder: Folder, metric: str) -> dict[str, Any] | None:
    """The comparison with the baseline that comes nearest to the model."""
    entries = [entry for entry in folder.metrics.get("comparisons") or [] if entry.get("metric") == metric]
    gain = -1 if scores.lower_is_better(metric) else 1
    usable = [{**entry, "gain": gain} for entry in entries if finite(entry.get("difference"))]
    return min(usable, key=lambda entry: gain * entry["difference"], default=None)


def judged(comparison: dict[str, Any] | None) -> str:
    """`good`, `bad` or `unsure`, or `none` where nothing was compared."""
    if comparison is None:
        return "none"
    bounds = [comparison.get("low"), comparison.get("high")]
    if not all(finite(bound) for bound in bounds):
        return "unsure"
    if finite(comparison.get("p")) and comparison["p"] >= ALPHA:
        return "unsure"
    worst, best = sorted(comparison["gain"] * bound for bound in bounds)
    return "good" if worst > 0 else "bad" if best < 0 else "unsure"


def _headed(name: str) -> str:
    return f"{name[:1].upper()}{name[1:]}"


def _clause(comparison: dict[str, Any] | None) -> str:
    if comparison is None:
        return ""
    name, metric = scores.baseline(str(comparison.get("baseline"))), str(comparison["metric"])
    size = scores.written(metric, abs(comparison["difference"]), 2)
    return {
        "good": f": better than {name} by {size}",
        "unsure": f": not clearly different from {name} ({scores.change(metric, comparison['difference'], 2)})",
        "bad": f": worse than {name} by {size}",
    }[judged(comparison)]


def _sentences(folder: Folder, metric: str, split: str) -> list[str]:
    sentences = _unsaid(folder) if split == "test" else []
    sentences += expected.sentences(folder, metric, split)
    if split == "valid":
        sentences.append(
            "No test rows were set aside: these rows also chose the best step, so expect a bit less."
        )
    if folder.run.get("status") not in (None, "finished"):
        sentences.append(f"The run {_status(folder)}.")
    return sentences


def _unsaid(folder: Folder) -> list[str]:
    """That some labels, which test rows have, are never answered: a score alone hides it."""
    test = folder.details.get("test") or {}
    matrix = test.get("confusion") or []
    labels = [str(each.get("label")) for each in test.get("per_class") or []]
    if not matrix or len(labels) != len(matrix):
        return []
    answered = [label for label, column in zip(labels, zip(*matrix, strict=True), strict=True) if sum(column)]
    unsaid = [label for label, row in zip(labels, matrix, strict=True) if sum(row) and label not in answered]
    if not unsaid:
        return []
    if len(answered) == 1:
        return [
            f"Every test row gets the same label, “{answered[0]}”: it has not learned to tell them apart."
        ]
    shown = wording.listed([f"“{label}”" for label in unsaid[:6]])
    more = f" and {len(unsaid) - 6} more" if len(unsaid) > 6 else ""
    return [f"It never answers {shown}{more}, though test rows have {'it' if len(unsaid) == 1 else 'them'}."]


def _status(folder: Folder) -> str:
    status = STATUS.get(str(folder.run.get("status")), str(folder.run.get("status")))
    verb = "is" if status.startswith("still") else "" if status == "failed" else "was"
    reason = folder.run.get("reason")
    return f"{verb} {status}".strip() + (f" ({reason})" if reason else "")


def _without_result(folder: Folder) -> dict[str, Any]:
    finished = folder.run.get("status") == "finished"
    rest = f"the run {_status(folder)}"
    if finished:
        rest += ", but its metrics.json is no longer there; train again, or copy it back"
    return {
        "tone": "empty",
        "icon": TONES["empty"][0],
        "badge": TONES["empty"][1],
        "metric": "No result:" if finished else "No result yet:",
        "value": "",
        "interval": "",
        "rest": rest if folder.run.get("status") else "the run was not evaluated",
        "sentences": ["What is known so far stands below."],
        "comparisons": [],
    }


def _comparison(entry: dict[str, Any]) -> str:
    told = str(entry.get("sentence") or "").rstrip(". ")
    if told.startswith(("better", "worse")):
        return f"The model is {told}."
    if told:
        return f"{told[0].upper()}{told[1:]}."
    metric, baseline = str(entry.get("metric")), scores.baseline(str(entry.get("baseline")))
    size = f"{scores.change(metric, entry.get('difference'))} {scores.interval(metric, entry)}"
    return f"Difference in {wording.metric_name(metric)} to {baseline}: {size} ({wording.chance(entry.get('p'))})."
