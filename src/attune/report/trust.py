"""The trust section: what was verified, what the run came from, how to repeat it, and its limits."""

from __future__ import annotations

import math
import shlex
from typing import Any

from attune.metrics.scales import scale
from attune.report import scores, wording
from attune.report.calibration import overconfidence
from attune.report.folder import Folder, finite
from attune.report.kinds import kind_of
from attune.report.verdict import hardest, judged, main_metric

WIDE = 0.10  # of a scale from 0 to 1; a wider interval cannot tell apart models that differ in practice
FEW_GROUPS = 20  # articles or documents; below, one of them decides too much
FEW_ROWS = 10  # below, the F1 of a label hangs on one or two rows
ENVIRONMENT = {
    "attune": "attune",
    "python": "Python",
    "torch": "PyTorch",
    "transformers": "Transformers",
    "platform": "Platform",
    "cpu": "Processor",
    "cores": "Cores",
    "threads": "Threads",
    "memory_gib": "Memory",
    "device": "Device",
    "seed": "Seed",
}


def trust(folder: Folder) -> dict[str, Any]:
    """The view data of the section."""
    command = folder.run.get("command") or ""
    launcher = str(command[0]) if isinstance(command, list) and command else "attune"
    if isinstance(command, list) and "--out" in command:  # that folder is there now
        place = command.index("--out")
        command = command[:place] + command[place + 2 :]
    return {
        "parity": _parity(folder.parity),
        "limits": limits(folder),
        "environment": _environment(folder),
        "command": command if isinstance(command, str) else shlex.join(map(str, command)),
        "again": f"{launcher} train recipe.yaml" if folder.recipe else "",
    }


def limits(folder: Folder) -> list[str]:
    """What the numbers of this run cannot say, as sentences derived from them."""
    found = [
        _small_test(folder),
        _not_better(folder),
        _few_rows(folder),
        _absent(folder),
        _few_groups(folder),
        _part_of_an_epoch(folder),
        _findings(folder),
        _truncation(folder),
        _imbalance(folder),
        _overconfident(folder),
        _unfinished(folder),
        _same_source(folder),
        _damaged(folder),
        "One run with one seed: another seed moves the result by an amount that was not measured here.",
    ]
    return [sentence for sentence in found if sentence]


def _small_test(folder: Folder) -> str:
    metric = main_metric(folder)
    entry = (folder.metrics.get("test") or {}).get(metric) or {}
    if not (finite(entry.get("low")) and finite(entry.get("high"))):
        return ""
    of = scale(metric)
    width, wide = (
        entry["high"] - entry["low"],
        WIDE * (of.high if math.isfinite(of.high) else abs(entry["value"])),
    )
    if width <= wide or wide <= 0:
        return ""
    n = entry.get("n") or 0
    needed = math.ceil(n * (width / wide) ** 2 / 10) * 10  # the width falls with the root of the rows
    aim = scores.written(metric, wide / 2, 2)
    more = (
        f" About {wording.count(needed)} {kind_of(folder).row}s would bring this down to \u00b1{aim}."
        if n
        else ""
    )
    low, high = (scores.written(metric, entry[side], 2) for side in ("low", "high"))
    known = f"{wording.metric_name(metric)} is only known to lie between {low} and {high}"
    return f"The test set is small: {known}.{more}"


def _not_better(folder: Folder) -> str:
    comparison = hardest(folder, main_metric(folder))
    tone = judged(comparison)
    if comparison is None or tone == "good":
        return ""
    name = scores.baseline(str(comparison.get("baseline")))
    does = "does better" if tone == "bad" else "may do as well"
    return f"{name[0].upper()}{name[1:]} {does}, and it is cheaper, faster and easier to explain."


def _few_rows(folder: Folder) -> str:
    classes, kind = (folder.details.get("test") or {}).get("per_class") or [], kind_of(folder)
    few = [str(each.get("label")) for each in classes if (each.get("support") or 0) < FEW_ROWS]
    if not few:
        return ""
    names = f" ({wording.listed([f'“{name}”' for name in few])})" if len(few) <= 4 else ""
    noun, have = wording.counted(len(classes), kind.label), "has" if len(few) == 1 else "have"
    return (
        f"{len(few)} of {noun} {have} fewer than {FEW_ROWS} test {wording.plural(kind.unit)}{names}: "
        "read their own numbers as rough guesses."
    )


def _absent(folder: Folder) -> str:
    """Labels that no test row has count as 0 where all labels weigh the same, whatever the model does."""
    classes = (folder.details.get("test") or {}).get("per_class") or []
    absent = sum(not each.get("support") for each in classes)
    if kind_of(folder).name != "multilabel" or not absent:
        return ""
    most = wording.score((len(classes) - absent) / len(classes), 2)
    return (
        f"{absent} of {len(classes)} labels {'has' if absent == 1 else 'have'} no test row and count as 0: "
        f"macro-F1 cannot be above {most} here."
    )


def _few_groups(folder: Folder) -> str:
    groups = ((folder.data.get("splits") or {}).get("test") or {}).get("groups")
    if not groups or groups >= FEW_GROUPS:
        return ""
    row = kind_of(folder).row
    return (
        f"The test {row}s are about {wording.counted(groups, 'subject')} only, an article or a document each. "
        f"{row[0].upper()}{row[1:]}s on one subject are alike: the intervals are too narrow for other subjects, and "
        "more rows of the same would not help."
    )


def _part_of_an_epoch(folder: Folder) -> str:
    epochs = folder.knob("train", "epochs")
    if not finite(epochs) or epochs >= 1:
        return ""
    return f"Training was cut short: the model has seen {wording.percent(epochs)} of the training rows, once."


def _findings(folder: Folder) -> str:
    leaks = [each for each in folder.findings if each.get("check") == "leaks" and each.get("level") != "note"]
    errors = [each for each in folder.findings if each.get("level") == "error" and each not in leaks]
    of_test = " ".join(
        str(each.get("sentence")) for each in leaks if " of test " in str(each.get("sentence"))
    )
    if " in train" in of_test:
        return "Test rows were found among the training rows: the result is likely too good."
    if of_test:
        return (
            "Test rows were found among the validation rows, which chose the best step: it may be too good."
        )
    return f"The data has {wording.counted(len(errors), 'error')} that section 2 names." if errors else ""


def _truncation(folder: Folder) -> str:
    test = (folder.data.get("splits") or {}).get("test") or {}
    if not finite(test.get("cut_rows")) or test["cut_rows"] <= 0.05:
        return ""
    return (
        f"{wording.percent(test['cut_rows'])} of the test texts are longer than the model reads: "
        "what stands in their ends cannot count."
    )


def _imbalance(folder: Folder) -> str:
    counts = ((folder.data.get("splits") or {}).get("test") or {}).get("labels") or {}
    if not kind_of(folder).choice:
        return ""
    share = max(counts.values()) / sum(counts.values()) if sum(counts.values()) else 0
    if share < 0.7 or len(counts) < 2:
        return ""
    name = max(counts, key=lambda label: counts[label])
    return (
        f"{wording.percent(share)} of the test rows are \u201c{name}\u201d: always saying so would be right "
        "as often, so look at macro-F1, not at accuracy."
    )


def _overconfident(folder: Folder) -> str:
    bins = [each for each in (folder.details.get("test") or {}).get("calibration") or [] if each.get("n")]
    if not bins:
        return ""
    stated, right = overconfidence(bins)
    if abs(stated - right) < 0.05:
        return ""
    direction = "too high" if stated > right else "too low"
    return f"The probabilities are {direction} on average: do not read them as chances without recalibrating."


def _unfinished(folder: Folder) -> str:
    status = folder.run.get("status")
    return (
        "" if status in (None, "finished") else "The run did not come to its end; a longer one may be better."
    )


def _same_source(folder: Folder) -> str:
    files = folder.data.get("files") or {}
    same = "test" not in files or (files.get("train") or {}).get("sha256") == files["test"].get("sha256")
    start = (
        "The test rows come from the same source as the training rows"
        if same
        else "Only these test rows were measured"
    )
    return f"{start}: texts from elsewhere, or from another time, may do worse."


def _damaged(folder: Folder) -> str:
    if not folder.damaged:
        return ""
    return f"Could not be read, and is missing on this page: {wording.listed(folder.damaged)}."


def _parity(parity: dict[str, Any]) -> dict[str, str]:
    if not parity:
        return {
            "tone": "unsure",
            "icon": "i",
            "sentence": "Not checked: whether the saved model predicts the same elsewhere.",
        }
    numbers = (
        f"largest difference {wording.small(parity.get('largest_difference'))}, "
        f"tolerated {wording.small(parity.get('tolerance'))}"
    )
    rows = wording.counted(parity.get("rows") or 0, "row")
    loader = parity.get("loaded_by") or "another loader"
    if parity.get("same"):
        return {
            "tone": "good",
            "icon": "\N{HEAVY CHECK MARK}",
            "sentence": f"The saved model, loaded with {loader}, predicts the same on {rows} ({numbers}).",
        }
    return {
        "tone": "bad",
        "icon": "\N{HEAVY MULTIPLICATION X}",
        "sentence": f"The saved model, loaded with {loader}, differs on {rows} ({numbers}): do not ship it.",
    }


def _environment(folder: Folder) -> list[tuple[str, str]]:
    values = {"attune": folder.run.get("version"), **folder.environment}
    values.setdefault("seed", folder.knob("train", "seed"))
    shown = [key for key in ENVIRONMENT if values.get(key) not in (None, "")]
    shown += [key for key in values if key not in ENVIRONMENT and isinstance(values[key], str | int | float)]
    return [(ENVIRONMENT.get(key, key.replace("_", " ")), _written(key, values[key])) for key in shown]


def _written(key: str, value: Any) -> str:
    return f"{value:.1f} GiB" if key == "memory_gib" and finite(value) else str(value)
