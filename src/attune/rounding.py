"""What answers cost that are computed in fewer bits: the run's own test rows, answered in both precisions."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from attune import files, machine
from attune.data.table import Table
from attune.errors import MachineError, Problem, RecipeError
from attune.metrics.scales import scale, wilson
from attune.predictor import Predictor
from attune.rundir import RunDir
from attune.training.loop import predictions

ROWS = 1000
BYTES = 200_000  # of texts, some 45,000 tokens: no more rows than that, for both precisions are computed
TEST = "predictions/test.jsonl"


@dataclass(frozen=True)
class Cost:
    """How answers in a precision differ from those in float32 on test rows, drawn where there are many."""

    precision: str
    rows: int
    of: int  # test rows in all
    damaged: int  # lines that could not be read
    changed: int  # rows whose answer is another; of numbers those that differ at all
    moved: list[float] | None  # of answers that are numbers: by how much in the mean, and at most
    differences: list[dict[str, Any]]  # `Difference`s of what judges the run: this precision - float32
    measured: dict[str, str]  # on which test rows, processor and version

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.precision}: the run has no test rows to measure on what it costs"
        tests = f"{self.rows:,} test row{'' if self.rows == 1 else 's'}"
        tests += f" (drawn from {self.of:,})" if self.rows < self.of else ""
        if self.moved is None:
            same = self.rows - self.changed
            low, high = (100 * bound for bound in wilson(same / self.rows, self.rows))
            bounds = f"95 % interval: {low:.1f} to {high:.1f} %"
            told = f"{same:,} of {tests} get the same answer as in float32 ({bounds})"
        else:
            mean, most = self.moved
            told = f"{tests} get numbers that are {mean:.3g} from float32's in the mean, {most:.3g} at most"
        lost = [f"damaged lines of {TEST} that were passed over: {self.damaged:,}"] if self.damaged else []
        return "; ".join([f"{self.precision}: {told}", *map(_amount, self.differences), *lost])


def told(predictor: Predictor, say: Callable[[str], None]) -> str:
    """A line about what a precision costs; nothing of float32, and of a GPU, where it is not measured.

    Args:
        predictor: of a run.
        say: takes lines beside it: before the seconds that measuring takes, and where it cannot be kept.
    """
    if predictor.precision == "float32" or predictor.model.place.device.type != "cpu":
        return ""
    if (held := kept(predictor)) is not None:
        return str(held)
    say(f"first measures on the run's test rows what {predictor.precision} costs ...")
    found = cost(predictor)
    if found.rows and kept(predictor) is None:
        say("the run's folder cannot be written to, so this will be measured again")
    return str(found)


def cost(predictor: Predictor) -> Cost:
    """What the predictor's precision costs on the test rows of its run.

    It is kept in the run as `rounding_<precision>.json`, and measured again where test rows, processor or version are
    others, or the run cannot be written to.

    Args:
        predictor: of a run, `attune.load(run, precision="int8")`; it answers as before, meanwhile too.

    Raises:
        RecipeError: for a predictor in float32.
    """
    if predictor.precision == "float32":
        fix = 'Load the run with precision="int8" or "bfloat16"'
        raise RecipeError(Problem("precision", "float32 is what the others are measured against", fix=fix))
    if (held := kept(predictor)) is not None:
        return held
    run = _run(predictor)
    found = _measured(predictor, run)
    with contextlib.suppress(MachineError, OSError):  # `kept` tells that it is not
        run.write(_name(predictor), asdict(found))
    return found


def kept(predictor: Predictor) -> Cost | None:
    """What was measured before, where it is of these test rows, this processor and this version."""
    run = _run(predictor)
    try:
        held = run.read(_name(predictor))
    except (RecipeError, OSError):  # not whole, or no file: it can be measured again
        return None
    fits = isinstance(held, dict) and {field.name for field in fields(Cost)} == set(held)
    return Cost(**held) if fits and held["measured"] == _now(run) else None


def _run(predictor: Predictor) -> RunDir:
    assert predictor.run is not None, "a predictor without a run has no test rows"
    return predictor.run


def _name(predictor: Predictor) -> str:
    return f"rounding_{predictor.precision}.json"


def _now(run: RunDir) -> dict[str, str]:
    path = run.path / TEST
    rows = files.sha256(path) if path.is_file() else ""
    return {"test_rows": rows, "processor": machine.cpu(), "attune": machine.version()}


def _drawn(run: RunDir, task: Any, roles: Sequence[str]) -> tuple[Table, int, int]:
    """Test rows by role, with what is true as `label`; how many there are to draw from; how many were damaged."""
    lines, room, damaged = list(run.lines(TEST)), BYTES, 0
    rows: list[dict[str, Any]] = []
    spare: list[dict[str, Any]] = []
    for place in np.random.default_rng(0).permutation(len(lines)).tolist():
        try:
            record = json.loads(lines[place])
            row = {role: record[role] for role in roles} | {"label": task.truth(record)}
        except (ValueError, KeyError, TypeError):
            damaged += 1
            continue
        size = sum(len(row[role].encode()) for role in roles if role != "words")
        if size > room:  # such a long one is passed over, unless there are no others
            spare = spare or [row]
            continue
        rows.append(row)
        room -= size
        if len(rows) == ROWS:
            break
    rows = rows or spare
    columns = {name: [row[name] for row in rows] for name in (*roles, "label")}
    return Table(TEST, tuple(columns), columns, range(len(rows)), ""), len(lines), damaged


def _answers(predictor: Predictor, features: Any, precisions: tuple[str, ...]) -> Iterator[Any]:
    """The predictions in each precision, by layers of their own on the same weights."""
    for precision in precisions:
        model = copy.copy(predictor.model)
        if not model.answer_in(precision):
            raise RecipeError(Problem("precision", "the model does not answer in it", precision))
        yield predictions(predictor.task, model, features)


def _measured(predictor: Predictor, run: RunDir) -> Cost:
    task, precision, now = predictor.task, predictor.precision, _now(run)
    roles = [*predictor.names, *(["words"] if task.name == "tagging" else [])]
    rows, count, damaged = _drawn(run, task, roles)
    if not len(rows):
        return Cost(precision, 0, count, damaged, 0, None, [], now)
    features, gold = task.encode(rows, predictor.encoder), task.gold(rows)
    exact, short = _answers(predictor, features, ("float32", precision))
    pairs = [
        [_bare(task.answer(one, rows.row(n)).label) for one in both]
        for n, both in enumerate(zip(exact, short, strict=True))
    ]
    changed = sum(a != b for a, b in pairs)
    moved = None
    if isinstance(pairs[0][0], float):
        apart = np.abs([a - b for a, b in pairs])
        moved = [float(apart.mean()), float(apart.max())]
    gaps = [task.compared(gold, short, exact, metric=metric, seed=0) for metric in task.judged_by]
    kept = [asdict(gap) for gap in gaps if np.isfinite([gap.difference, gap.low, gap.high, gap.p]).all()]
    return Cost(precision, len(rows), count, damaged, changed, moved, kept, now)


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


def _amount(gap: dict[str, Any]) -> str:
    """How much higher the metric is than in float32; its interval, where resampled rows tell one."""
    how = scale(gap["metric"])
    values = (gap["difference"], gap["low"], gap["high"])
    amount, low, high = (
        f"+{each}" if value > 0 else each for each, value in zip(how.told(*values), values, strict=True)
    )
    bounds = f" [{low}, {high}]" if gap["low"] < gap["high"] else ""
    return f"{how.words} {amount}{' points' if how.points else ''}{bounds} against float32"
