"""Recipes as text: YAML with `key=value` overrides in, YAML out, every problem at once with its place.

YAML is read so that what looks like text stays text and what looks like a number is one: `3e-5` is a float,
`yes`, `no` and `off` are words, `007` is the text 007 (plain YAML 1.1 gets all of these wrong).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from attune.errors import Problem, RecipeError, command, nearest
from attune.recipe import Recipe, Section, knobs

SUFFIXES = {".yaml", ".yml"}
ALIASES = {
    "learning_rate": "lr",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "per_device_train_batch_size": "batch",
    "batch_size": "batch",
    "max_length": "max_tokens",
    "max_seq_length": "max_tokens",
    "model_name_or_path": "base",
    "lr_scheduler_type": "schedule",
    "warmup_ratio": "warmup",
    "max_grad_norm": "clip",
    "early_stopping_patience": "patience",
    "lora_r": "rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "targets",
}

# what is said most often has a short name on the command line and in Python
SHORT = {
    "task": "task.name",
    "text": "data.text",
    "pair": "data.pair",
    "label": "data.label",
    "model": "model.base",
    "valid": "data.valid",
    "test": "data.test",
}

# knobs that may name a file or folder of this machine
PATHS = ("data.train", "data.valid", "data.test", "model.base")


class Loader(yaml.SafeLoader):
    """YAML 1.2's idea of numbers and booleans on PyYAML."""


Loader.yaml_implicit_resolvers = {
    first: [
        (tag, regexp)
        for tag, regexp in resolvers
        if not tag.endswith((":bool", ":float", ":int", ":timestamp"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def is_recipe(source: str) -> bool:
    """True for the name of a recipe file, by its suffix."""
    return Path(source).suffix.lower() in SUFFIXES


def load(source: str, overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe that a data file or a recipe file, `section.knob=value` words and options add up to.

    Options (`{"data.label": "stars"}`) win over overrides, overrides over the file, the file over defaults.

    Raises:
        RecipeError: with every problem found.
    """
    values: dict[str, Any] = {"data": {"train": source}}
    places: dict[tuple[str, ...], str] = {}
    if is_recipe(source):
        values, places = _read(Path(source))
    problems: list[Problem] = []
    for word in overrides:
        key, sign, text = word.partition("=")
        if not sign:
            problems.append(Problem(word, "is not of the form section.knob=value", fix=_form(word)))
            continue
        _put(values, key, _scalar(text, word, problems), problems)
    for key, value in (options or {}).items():
        _put(values, key, value, problems)
    return _validated(values, places, problems)


def anchored(recipe: Recipe) -> Recipe:
    """The recipe with its files and folders under absolute names, so that it holds from any folder.

    Names of the hub and starters stay as they are: only what lies on this disk is a path.
    """
    for knob in PATHS:
        section, _, name = knob.partition(".")
        given = getattr(getattr(recipe, section), name)
        if given and not given.startswith("starter/") and Path(given).exists():
            recipe = recipe.updated(section, **{name: str(Path(given).absolute())})
    return recipe


def dump(recipe: Recipe, options: type[BaseModel] | None = None) -> str:
    """The recipe as YAML, each knob with its help.

    Those of the task's own `options` that are not given stand there as comments.
    """
    help_of = knobs()
    lines = []
    for section, values in recipe.model_dump().items():
        lines.append(f"{section}:")
        for name, value in values.items():
            text = yaml.safe_dump(
                {name: value}, default_flow_style=True, width=10**6, allow_unicode=True
            ).strip()[1:-1]
            lines.append(f"  {text:<34}  # {help_of[f'{section}.{name}'][0]}")
            if (section, name) == ("task", "options") and options is not None:
                lines += _at_default(options, value)
        lines.append("")
    return "\n".join(lines)


def _at_default(options: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    """A comment for each option of a task that is not given."""
    left = {name: field for name, field in options.model_fields.items() if name not in given}
    return [
        f"    # {f'task.options.{name}={json.dumps(field.default)}':<28}  {field.description or ''}"
        for name, field in left.items()
    ]


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=Loader)
        values = yaml.load(text, Loader=Loader)  # a SafeLoader: plain values only
    except FileNotFoundError as error:
        names = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise RecipeError(
            Problem(str(path), "there is no such recipe", fix=nearest(path.name, names))
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(Problem(str(path), "is not UTF-8 text", fix="Save it as UTF-8")) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        fix = "Look at this line and the one before: at brackets, quotes, and blanks after a colon"
        raise RecipeError(
            Problem(where, f"is not YAML: {getattr(error, 'problem', error)}", fix=fix)
        ) from error
    if not isinstance(values, dict):
        fix = f"Start from the one that `{command('train DATA --print-recipe')}` prints"
        raise RecipeError(Problem(str(path), "is not a recipe", type(values).__name__, fix))
    places: dict[tuple[str, ...], str] = {}
    _mark(node, (), str(path), places)
    return values, places


def _mark(node: Any, path: tuple[str, ...], file: str, places: dict[tuple[str, ...], str]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            places[inner] = f"{file}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
            _mark(value, inner, file, places)


def _scalar(text: str, word: str, problems: list[Problem]) -> Any:
    try:
        return yaml.load(text, Loader=Loader) if text else ""  # a SafeLoader: plain values only
    except yaml.YAMLError:
        problems.append(Problem(word, "the value is not YAML", repr(text), "Put it between quotes"))
        return None


def _form(word: str) -> str:
    if len(word) < LONGEST and Path(word).is_file():
        return f"Other files stand behind an option: --valid {word} or --test {word}"
    return f"Write {word}=VALUE, without blanks" if word in knobs() else nearest(word, knobs())


def home_of(name: str) -> str:
    """The knob of that name, ours or transformers': `train.epochs` for `num_train_epochs`; "" where none is."""
    return next((knob for knob in knobs() if knob.endswith(f".{ALIASES.get(name, name)}")), "")


def _put(values: dict[str, Any], key: str, value: Any, problems: list[Problem]) -> None:
    section, dot, name = key.partition(".")
    if not dot:
        fix = f"Write {home}=..." if (home := home_of(key)) else nearest(key, knobs())
        problems.append(Problem(key, "no such knob", fix=fix))
        return
    held = values.setdefault(section, {})
    if name.startswith("options.") and section == "task" and isinstance(held, dict):
        held = held.setdefault("options", {})
        name = name.removeprefix("options.")
    if isinstance(held, dict):
        held[name] = value


def _validated(values: dict[str, Any], places: dict[tuple[str, ...], str], problems: list[Problem]) -> Recipe:
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        problems += [_problem(dict(detail), places) for detail in error.errors()]
        recipe = None
    if problems or recipe is None:
        # one knob of two types (`float | auto`) fails once for each type: the first one says enough
        raise RecipeError(
            *{(problem.where, problem.found): problem for problem in reversed(problems)}.values()
        )
    return recipe


def _problem(detail: dict[str, Any], places: dict[tuple[str, ...], str]) -> Problem:
    path = tuple(str(part) for part in detail["loc"][:2])
    dotted = ".".join(path)
    where = f"{places[path]}  {dotted}" if path in places else dotted
    if detail["type"] == "extra_forbidden":
        return Problem(where, "no such knob", fix=_suggestion(path))
    if detail["type"] == "missing":
        return Problem(where, "must be given", fix=knobs().get(dotted, ("", None))[0])
    if detail["type"] == "value_error":  # a rule over several knobs of a section, in our own words
        return Problem(where, str(detail["ctx"]["error"]))
    if detail["type"] == "unused":  # a knob of another method
        return Problem(where, detail["msg"], repr(detail["input"]), detail["ctx"]["fix"])
    text = KINDS.get(detail["type"]) or detail["msg"][0].lower() + detail["msg"][1:]
    return Problem(where, text, repr(detail["input"]), knobs().get(dotted, ("", None))[0])


LONGEST = 256  # characters of a name that systems take

# what pydantic calls the errors that users make most
KINDS = {
    "float_parsing": "is not a number",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "bool_parsing": "is neither true nor false",
}


def _suggestion(path: tuple[str, ...]) -> str:
    name = path[-1]
    if home := home_of(name):
        return f"Did you mean '{home}'?"
    if len(path) == 1:
        return nearest(name, Recipe.model_fields) or f"The sections are {', '.join(Recipe.model_fields)}"
    section = Recipe.model_fields.get(path[0])
    known = section.annotation.model_fields if section and isinstance(section.annotation, type) else {}
    assert section is None or issubclass(section.annotation, Section)  # type: ignore[arg-type]
    near = nearest(name, known)
    return (
        near.replace("'", f"'{path[0]}.", 1) if near else f"The knobs of '{path[0]}' are {', '.join(known)}"
    )
