"""The architecture as tests: who may import whom, what stays light, how large things grow, what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import attune

SOURCE = Path(attune.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
GROUND = {"errors", "files", "recipe", "recipe_file", "rundir", "machine"}
# The table is the architecture diagram: each part, and the parts it may import. docs/architecture.md shows it.
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "machine": set(),
    "recipe": set(),
    "recipe_file": {"errors", "recipe"},
    "rundir": {"errors", "files"},
    "data": {"errors", "files"},
    "metrics": set(),
    "models": {"errors", "files", "machine", "recipe"},
    "tasks": {"errors", "data", "metrics", "models"},
    "training": {"errors", "files", "recipe", "tasks", "models"},
    "trust": {"data", "metrics", "models"},
    "report": {"errors", "files", "metrics", "recipe_file"},
    "prepare": {"errors", "recipe", "data", "tasks", "models"},
    "description": {"data", "prepare"},
    "evaluate": {"metrics", "models", "prepare", "rundir", "training", "trust"},
    "parity": {"errors", "files", "recipe_file", "rundir", "data", "models", "tasks"},
    "predictor": {"errors", "machine", "recipe_file", "rundir", "data", "tasks", "models", "training"},
    "rounding": {"errors", "files", "machine", "data", "metrics", "predictor", "rundir", "training"},
    "serve": {"errors", "machine", "data", "metrics", "rundir", "predictor", "rounding"},
    "answers": {"errors", "files", "rundir", "data", "predictor", "rounding"},
    "run": GROUND
    | {"prepare", "description", "metrics", "models", "training", "evaluate", "parity", "report"},
    "forecast": {"errors", "machine", "prepare", "run", "training"},
    "diagnosis": {"machine"},
    "interrupts": set(),
    "options": {"recipe_file"},
    "spoken": {"forecast", "prepare", "report"},
    "terminal": {"errors", "diagnosis", "forecast", "prepare", "rundir", "spoken", "training", "report"},
    "cli": {
        "errors",
        "machine",
        "recipe_file",
        "rundir",
        "run",
        "forecast",
        "answers",
        "serve",
        "report",
        "diagnosis",
        "interrupts",
        "options",
        "terminal",
    },
    "__init__": {"recipe_file", "rundir", "run", "predictor"},
}
LIGHT = ("attune", "attune.cli", "attune.answers", "attune.terminal", "attune.recipe_file", "attune.rundir",
         "attune.report", "attune.data.read", "attune.data.checks", "attune.data.split",
         "attune.metrics.intervals")  # fmt: skip


def _part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "attune":
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("attune."))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path):
    part = _part(path)
    assert part in MAY_IMPORT, f"{part} is not in the layer table"
    for name in _imports(path):
        assert name == part or name in MAY_IMPORT[part], f"{part} must not import {name}"


def test_every_part_of_the_table_exists():
    assert {_part(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", LIGHT)
def test_the_light_half_imports_nothing_heavy(module):
    heavy = "{'torch', 'transformers', 'datasets', 'sklearn', 'pandas', 'pyarrow'} & set(sys.modules)"
    code = f"import sys, {module}; found = {heavy}; sys.exit(', '.join(sorted(found)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _functions():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def test_functions_stay_short():
    long = []
    for path, node in _functions():
        body = node.body[1:] if ast.get_docstring(node) else node.body
        if body and (size := body[-1].end_lineno - body[0].lineno + 1) > 40:
            long.append(f"{path.name}:{node.lineno} {node.name} has {size} lines")
    assert not long


def test_files_stay_short():
    sizes = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES
    }
    assert {name: size for name, size in sizes.items() if size > 300} == {}


def test_functions_take_few_arguments():
    many = [
        f"{path.name}:{node.lineno} {node.name}"
        for path, node in _functions()
        # a compiled kernel takes its arrays one by one, and torch's functions their tensors
        if len(node.args.args) > 6
        and path.name not in ("cli.py", "attention.py")
        and path.parent.name != "kernels"
    ]
    assert not many


def test_public_names_are_the_ones_promised():
    assert attune.__all__ == ["Run", "load", "train"]


def test_no_file_is_called_utils():
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "common", "misc")]


def test_every_knob_has_help_and_they_stay_few():
    from attune.recipe import knobs

    assert all(help_text for help_text, _ in knobs().values())
    assert len(knobs()) <= 60


def test_every_task_of_the_catalogue_is_there():
    from attune import tasks

    for name in tasks.CATALOGUE:
        assert tasks.build(name, {}).name == name
