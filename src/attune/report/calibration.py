"""The calibration section: whether the stated probabilities can be believed."""

from __future__ import annotations

from typing import Any

from attune.report import charts, wording
from attune.report.folder import Folder


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
        sentences.append(f"The mean gap between the two (ECE) is {wording.with_interval(ece)}; 0 is perfect.")
    return sentences
