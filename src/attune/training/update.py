"""One optimizer step from micro-batches: sums divided once, clipped, and refused when not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attune.errors import Problem, TrainingError
from attune.models.backbone import Backbone
from attune.tasks.base import Task
from attune.tasks.features import Batch
from attune.training.graphs import Graphs
from attune.training.optim import AdamW


@dataclass(frozen=True)
class Update:
    """What one optimizer step did."""

    loss: float  # mean over the targets
    grad_norm: float  # before clipping
    tokens: int


@dataclass
class Learner:
    """What an update changes and what it needs for it."""

    task: Task[Any]
    model: Backbone
    optimizer: AdamW
    clip: float
    where: Callable[[np.ndarray], str]  # the places of features, for messages
    graphs: Graphs | None = None  # recorded passes, on a GPU that was asked to play them again


def update(learner: Learner, batches: Iterable[Batch], *, count: float, lr: float) -> Update:
    """Takes one optimizer step over all micro-batches; `count` is the number of their targets together.

    Without a target, as of words that no token stands for, the gradient is zero.

    Raises:
        TrainingError: when a loss or the gradient is not finite; the weights are as before the step.
    """
    if not learner.model.model.training:
        learner.model.train()
    _forget(learner)
    tokens, seen = 0, []
    losses: list[Tensor] = []
    for batch in batches:
        losses.append(_passes(learner, batch, count or 1.0))
        tokens += sum(batch.stream.lengths)
        seen.append(batch.features)
    # the one moment of a step at which the host waits for the device
    *values, norm = torch.stack([*losses, _norm(_trained(learner))]).cpu().tolist()
    for value, features in zip(values, seen, strict=True):
        _finite(value, "the loss", learner, features)
    _finite(norm, "the gradient", learner, np.concatenate(seen))
    for group in learner.optimizer.param_groups:
        group["lr"] = lr
    clipped = learner.clip and norm > learner.clip
    learner.optimizer.step(scale=learner.clip / (norm + 1e-6) if clipped else 1.0)
    if learner.graphs is None:
        _forget(learner)  # nothing of a step is held while the next one computes
    return Update(sum(values), norm, tokens)


def _forget(learner: Learner) -> None:
    """Lets go of all gradients; those that recorded passes add to stay where they are, and become zero."""
    trained = _trained(learner)
    if learner.graphs is None:
        for parameter in trained:
            parameter.grad = None
    elif held := [parameter.grad for parameter in trained if parameter.grad is not None]:
        torch._foreach_zero_(held)


def _trained(learner: Learner) -> list[Tensor]:
    """The weights that the optimizer moves; to walk through the modules for them takes a millisecond of a step."""
    return [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]


def _passes(learner: Learner, batch: Batch, count: float) -> Tensor:
    """A batch's share of the loss; its gradient is added to that of the weights."""
    task, model = learner.task, learner.model

    def passes(batch: Batch, count: float | Tensor) -> Tensor:
        loss = task.loss(logits_of(task, model, batch), batch) / count
        loss.backward()
        return loss.detach().float()

    if learner.graphs is not None:
        played = learner.graphs.loss(task, model, batch, count, passes)
        if played is not None:
            return played
    return passes(batch.on(model.place.device), count)


def logits_of(task: Task[Any], model: Backbone, batch: Batch) -> Tensor:
    """The task's logits for a batch that is where the model is, in float32."""
    with model.place.computing():
        logits = task.logits(model, batch)
    return logits.float()


def _norm(trained: list[Tensor]) -> Tensor:
    """The Euclidean length of all gradients together."""
    gradients: list[Tensor] = []
    for parameter in trained:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # else a row that was read twice would count as two
            gradients.append(parameter.grad.values())
        elif parameter.grad is not None:
            gradients.append(parameter.grad)
    length: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return length.float()


def _finite(value: float, what: str, learner: Learner, features: np.ndarray) -> None:
    if np.isfinite(value):
        return
    _forget(learner)
    fix = "Lower train.lr, or look at these rows; the weights of the last good step are saved"
    raise TrainingError(Problem(learner.where(features), f"{what} is not finite", str(value), fix))
