"""The loop: a generator of events. To stop it, leave it; what it reached is saved on the way out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attune.recipe import TrainSection
from attune.tasks.base import Task
from attune.tasks.features import Batch, Features, batch_of
from attune.training import batches
from attune.training.checkpoint import State, Store
from attune.training.events import Evaluated, Evaluating, Event, Finished, Keeping, Saved, Stepped
from attune.training.kept import Kept
from attune.training.schedule import factor
from attune.training.start import HeadStart
from attune.training.update import Learner, logits_of, update

GRANULE = 64  # evaluation batches between two chances to leave


@dataclass
class Fit:
    """One training run: what learns, from what, scored on what, kept where."""

    learner: Learner
    train: Features
    valid: Features
    valid_gold: Any
    knobs: TrainSection  # epochs and lr are numbers here, never auto
    store: Store
    kept: Kept | None = None  # what leaves the frozen layers, where that is kept
    start: HeadStart | None = None  # of a new head, where it does not begin at random weights

    def __post_init__(self) -> None:
        self.state = State()
        self.saved_at = time.monotonic()
        self.began = time.monotonic()
        self.stepping = self.began  # when the first step began
        self.warm: tuple[int, float] | None = None  # the first step of this process and when it was done

    @property
    def batch(self) -> Callable[[Features, np.ndarray], Batch]:
        """What makes the batch of chosen features."""
        return batch_of if self.kept is None else self.kept.batch

    def left(self, step: int, total: int) -> float:
        """Seconds to the last step at the pace since the first one, which also pays for what is made once."""
        now = time.monotonic()
        if self.warm is None:
            self.warm = (step, now)
            return (now - self.stepping) * (total - step)
        first, then = self.warm
        return (now - then) / (step - first) * (total - step)

    def steps(self, epoch: int) -> list[np.ndarray]:
        """The features of each step of an epoch."""
        knobs = self.knobs
        return batches.steps_of(
            self.train, batch=knobs.batch, by=knobs.batch_by, seed=knobs.seed, epoch=epoch
        )

    def seconds(self) -> float:
        """Of training, over all the processes that worked on this run."""
        return self.state.seconds + time.monotonic() - self.began


def fit(run: Fit) -> Generator[Event]:
    """Trains from where the run's checkpoints end to its end, and leaves the best weights in the model.

    Leaving the generator (`close`, an exception) saves a checkpoint at the last whole step, if there was one.

    Yields:
        Starting while a new head is begun and Started when it was, Keeping while what leaves the frozen layers is
        computed, Stepped for each optimizer step, Evaluating and Evaluated, Saved, and Finished at the end.
    """
    learner, store = run.learner, run.store
    run.state = store.load(learner.model.model, learner.optimizer)
    run.began = time.monotonic()
    try:
        if run.start is not None and not run.state.step:
            assert isinstance(run.knobs.epochs, float)
            yield from run.start.take(run.train, epochs=run.knobs.epochs, seed=run.knobs.seed)
        if run.kept is not None and not run.state.reason:
            for share in run.kept.fill(*((rows, np.arange(len(rows))) for rows in (run.train, run.valid))):
                yield Keeping(run.state.step, share)
        run.stepping = time.monotonic()
        yield from _steps(run)
    except GeneratorExit:
        if run.state.step:  # a run that took no step begins anew, at the same weights
            _save(run)
        raise
    finally:
        if run.kept is not None:
            run.kept.forget()
    if run.state.best_step:
        store.load_best(learner.model.model)
    yield Finished(run.state.step, run.state.reason, run.state.best_step, run.seconds())


def _steps(run: Fit) -> Iterator[Event]:
    knobs, state = run.knobs, run.state
    assert isinstance(knobs.epochs, float)
    assert isinstance(knobs.lr, float)
    begun = 0  # steps before this epoch
    total = _total_steps(run, knobs.epochs)
    for epoch in range(math.ceil(knobs.epochs)):
        parts = run.steps(epoch)
        for place, part in enumerate(parts):
            step = begun + place + 1
            if step > total or state.reason:
                break
            if step > state.step:
                yield step_of(run, part, step, total=total, epoch=epoch + (place + 1) / len(parts))
            if _evaluation_due(step, place, len(parts), total, knobs) and state.evaluated_at < step:
                yield from _evaluate(run, epoch + (place + 1) / len(parts))
                if step == total and not state.reason:
                    state.reason = "all epochs"
                yield _save(run)
            elif time.monotonic() - run.saved_at > knobs.save_minutes * 60:
                yield _save(run)
        begun += len(parts)


def _total_steps(run: Fit, epochs: float) -> int:
    whole = int(epochs)
    steps = sum(len(run.steps(epoch)) for epoch in range(whole))
    rest = round((epochs - whole) * len(run.steps(whole))) if epochs > whole else 0
    return max(1, steps + rest)


def _evaluation_due(step: int, place: int, in_epoch: int, total: int, knobs: TrainSection) -> bool:
    """At each epoch's end, at the last step, and inside long epochs at even distances."""
    parts = math.ceil(in_epoch / knobs.evaluate_steps)
    return step == total or place + 1 == in_epoch or (place + 1) % math.ceil(in_epoch / parts) == 0


def step_of(run: Fit, part: np.ndarray, step: int, *, total: int, epoch: float) -> Stepped:
    """Takes the optimizer step number `step` of `total` with these features."""
    knobs, state = run.knobs, run.state
    began = time.monotonic()
    # The step alone decides the random numbers: a resumed run draws the same ones.
    torch.manual_seed(knobs.seed * 1_000_003 + step)
    tokens = 2**62 if run.learner.task.whole_step else knobs.micro_tokens
    micro = (run.batch(run.train, chosen) for chosen in batches.micro_batches(run.train, part, tokens=tokens))
    lr = float(knobs.lr) * factor(knobs.schedule, step - 1, total, round(total * knobs.warmup))
    done = update(run.learner, micro, count=run.train.count(part), lr=lr)
    state.step = step
    state.tokens += done.tokens
    seconds = run.seconds()
    return Stepped(
        step,
        epoch=epoch,
        loss=done.loss,
        lr=lr,
        grad_norm=done.grad_norm,
        tokens=done.tokens,
        tokens_per_s=done.tokens / (time.monotonic() - began),
        seconds=seconds,
        left_s=run.left(step, total),
    )


def _evaluate(run: Fit, epoch: float) -> Iterator[Event]:
    state, learner = run.state, run.learner
    began = time.monotonic()
    answers: list[Any] = []
    with learner.optimizer.averaged():
        for share in predicted(learner.task, learner.model, run.valid, answers.append, run.batch):
            yield Evaluating(state.step, share)
    learner.task.settle(run.valid_gold, answers[0])
    scores = learner.task.score(run.valid_gold, answers[0])
    score, loss = scores[learner.task.main_metric], scores.get("log_loss", 0.0)
    best = (score, -loss) > (state.best_score, -state.best_loss)
    if best:
        with learner.optimizer.averaged():
            run.store.save_best(learner.model.model)
        state.best_score, state.best_loss, state.best_step, state.misses = score, loss, state.step, 0
    else:
        state.misses += 1
        if run.knobs.patience and state.misses >= run.knobs.patience:
            state.reason = f"stopped early: no better score in {state.misses} evaluations"
    state.evaluated_at = state.step
    yield Evaluated(state.step, epoch, scores, best, time.monotonic() - began)


def predicted(
    task: Task[Any],
    model: Any,
    features: Features,
    take: Callable[[Any], None],
    made: Callable[[Features, np.ndarray], Batch] = batch_of,
) -> Iterator[float]:
    """Predicts all rows, longest features first, and hands `take` their predictions in the rows' order.

    `made` makes the batches.

    Yields:
        The share that is done, now and then.
    """
    model.model.eval()
    parts = list(batches.micro_batches(features, np.arange(len(features)), tokens=model.place.tokens))
    pieces: list[Any] = [None] * len(features)
    for done, chosen in enumerate(parts, start=1):
        for feature, piece in answered(task, model, made(features, chosen)):
            pieces[feature] = piece
        if done % GRANULE == 0:
            yield done / len(parts)
    take(task.join(pieces, features))


def answered(task: Task[Any], model: Any, batch: Batch) -> Iterator[tuple[int, Any]]:
    """The pieces of the answers for a batch, each with its feature; the model stands in eval mode."""
    with torch.inference_mode():
        logits = logits_of(task, model, batch.on(model.place.device)).cpu()
        answers = task.predict(logits, batch)
    return zip(batch.features.tolist(), answers, strict=True)


def predictions(task: Task[Any], model: Any, features: Features) -> Any:
    """The predictions for all rows of these features, in their order."""
    taken: list[Any] = []
    for _ in predicted(task, model, features, taken.append):
        pass
    return taken[0]


def _save(run: Fit) -> Saved:
    began = time.monotonic()
    run.state.seconds, run.began = run.seconds(), began
    path = run.store.save(run.learner.model.model, run.learner.optimizer, run.state)
    run.saved_at = time.monotonic()
    return Saved(run.state.step, path.name, run.saved_at - began)
