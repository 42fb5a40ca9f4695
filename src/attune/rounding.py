"""What answers cost that are computed in fewer bits: the run's own test rows, answered in both precisions."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attune import rundir
from attune.data.table import Table
from attune.errors import MachineError
from attune.metrics.intervals import Difference
from attune.metrics.scales import scale
from attune.predictor import Predictor
from attune.training.loop import predictions

ROWS = 1000
CHARACTERS = 200_000  # of texts, some 45,000 tokens: no more rows than that, for both precisions are computed


@dataclass(frozen=True)
class Cost:
    """How answers in a precision differ from those in float32 on drawn test rows."""

    precision: str
    rows: int
    changed: int  # answers that are others; numbers count where they differ at all
    differences: list[
        dict[str, Any]
    ]  # of the metrics that judge the run, lower precision - float32, as `Difference`
    sentence: str


def cost(predictor: Predictor, run: rundir.RunDir, precision: str) -> Cost:
    """Measured once and kept in the run as `rounding_<precision>.json`; the predictor answers in it afterwards.

    Args:
        predictor: of the run, on a CPU.
        run: whose `predictions/test.jsonl` holds rows and truth.
        precision: bfloat16 or int8, which this model can answer in.
    """
    name = f"rounding_{precision}.json"
    held = run.read(name)
    if held is None:
        held = asdict(_measured(predictor, _drawn(run, predictor.task), precision))
        with contextlib.suppress(
            MachineError
        ):  # a run that lies where nobody may write is measured each time
            run.write(name, held)
    return Cost(**held)


def told(predictor: Predictor, run: rundir.RunDir, precision: str) -> str:
    """A line about what a precision costs; nothing of float32, and of a GPU, where it was not measured."""
    if precision == "float32" or predictor.model.place.device.type != "cpu":
        return ""
    return f"{precision}: {cost(predictor, run, precision).sentence}"


def _drawn(run: rundir.RunDir, task: Any) -> Table:
    """Test rows by role, with what is true as `label`."""
    lines = list(run.lines("predictions/test.jsonl"))
    rows: list[dict[str, Any]] = []
    room = CHARACTERS
    for place in np.random.default_rng(0).permutation(len(lines))[:ROWS].tolist():
        record = json.loads(lines[place])
        room -= sum(len(record.get(role, "")) for role in ("text", "pair"))
        if room < 0 and rows:
            break
        kept = {role: record[role] for role in ("text", "pair", "words") if role in record}
        rows.append({**kept, "label": task.truth(record)})
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return Table("predictions/test.jsonl", tuple(columns), columns, range(len(rows)), "")


def _measured(predictor: Predictor, rows: Table, precision: str) -> Cost:
    task, model = predictor.task, predictor.model
    if not len(rows):
        return Cost(precision, 0, 0, [], "the run has no test rows to measure it on")
    features = task.encode(rows, predictor.encoder)
    found = []
    for each in ("float32", precision):
        model.answer_in(each)
        found.append(predictions(task, model, features))
    exact, short = found
    labels = ([_bare(task.answer(one, rows.row(n)).label) for n, one in enumerate(many)] for many in found)
    changed = sum(a != b for a, b in zip(*labels, strict=True))
    gold = task.gold(rows)
    gaps = [task.compared(gold, short, exact, metric=metric, seed=0) for metric in task.judged_by]
    gaps = [gap for gap in gaps if np.isfinite([gap.difference, gap.low, gap.high, gap.p]).all()]
    numbers = not isinstance(gold, list) and gold.dtype.kind == "f"  # which hardly ever stay the same
    many = "1 test row" if len(rows) == 1 else f"{len(rows):,} test rows"
    words = f"beside float32 on {many} {', '.join(map(_amount, gaps))}"
    others = (
        "" if numbers else f"; {changed:,} {'answer is another' if changed == 1 else 'answers are others'}"
    )
    return Cost(precision, len(rows), changed, [asdict(gap) for gap in gaps], f"{words}{others}")


def _bare(label: Any) -> Any:
    """What is answered, without how sure it is; only entities say both at once."""
    if not isinstance(label, list):
        return label
    return [
        {name: value for name, value in each.items() if name != "probability"}
        if isinstance(each, dict)
        else each
        for each in label
    ]


def _amount(gap: Difference) -> str:
    how = scale(gap.metric)
    amount, low, high = how.told(gap.difference, gap.low, gap.high)
    return f"{how.words} {amount}{' points' if how.points else ''} [{low}, {high}]"
