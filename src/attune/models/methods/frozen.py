"""Training all of a model, its last layers, or its head alone.

What is frozen below the first trained layer is a fixed function of the text: it runs without dropout, no gradient
goes into it, and what leaves it can be kept from one epoch to the next (`attune.training.kept`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from attune.errors import Problem, RecipeError
from attune.models.backbone import Backbone
from attune.models.methods.base import Method, freeze


@dataclass
class Full(Method):
    """Every weight."""

    def words(self, model: Backbone) -> str:
        """In the plan."""
        return "all weights"

    def applied(self, model: Backbone) -> Backbone:
        """As it comes."""
        return model


@dataclass
class Last(Method):
    """The last layers, what follows them and the head."""

    layers: int

    def words(self, model: Backbone) -> str:
        """In the plan."""
        return (
            "the last layer and the head"
            if self.layers == 1
            else f"the last {self.layers} layers and the head"
        )

    def applied(self, model: Backbone) -> Backbone:
        """Freezes the word vectors and the layers below.

        Raises:
            RecipeError: for more layers than there are, and where these share their weights with those below.
        """
        tower = model.tower()
        if self.layers > len(tower):
            fix = f"Set method.layers to {len(tower)} or less" if tower else "Use method.name=full or lora"
            what = (
                f"the model has {len(tower)} layers" if tower else "attune does not know this model's layers"
            )
            raise RecipeError(Problem("method.layers", what, str(self.layers), fix))
        below = len(tower) - self.layers
        shared = {id(layer) for layer in tower[:below]} & {id(layer) for layer in tower[below:]}
        if shared:
            what = (
                "the layers of this model share their weights, so these cannot be trained without those below"
            )
            fix = "Use method.name=full, lora or head"
            raise RecipeError(Problem("method.layers", what, str(self.layers), fix))
        freeze(model.model)
        model.lowest, model.awake = below, [*tower[below:], *model.ends(), *model.head().values()]
        for part in model.awake:
            part.requires_grad_(True)
        return model


@dataclass
class Head(Method):
    """The head alone, on states that stay what they are: linear probing."""

    rate: ClassVar[float] = 10.0

    def words(self, model: Backbone) -> str:
        """In the plan."""
        return "the head"

    def applied(self, model: Backbone) -> Backbone:
        """Freezes all but the head.

        Raises:
            RecipeError: for a model without a head.
        """
        head = list(model.head().values())
        if not head:
            what = "the model of this task has no head, so nothing would be trained"
            raise RecipeError(Problem("method.name", what, "head", "Use method.name=full, lora or last"))
        freeze(model.model)
        model.lowest, model.awake = len(model.tower()), head
        for part in head:
            part.requires_grad_(True)
        return model
