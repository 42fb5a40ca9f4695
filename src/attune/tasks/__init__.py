"""What is learned: one file a task, named here once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from attune.errors import Problem, RecipeError, nearest

CATALOGUE = {
    "classification": "attune.tasks.classification:Classification",
    "sentiment": "attune.tasks.classification:Sentiment",
    "multilabel": "attune.tasks.multilabel:Multilabel",
    "regression": "attune.tasks.regression:Regression",
    "tagging": "attune.tasks.tagging:Tagging",
    "qa": "attune.tasks.qa:QA",
    "similarity": "attune.tasks.similarity:Similarity",
}
# other words of the field for the same tasks
ALIASES = {
    "text-classification": "classification",
    "topic": "classification",
    "intent": "classification",
    "nli": "classification",
    "paraphrase": "classification",
    "sentiment-analysis": "sentiment",
    "multi-label": "multilabel",
    "sts": "regression",
    "ordinal": "regression",
    "ner": "tagging",
    "pos": "tagging",
    "token-classification": "tagging",
    "question-answering": "qa",
    "squad": "qa",
    "embedding": "similarity",
    "sentence-similarity": "similarity",
}

# tasks that are another one under a name of their own: their rows are those of the other
PRESETS = {"sentiment": "classification"}


def named(name: str) -> str:
    """The catalogue's name of a task, from any of its names.

    Raises:
        RecipeError: for a name that is none.
    """
    found = ALIASES.get(name.lower(), name)
    if found not in CATALOGUE:
        known = f"The tasks are: {', '.join(CATALOGUE)}"
        fix = nearest(name, [*CATALOGUE, *(alias for alias in ALIASES if ALIASES[alias] in CATALOGUE)])
        raise RecipeError(Problem("task.name", "no such task", repr(name), fix or known))
    return found


def build(name: str, options: dict[str, Any]) -> Any:
    """The task of this name with its options checked.

    Raises:
        RecipeError: for an unknown task or option.
    """
    from pydantic import ValidationError

    module, _, attribute = CATALOGUE[named(name)].partition(":")
    task = getattr(import_module(module), attribute)
    try:
        return task(task.Options(**options))
    except ValidationError as error:
        raise RecipeError(
            *(_problem(name, task.Options, dict(detail)) for detail in error.errors())
        ) from error


def _problem(name: str, options: Any, detail: dict[str, Any]) -> Problem:
    """An option that the task does not have, or that cannot have this value."""
    where = f"task.options.{'.'.join(map(str, detail['loc']))}"
    if detail["type"] != "extra_forbidden":
        fix = options.model_fields[detail["loc"][0]].description or "" if detail["loc"] else ""
        return Problem(where, detail["msg"].lower(), repr(detail["input"]), fix)
    known = f"The options of {name} are {', '.join(options.model_fields)}"
    return Problem(where, "no such option", fix=nearest(str(detail["loc"][0]), options.model_fields) or known)
