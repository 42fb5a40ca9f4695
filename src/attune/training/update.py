"""One optimizer step from micro-batches: sums divided once, clipped, and refused when not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from attune.errors import Problem, TrainingError
from attune.models.backbone import Backbone
from attune.tasks.base import Task
from attune.tasks.features import Batch
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

    task: Task  # type: ignore[type-arg]
    model: Backbone
    optimizer: AdamW
    clip: float
    where: Callable[[np.ndarray], str]  # the places of features, for messages


def update(learner: Learner, batches: Iterable[Batch], *, count: float, lr: float) -> Update:
    """Takes one optimizer step over all micro-batches; `count` is the number of their targets together.

    Without a target, as of words that no token stands for, the gradient is zero.

    Raises:
        TrainingError: when a loss or the gradient is not finite; the weights are as before the step.
    """
    learner.model.train()
    learner.optimizer.zero_grad(set_to_none=True)
    total, tokens, seen = 0.0, 0, []
    for batch in batches:
        loss = learner.task.loss(learner.task.logits(learner.model, batch), batch) / (count or 1.0)
        total += _finite(float(loss.detach()), "the loss", learner, batch.features)
        loss.backward()
        tokens += sum(batch.stream.lengths)
        seen.append(batch.features)
    norm = _finite(_norm(learner.model.model), "the gradient", learner, np.concatenate(seen))
    for group in learner.optimizer.param_groups:
        group["lr"] = lr
    clipped = learner.clip and norm > learner.clip
    learner.optimizer.step(scale=learner.clip / (norm + 1e-6) if clipped else 1.0)
    learner.optimizer.zero_grad(set_to_none=True)  # nothing of a step is held while the next one computes
    return Update(total, norm, tokens)


def _norm(model: nn.Module) -> float:
    """The Euclidean length of all gradients together."""
    gradients: list[Tensor] = []
    for parameter in model.parameters():
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # else a row that was read twice would count as two
            gradients.append(parameter.grad.values())
        elif parameter.grad is not None:
            gradients.append(parameter.grad)
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))


def _finite(value: float, what: str, learner: Learner, features: np.ndarray) -> float:
    if np.isfinite(value):
        return value
    learner.optimizer.zero_grad(set_to_none=True)
    fix = "Lower train.lr, or look at these rows; the weights of the last good step are saved"
    raise TrainingError(Problem(learner.where(features), f"{what} is not finite", str(value), fix))
