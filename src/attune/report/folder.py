"""What a run folder holds, read as it stands: a file that is not there is an empty value.

A report is also written for a run that is still going, failed or was made by another version of attune, so
only `run.json` must be whole. Another file that cannot be read is left out, and the page says so.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from attune.files import read_json
from attune.report.records import richness, wrongness

KEPT_MISTAKES = 10
KEPT_RIGHT = 3


@dataclass(frozen=True)
class Folder:
    """The files of one run, parsed."""

    name: str
    path: Path
    recipe: dict[str, Any]
    run: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    findings: list[dict[str, Any]]
    steps: list[dict[str, Any]]  # the `stepped` events, one for each step
    start: dict[str, Any]  # the `started` event, of a new head that may begin at a linear model
    evaluations: list[dict[str, Any]]  # the `evaluated` events, one for each step
    metrics: dict[str, Any]
    details: dict[str, Any]
    explanations: list[dict[str, Any]]
    mistakes: list[dict[str, Any]]  # wrong test predictions, the worst first
    right: list[dict[str, Any]]  # right ones that show something
    parity: dict[str, Any]
    damaged: tuple[str, ...]  # names of files that could not be read

    def knob(self, section: str, name: str) -> Any:
        """The value of a knob in the run's recipe, or None."""
        return (self.recipe.get(section) or {}).get(name)


def read(path: Path) -> Folder:
    """The run in the folder `path`.

    Raises:
        FileNotFoundError: when there is no run.json.
        ValueError: when the run.json is damaged.
    """
    damaged: list[str] = []
    events = list(_lines(path / "events.jsonl"))
    mistakes, right = _predictions(_lines(path / "predictions" / "test.jsonl"))
    return Folder(
        name=path.resolve().name,
        path=path,
        recipe=_recipe(path / "recipe.yaml", damaged),
        run=read_json(path / "run.json"),
        environment=_json(path / "environment.json", {}, damaged),
        data=_json(path / "data.json", {}, damaged),
        findings=_json(path / "findings.json", [], damaged),
        steps=_latest(events, "stepped"),
        start=next(iter(_latest(events, "started")), {}),
        evaluations=_latest(events, "evaluated"),
        metrics=_json(path / "metrics.json", {}, damaged),
        details=_json(path / "details.json", {}, damaged),
        explanations=_json(path / "explanations.json", [], damaged),
        mistakes=mistakes,
        right=right,
        parity=_json(path / "parity.json", {}, damaged),
        damaged=tuple(damaged),
    )


def finite(value: Any) -> TypeGuard[int | float]:
    """True for a number that is neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _json(path: Path, empty: Any, damaged: list[str]) -> Any:
    if not path.is_file():
        return empty
    try:
        value = read_json(path)
    except ValueError:
        damaged.append(path.name)
        return empty
    return value if isinstance(value, type(empty)) else empty


def _recipe(path: Path, damaged: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        damaged.append(path.name)
        return {}
    return values if isinstance(values, dict) else {}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                value = json.loads(line)
            except ValueError:
                continue  # the line that was being written when the process was killed
            if isinstance(value, dict):
                yield value


def _latest(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    # a resumed run takes some steps again: the last telling of a step is what happened
    found = {event["step"]: event for event in events if event.get("event") == kind}
    return [found[step] for step in sorted(found)]


def _predictions(rows: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The worst of the wrong predictions and the best examples of right ones; the file may be larger than memory."""
    wrong: list[tuple[float, int, dict[str, Any]]] = []
    right: list[tuple[float, int, dict[str, Any]]] = []
    for place, row in enumerate(rows):
        severity = wrongness(row)
        kept, size, value = (
            (wrong, KEPT_MISTAKES, severity) if severity > 0 else (right, KEPT_RIGHT, richness(row))
        )
        if severity > 0 or value > 0:
            heapq.heappush(kept, (value, -place, row))
            if len(kept) > size:
                heapq.heappop(kept)
    return [row for *_, row in sorted(wrong, reverse=True)], [row for *_, row in sorted(right, reverse=True)]
