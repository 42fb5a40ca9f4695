"""What a method is: the one place that freezes or wraps a model, and that makes it a plain one again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from attune.models.backbone import Backbone


@dataclass(frozen=True)
class Trained:
    """What of a model is trained."""

    method: str  # in words
    trained: int  # weights
    weights: int  # of the model without what a method adds

    @property
    def sentence(self) -> str:
        """As the plan says it."""
        if self.trained == self.weights:
            return f"{self.method}: {_millions(self.weights)} are trained"
        return f"{self.method}: {_millions(self.trained)} of {_millions(self.weights)} weights are trained"

    def as_dict(self) -> dict[str, Any]:
        """As the run folder holds it."""
        return {**asdict(self), "sentence": self.sentence}


class Method(ABC):
    """A way to train a model. A new one is a class here or beside, and an entry in the catalogue."""

    rate: ClassVar[float] = 1.0  # factor on the usual learning rate

    @abstractmethod
    def words(self, model: Backbone) -> str:
        """What of this model is trained, such as `the last 2 layers and the head`."""

    @abstractmethod
    def applied(self, model: Backbone) -> Backbone:
        """The backbone to train: some of its weights frozen, perhaps others added.

        Raises:
            RecipeError: where this model cannot be trained so.
        """

    def settled(self, model: Backbone, folder: Path) -> Backbone:
        """The trained backbone as a plain transformers model again.

        Args:
            model: what `applied` gave, after training.
            folder: of the run; what belongs to the method beside the model is written into it.
        """
        return model

    def trained(self, model: Backbone) -> tuple[Backbone, Trained]:
        """The backbone to train, and what of it is trained."""
        whole, words = model.parameters(), self.words(model)
        model = self.applied(model)
        count = sum(weight.numel() for weight in model.model.parameters() if weight.requires_grad)
        return model, Trained(words, count, whole)


def freeze(model: nn.Module) -> None:
    """Nothing of it is trained."""
    for weight in model.parameters():
        weight.requires_grad_(False)


def _millions(count: int) -> str:
    """`22.7 M`, or the number itself where it is small."""
    return f"{count / 1e6:.1f} M" if count >= 50_000 else f"{count:,}"
