"""What a recipe will take on this machine: a few steps are tried, and what they took is carried on to the whole.

Time is in seconds, memory in MiB. The steps that are tried are the run's own: its rows, its model, its optimizer.
The smallest comes first and is not counted (kernels are compiled and caches filled then), three of usual size are
timed, again and again where they are short, and the largest shows how high memory rises.
"""

from __future__ import annotations

import copy
import gc
import math
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attune import machine, prepare, run
from attune.errors import AttuneError, Problem, RecipeError
from attune.prepare import Prepared

if TYPE_CHECKING:
    from attune.training.loop import Fit

USUAL = (1 / 4, 1 / 2, 3 / 4)  # the timed steps, as quantiles of the steps' tokens
SPREAD = (1 / 6, 1 / 2, 5 / 6)  # the same of the parts of an evaluation, longest texts first
TIMED = 3.0  # seconds that the usual steps are repeated for,
ROUNDS = 5  # so often at most
LEAST_EPOCHS = 0.1  # fewer teach nothing that is worth a plan


Tried = tuple[Prepared, "Forecast"] | AttuneError  # what a plan will take, or why it cannot be had


@dataclass(frozen=True)
class Forecast:
    """What one recipe will take, in seconds and MiB."""

    steps: int
    tokens_per_s: float  # of training steps
    step_seconds: float  # of all training steps
    evaluations: int  # at most: early stopping may end a run before
    evaluation_seconds: float  # of all evaluations, their checkpoints included
    measuring_seconds: float  # of predicting valid and test at the end; baselines and checks come on top
    peak_memory_mib: float  # while it trains
    free_memory_mib: float
    watts: float | None  # of the processor while it trained; None where no counter can be read
    kept_seconds: float = 0.0  # of what is computed once before the first step, where layers are frozen
    start_seconds: float = 0.0  # of finding out where a new head begins

    @property
    def seconds(self) -> float:
        """Of training: steps and evaluations, and what comes before them."""
        return self.start_seconds + self.kept_seconds + self.step_seconds + self.evaluation_seconds

    @property
    def total_seconds(self) -> float:
        """Of training and of what is measured after it."""
        return self.seconds + self.measuring_seconds

    @property
    def watt_hours(self) -> float | None:
        """Energy of the processor over the whole run."""
        return None if self.watts is None else self.watts * self.total_seconds / 3600

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        sums = {"seconds": self.seconds, "total_seconds": self.total_seconds, "watt_hours": self.watt_hours}
        return {"event": "forecast", **asdict(self), **sums}


def forecast(ready: Prepared) -> Forecast:
    """What the recipe will take; trains a model that is thrown away and writes nothing that stays."""
    from attune.training.checkpoint import Store

    folder = Path(tempfile.mkdtemp(prefix="attune-plan-"))
    try:
        # the task may learn something itself, which the real run must find untouched
        trial = run.fitting(replace(ready, task=copy.deepcopy(ready.task)), Store(folder))
        kept, cached = _keeping(trial)
        tokens, seconds, joules = _steps(trial)
        epochs = float(ready.recipe.train.epochs)
        sequences = ready.features["train"].sequences
        evaluations = _evaluations(trial, epochs)
        predicting, keeping = _predicting(trial, trial.valid), _saving(trial)
        where = trial.learner.model.place
        # what is kept lies in the memory of the host, and the peak of a GPU is its own
        peak = where.peak_memory_mib() + (cached if where.device.type == "cpu" else 0.0)
        testing, starting = _predicting(trial, ready.features["test"]), _starting(trial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rate, place = tokens / seconds, trial.learner.model.place
    return Forecast(
        steps=ready.steps,
        tokens_per_s=rate,
        kept_seconds=kept,
        start_seconds=starting,
        step_seconds=int(sequences.lengths.sum()) * epochs / rate,
        evaluations=evaluations,
        evaluation_seconds=evaluations * (predicting + keeping),
        measuring_seconds=predicting + testing,
        peak_memory_mib=peak,
        free_memory_mib=place.free_memory_mib(),
        watts=None if joules is None else joules / seconds,
    )


def by_method(ready: Prepared) -> dict[str, Tried]:
    """The plan and what it will take for each method, others than its own at their defaults; or why it cannot be had.

    The one that takes least memory comes first, for what a process has held is not always given back.
    """
    found: dict[str, Tried] = {}
    for name in ("head", "last", "lora", "full"):
        gc.collect()
        machine.forget_peak()
        try:
            other = ready if name == ready.recipe.method.name else prepare.with_method(ready, name)
            found[name] = other, forecast(other)
        except AttuneError as error:
            found[name] = error
    return found


def _steps(trial: Fit) -> tuple[int, float, float | None]:
    """Tokens, seconds and joules of the usual steps, after the smallest and before the largest one."""
    from attune.training import loop

    parts = trial.steps(0)
    smallest, *usual, largest = _tried(trial)
    loop.step_of(trial, smallest, 1, total=len(parts), epoch=0.0)
    place = trial.learner.model.place
    place.wait()
    began, spent = time.perf_counter(), machine.joules()
    number, tokens, seconds = 1, 0, 0.0
    while number == 1 or (seconds < TIMED and number < ROUNDS * len(usual)):
        for part in usual:
            number += 1
            tokens += loop.step_of(trial, part, number, total=len(parts), epoch=0.0).tokens
        place.wait()
        seconds = time.perf_counter() - began
    now = machine.joules()
    loop.step_of(trial, largest, number + 1, total=len(parts), epoch=0.0)
    return tokens, seconds, None if spent is None or now is None else now - spent


def _tried(trial: Fit) -> list[np.ndarray]:
    """The features of the smallest step, of three usual ones and of the largest one."""
    parts, lengths = trial.steps(0), trial.train.sequences.lengths
    order = np.argsort([int(lengths[part].sum()) for part in parts], kind="stable")
    places = [0, *(min(int(share * len(order)), len(order) - 1) for share in USUAL), len(order) - 1]
    return [parts[order[place]] for place in places]


def _keeping(trial: Fit) -> tuple[float, float]:
    """Seconds to compute what leaves the frozen layers for all rows, and MiB to hold it; told from the tried ones."""
    if trial.kept is None:
        return 0.0, 0.0
    tokens = trial.learner.model.place.tokens
    train, valid = (
        np.unique(np.concatenate(parts)) for parts in (_tried(trial), _parts(trial.valid, tokens))
    )
    list(trial.kept.fill((trial.valid, valid)))  # not counted: kernels are compiled now
    began = time.perf_counter()
    list(trial.kept.fill((trial.train, train)))
    spent = time.perf_counter() - began
    rate = int(trial.train.sequences.sizes(train).sum()) / spent
    splits = trial.train, trial.valid
    cached = sum(trial.kept.needed(features) for features in splits) / 2**20
    return sum(int(features.sequences.lengths.sum()) for features in splits) / rate, cached


def _starting(trial: Fit) -> float:
    """Seconds to find out where the new head begins; 0 where it begins at random weights."""
    began = time.perf_counter()
    if trial.start is not None:
        list(trial.start.take(trial.train, epochs=float(trial.knobs.epochs), seed=trial.knobs.seed))
    return time.perf_counter() - began


def _parts(features: Any, tokens: int) -> list[np.ndarray]:
    """The part of the longest texts among those in which features are predicted, then some of all lengths."""
    from attune.training import batches

    cut = list(batches.micro_batches(features, np.arange(len(features)), tokens=tokens))
    places = sorted({min(int(share * len(cut)), len(cut) - 1) for share in SPREAD})
    return [cut[0], *(cut[place] for place in places)]


def _predicting(trial: Fit, features: Any) -> float:
    """Seconds to predict these features, from a few parts of them."""
    from attune.training import loop

    learner = trial.learner
    longest, *parts = _parts(features, learner.model.place.tokens)
    learner.model.model.eval()
    # the longest texts take the most memory
    loop.answered(learner.task, learner.model, trial.batch(features, longest))
    began = time.perf_counter()
    for part in parts:
        loop.answered(learner.task, learner.model, trial.batch(features, part))
    tokens = sum(int(features.sequences.sizes(part).sum()) for part in parts)
    return (time.perf_counter() - began) / tokens * int(features.sequences.lengths.sum())


def _evaluations(trial: Fit, epochs: float) -> int:
    """How many evaluations there are at most."""
    in_epoch = len(trial.steps(0))
    each = math.ceil(in_epoch / trial.knobs.evaluate_steps)
    whole = int(epochs)
    return whole * each + math.ceil((epochs - whole) * each)


def _saving(trial: Fit) -> float:
    """Seconds to write one checkpoint and the best weights."""
    began = time.perf_counter()
    trial.store.save_best(trial.learner.model.model)
    trial.store.save(trial.learner.model.model, trial.learner.optimizer, trial.state)
    return time.perf_counter() - began


def within(ready: Prepared, seconds: float, tried: Tried | None = None) -> tuple[Prepared, Forecast]:
    """The plan itself where it fits into so many seconds, else the same with fewer epochs.

    Args:
        ready: the plan.
        seconds: of the whole run.
        tried: the plan and what it will take, where that is known.

    Raises:
        RecipeError: when even a tenth of an epoch does not fit.
    """
    told = tried[1] if isinstance(tried, tuple) else forecast(ready)
    if told.total_seconds <= seconds:
        return ready, told
    knobs = ready.recipe.train
    assert isinstance(knobs.epochs, float)
    epochs = _most_epochs(told, knobs.epochs, seconds)
    if epochs <= 1 and told.kept_seconds:  # of one epoch nothing is kept, and each step costs more
        machine.forget_peak()  # of methods that were tried before
        return within(ready.with_epochs(1.0), seconds)
    if epochs < LEAST_EPOCHS:
        least = told.start_seconds + told.measuring_seconds + told.evaluation_seconds / told.evaluations
        least += told.step_seconds / knobs.epochs * LEAST_EPOCHS
        what = f"a tenth of an epoch and the measuring after it take about {math.ceil(least)} s"
        fix = "Give more time, fewer rows, a smaller model.max_tokens or a smaller model"
        raise RecipeError(Problem("--budget", what, f"{seconds:g} s", fix))
    share = epochs / knobs.epochs
    fewer = ready.with_epochs(epochs)
    evaluations = max(1, round(told.evaluations * share))
    return fewer, Forecast(
        **{
            **asdict(told),
            "steps": fewer.steps,
            "step_seconds": told.step_seconds * share,
            "evaluations": evaluations,
            "evaluation_seconds": told.evaluation_seconds / told.evaluations * evaluations,
        }
    )


def _most_epochs(told: Forecast, epochs: float, seconds: float) -> float:
    """The most epochs that fit, whole ones where there is more than one."""
    room = seconds - told.measuring_seconds - told.kept_seconds - told.start_seconds
    whole = int(room / (told.step_seconds + told.evaluation_seconds) * epochs)
    if whole >= 1:
        return float(whole)
    once = told.evaluation_seconds / told.evaluations  # however short a run is, it ends with an evaluation
    return math.floor((room - once) / told.step_seconds * epochs * 10) / 10


def seconds_of(budget: str) -> float:
    """`90s`, `10m` or `1.5h` in seconds.

    Raises:
        RecipeError: for anything else.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        found = float(budget[:-1]) * units[budget[-1:]]
    except (ValueError, KeyError):
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise RecipeError(
            Problem("--budget", "it is not a time above zero", repr(budget), "Write 90s, 10m or 1.5h")
        )
    return found
