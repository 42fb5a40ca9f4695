"""LoRA (Hu et al. 2021): low-rank matrices beside frozen ones, as PEFT makes, stores and merges them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from attune import files
from attune.errors import MachineError, Problem, RecipeError
from attune.models.backbone import Backbone
from attune.models.methods.base import Method

ADAPTER = "adapter"  # the folder in that of the run
# The matrices of queries and values in families that PEFT has no entry for
QUERY_AND_VALUE = {
    "camembert": ["query", "value"],
    "albert": ["query", "value"],
    "distilbert": ["q_lin", "v_lin"],
    "modernbert": ["Wqkv"],
    "mbart": ["q_proj", "v_proj"],
    "umt5": ["q", "v"],
    "mpnet": ["attn.q", "attn.v"],
}
# What PEFT calls the class of a head; it decides how `AutoPeftModel` loads an adapter.
TASKS = {
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
}


@dataclass
class Lora(Method):
    """What each chosen matrix adds to its input x: alpha / rank * B A x, with B and A trained and the rest frozen."""

    rank: int
    alpha: float
    dropout: float
    targets: str

    # ten times the rate of training all weights: Schulman et al. 2025, "LoRA Without Regret"
    rate: ClassVar[float] = 10.0

    def words(self, model: Backbone) -> str:
        """In the plan."""
        named = "every matrix of the layers"
        if self.targets == "auto":
            named = ", ".join(_usual(model.model.config.model_type))
        return f"LoRA of rank {self.rank} on {named}, and the head"

    def applied(self, model: Backbone) -> Backbone:
        """Freezes all but the head and puts two thin matrices beside each target.

        Raises:
            RecipeError: for a model of which nobody knows what its queries and values are called.
        """
        peft = _peft()
        inner = model.model
        names = _all(model) if self.targets == "all-linear" else _usual(inner.config.model_type)
        kinds = [part for layer in model.tower() for part in layer.modules()]
        heads = sorted(model.head())
        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=names,
            modules_to_save=heads or None,
            fan_in_fan_out=any(isinstance(part, Conv1D) for part in kinds),
            task_type=_task(type(inner).__name__),
        )
        with warnings.catch_warnings():  # PEFT 0.21 asks transformers for an attribute by its old name
            warnings.simplefilter("ignore", FutureWarning)
            wrapped = peft.get_peft_model(inner, config)
        self._check_rank(wrapped)
        found = type(model)(inner)  # its layers are others now
        found.wrapped = wrapped
        return found

    def _check_rank(self, wrapped: Any) -> None:
        """Raises where a matrix is no larger than the two that would stand beside it."""
        layers = (part.base_layer for part in wrapped.modules() if hasattr(part, "lora_A"))
        most = min((min(layer.weight.shape) for layer in layers), default=self.rank)
        if self.rank > most:
            what = "the matrices are no larger than that"
            raise RecipeError(Problem("method.rank", what, str(self.rank), f"Set it to {most} or less"))

    def settled(self, model: Backbone, folder: Path) -> Backbone:
        """Writes `adapter/` in PEFT's format and adds the products to the frozen matrices."""
        from peft import get_peft_model_state_dict

        with files.whole_folder(folder / ADAPTER) as partial:
            held = get_peft_model_state_dict(model.wrapped, save_embedding_layers=False)
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in held.items()}
            save_file(tensors, partial / "adapter_model.safetensors", metadata={"format": "pt"})
            told = model.wrapped.peft_config["default"]
            kept = told.modules_to_save  # PEFT adds every name that a head may have
            told.modules_to_save = sorted(set(kept or ()) & set(model.head())) or None
            told.save_pretrained(partial)
        plain = model.wrapped.merge_and_unload(progressbar=False)
        plain.requires_grad_(True)
        return type(model)(plain)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        fix = "pip install peft"
        raise MachineError(
            Problem("method.name", "LoRA needs a package that is not installed", "peft", fix)
        ) from error
    return peft


def _usual(kind: str) -> list[str]:
    """What PEFT adapts in a family where nothing is named: queries and values."""
    from peft.utils import constants

    table = {**constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING, **QUERY_AND_VALUE}
    if kind not in table:
        what = f"nobody told attune what models of type {kind!r} call their queries and values"
        raise RecipeError(Problem("method.targets", what, "auto", "Set method.targets=all-linear"))
    return list(table[kind])


def _all(model: Backbone) -> list[str]:
    """The names of all matrices inside the layers, from the layer on.

    Raises:
        RecipeError: for a model whose layers attune does not know.
    """
    found = {
        name
        for layer in model.tower()
        for name, part in layer.named_modules()
        if isinstance(part, nn.Linear | Conv1D)
    }
    if not found:
        what = f"attune does not know the layers of models of type {model.model.config.model_type!r}"
        raise RecipeError(Problem("method.targets", what, "all-linear", "Use method.name=full or head"))
    return sorted(found)


def _task(name: str) -> str:
    return next((task for ending, task in TASKS.items() if name.endswith(ending)), "FEATURE_EXTRACTION")
