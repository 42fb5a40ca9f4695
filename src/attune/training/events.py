"""What a training run tells while it runs. Progress, logs, dashboards and early stopping read only these."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened, at an optimizer step."""

    step: int

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON, its kind first."""
        return {"event": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True)
class Starting(Event):
    """Some rows were read, of which a new head learns where to begin; leaving the loop here is safe."""

    done: float  # share in [0, 1]


@dataclass(frozen=True)
class Started(Event):
    """It was decided where the new head begins."""

    regression: bool  # at the linear model, or else at random weights
    rows: int  # that the model was fitted to
    knows: (
        float | None
    )  # share of the loss of knowing nothing that it saves on held-out rows; None: not fitted


@dataclass(frozen=True)
class Keeping(Event):
    """Part of what leaves the frozen layers is computed; leaving the loop here is safe."""

    done: float  # share in [0, 1]


@dataclass(frozen=True)
class Stepped(Event):
    """An optimizer step was taken."""

    epoch: float  # passes over the rows so far
    loss: float  # mean over the step's targets
    lr: float
    grad_norm: float  # before clipping
    tokens: int  # real tokens of this step
    tokens_per_s: float
    seconds: float  # of training so far, evaluations and saving included
    left_s: float  # estimated seconds to the last step


@dataclass(frozen=True)
class Evaluating(Event):
    """Part of an evaluation is done; leaving the loop here is safe."""

    done: float  # share in [0, 1]


@dataclass(frozen=True)
class Evaluated(Event):
    """The validation rows were scored."""

    epoch: float
    metrics: dict[str, float]
    best: bool
    seconds: float


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint is on the disk, whole."""

    path: str
    seconds: float


@dataclass(frozen=True)
class Measuring(Event):
    """Training is over and what follows takes a moment: test rows, baselines, the stored model."""

    what: str


@dataclass(frozen=True)
class Finished(Event):
    """The last step was taken; the best weights are in the model again."""

    reason: str  # "all epochs", or why it stopped early
    best_step: int
    seconds: float
