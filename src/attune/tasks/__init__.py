"""What is learned: one file a task, named here once."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from attune.errors import Problem, RecipeError, nearest

CATALOGUE = {
    "classification": "attune.tasks.classification:Classification",
}


def build(name: str, options: dict[str, Any]) -> Any:
    """The task of this name with its options checked.

    Raises:
        RecipeError: for an unknown task or option.
    """
    from pydantic import ValidationError

    if name not in CATALOGUE:
        known = f"The tasks are: {', '.join(CATALOGUE)}"
        raise RecipeError(Problem("task.name", "no such task", repr(name), nearest(name, CATALOGUE) or known))
    module, _, attribute = CATALOGUE[name].partition(":")
    task = getattr(import_module(module), attribute)
    try:
        return task(task.Options(**options))
    except ValidationError as error:
        raise RecipeError(
            *(
                Problem(
                    f"task.options.{'.'.join(map(str, detail['loc']))}",
                    detail["msg"].lower(),
                    repr(detail["input"]),
                    nearest(str(detail["loc"][-1]), task.Options.model_fields) if detail["loc"] else "",
                )
                for detail in error.errors()
            )
        ) from error
