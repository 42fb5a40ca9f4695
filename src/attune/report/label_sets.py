"""Sets of labels: which were given rightly, which were missed, which invented."""

from __future__ import annotations

from typing import Any

from attune.report import wording
from attune.report.folder import Folder

STATES = {"right": "right", "missed": "missed", "invented": "invented"}


def chips(record: dict[str, Any]) -> list[dict[str, str]]:
    """Each true or given label with its state and probability: wrong ones first."""
    true, said = _names(record.get("label")), _names(record.get("predicted"))
    held = record.get("probabilities")
    shares = held if isinstance(held, dict) else {}
    found = []
    for name in dict.fromkeys([*true, *said]):
        state = "right" if name in true and name in said else "missed" if name in true else "invented"
        found.append({"name": name, "state": state, "percent": wording.percent(shares.get(name))})
    return sorted(found, key=lambda chip: (chip["state"] == "right", chip["state"] == "invented"))


def sentences(folder: Folder) -> list[str]:
    """How many rows have every label right."""
    entry = (folder.metrics.get("test") or {}).get("subset_accuracy") or {}
    if not entry.get("n") or not isinstance(entry.get("value"), float | int):
        return []
    wrong = round((1 - entry["value"]) * entry["n"])
    return [
        f"{wording.count(wrong)} of {wording.counted(entry['n'], 'test row')} miss a label or have one too many."
    ]


def _names(labels: Any) -> list[str]:
    return [str(label) for label in labels] if isinstance(labels, list) else []
