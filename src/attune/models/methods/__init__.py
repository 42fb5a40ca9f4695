"""Which weights of a model are trained: one class each, named here once (and in `recipe.MethodSection`)."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any

from attune.models.methods.base import Method, Trained

__all__ = ["CATALOGUE", "Method", "Trained", "build"]

CATALOGUE = {
    "full": "attune.models.methods.frozen:Full",
    "last": "attune.models.methods.frozen:Last",
    "head": "attune.models.methods.frozen:Head",
    "lora": "attune.models.methods.lora:Lora",
}


def build(name: str, **knobs: Any) -> Method:
    """The method of this name with those of the knobs that it has."""
    module, _, attribute = CATALOGUE[name].partition(":")
    kind = getattr(import_module(module), attribute)
    method: Method = kind(**{field.name: knobs[field.name] for field in fields(kind) if field.init})
    return method
