"""The contract of a task: rows in, answers out; the loop, the evaluation and the report know nothing else of it.

    rows -> Features -> Batch -> logits -> loss                                    (training)
                        Batch -> logits -> pieces -> predictions -> answers        (prediction)

Rows are tables whose columns are named by role (`text`, `pair`, `words`, `label`), whatever a file called them.
One row may make several features (windows of a long text), so `predict` answers for features and `join`
brings the answers back to rows. A batch knows its number of targets before any forward pass, and a loss is a
SUM over targets: the loop divides once, by the targets of the whole optimizer step, so that the gradient
cannot depend on how a step is cut.

N rows, F features, U units of a batch, C classes, K statistics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from attune.data.table import Table
from attune.metrics import sums
from attune.metrics.intervals import Difference, Interval
from attune.models.backbone import Backbone
from attune.models.tokens import TextEncoder
from attune.tasks import linear
from attune.tasks.features import Batch, Features


class Options(BaseModel):
    """What only one task knows; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


O = TypeVar("O", bound=Options)  # noqa: E741 - the one letter type of the options


class Task(ABC, Generic[O]):
    """A task: options, rows, encoding, loss, predictions, answers, score; read top to bottom in its file."""

    name: ClassVar[str]
    head: ClassVar[str]  # the key of models.load.HEADS: a transformers class that anyone can load
    problem: ClassVar[str] = ""  # transformers' problem_type of a classification head
    main_metric: ClassVar[str]  # judges the run; higher is better, always
    shown: ClassVar[tuple[str, ...]]  # the metrics that the terminal shows, the main one first
    long_texts: ClassVar[str] = "truncate"  # what `model.long_texts: auto` means
    untrained: ClassVar[bool] = (
        False  # True where the model answers before it has learned, having no new head
    )
    whole_step: ClassVar[bool] = False  # True where the loss compares the rows of a step with each other
    labels: tuple[str, ...] = ()

    def __init__(self, options: O) -> None:
        self.options = options

    # What is learned

    @abstractmethod
    def learn(self, rows: Table) -> None:
        """Takes the label set from the training rows."""

    @abstractmethod
    def gold(self, rows: Table) -> Any:
        """What the rows' labels are as targets, one for each row: an array [N, ...] or a list."""

    @abstractmethod
    def counts(self, gold: Any) -> dict[str, int]:
        """How often each label stands in the targets of some rows."""

    @abstractmethod
    def encode(self, rows: Table, encoder: TextEncoder, gold: Any = None) -> Features:
        """The features of these rows, with their targets where they are known."""

    # How it is learned

    def equip(self, model: Backbone) -> None:
        """Adds what the task itself learns to the model, until `finish`; most tasks learn nothing of their own."""

    def begun(self, rows: linear.Rows, *, bias: bool, length: float) -> linear.Linear:
        """Where the head's last layer may begin, from what it reads of some training rows; most heads have no such.

        Args:
            rows: what it reads, and the targets.
            bias: whether it has biases.
            length: of its random weights, all together.
        """
        raise NotImplementedError(f"{self.name} has no start for its head")

    @property
    def starts(self) -> bool:
        """Whether `begun` gives a new head its start."""
        return type(self).begun is not Task.begun

    @abstractmethod
    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The head's answers."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The summed loss over the batch's targets, a scalar."""

    # What is answered

    @abstractmethod
    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The pieces of the answers, one for each feature of the batch, in its order."""

    @abstractmethod
    def join(self, pieces: Sequence[Any], features: Features) -> Any:
        """The predictions for rows, an array [N, ...] or a list, from the pieces of all features in order."""

    @abstractmethod
    def answer(self, prediction: Any, row: dict[str, Any]) -> Any:
        """A prediction as a person or a program reads it: a dataclass whose first field is `label`."""

    @abstractmethod
    def told(self, gold: Any, row: dict[str, Any]) -> Any:
        """The target of a row in the form of an answer's `label`."""

    @abstractmethod
    def certain(self, gold: Any) -> Any:
        """The predictions that say exactly this, without doubt; how baselines and tests speak."""

    def settle(self, gold: Any, predictions: Any) -> None:
        """Decides what validation rows decide (thresholds); most tasks have nothing of the kind."""

    def finish(self, model: Backbone) -> None:
        """Last touches to the trained model before it is stored; most tasks have none."""

    def ship(self, folder: Path, max_tokens: int) -> None:
        """Adds what the stored model's folder needs beyond model and tokenizer; most tasks need nothing."""

    def state(self) -> dict[str, Any]:
        """What was learned and settled, as JSON; `restore` takes it back."""
        return {"labels": list(self.labels)}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        self.labels = tuple(state["labels"])

    # How good it is

    @abstractmethod
    def statistics(self, gold: Any, predictions: Any) -> np.ndarray:
        """[N, K] what each row adds to the metrics."""

    @abstractmethod
    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric, from sums [..., K] of the statistics."""

    def score(self, gold: Any, predictions: Any) -> dict[str, float]:
        """Every metric of these predictions, `main_metric` among them."""
        found = self.scores(self.statistics(gold, predictions).sum(0))
        return {name: float(value) for name, value in found.items() if np.isfinite(value)}

    def measured(self, gold: Any, predictions: Any, *, seed: int) -> dict[str, Interval]:
        """Every metric that these rows have, with its 95 % interval."""
        found = sums.of_sums(self.statistics(gold, predictions), self.scores, seed=seed)
        return {name: bound for name, bound in found.items() if np.isfinite(bound.value)}

    def compared(self, gold: Any, ours: Any, theirs: Any, *, metric: str, seed: int) -> Difference:
        """How much better `ours` is than `theirs` on the same rows."""
        a, b = self.statistics(gold, ours), self.statistics(gold, theirs)
        return sums.paired_sums(a, b, self.scores, metric=metric, seed=seed)

    @abstractmethod
    def severity(self, gold: Any, predictions: Any) -> np.ndarray:
        """[N] how bad the answer for each row is; 0 where it is right. The report shows the worst ones."""

    @property
    def judged_by(self) -> tuple[str, ...]:
        """The metrics in which the model is compared with baselines, the main one first."""
        return (self.main_metric,)

    def explained(self, prediction: Any) -> int | None:
        """The class whose words are looked for in a mistake; None where the head has no classes."""
        return None

    def details(self, gold: Any, predictions: Any) -> dict[str, Any]:
        """What the report shows beside the metrics, as JSON."""
        return {}

    @abstractmethod
    def examples(self) -> dict[str, Any]:
        """Awkward rows for the conformance suite, by role: `{"text": [...], "label": [...]}`."""

    def record(self, prediction: Any, row: dict[str, Any], gold: Any) -> dict[str, Any]:
        """A row of `predictions/*.jsonl`: the row's own cells, what is true, what was predicted."""
        answer = asdict(self.answer(prediction, row))
        inputs = {name: cell for name, cell in row.items() if name != "label"}
        return {**inputs, "label": self.told(gold, row), "predicted": answer.pop("label"), **answer}

    def truth(self, record: Mapping[str, Any]) -> Any:
        """The cell of the `label` column that a row of `predictions/*.jsonl` was made of."""
        return record["label"]
