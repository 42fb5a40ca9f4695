"""A trained model that answers: the same cutting, the same engine, the same labels as in its run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from safetensors import SafetensorError

from attune import machine, recipe_file, rundir, tasks
from attune.data import inputs as given
from attune.data.problems import shown
from attune.data.table import Table
from attune.errors import DataError, Problem, RecipeError, command
from attune.models import load, tokens
from attune.models.backbone import Backbone
from attune.models.place import Place, best

PRECISIONS = ("float32", "bfloat16", "int8")  # what answers may be computed in
CHUNK = 1024  # rows answered at once: sorted by length within, so that no sequence waits for a longer one
# a text; a text and its second one; the words of a text to tag; the cells of a row by role
Input = str | Sequence[str] | Mapping[str, Any]


class Predictor:
    """The model of a finished run."""

    run: rundir.RunDir | None = None
    precision = "float32"  # of its products
    answered = 0  # rows so far
    cut = 0  # of them those of which something was not read, for they are too long

    def __init__(
        self,
        task: Any,
        model: Backbone,
        encoder: tokens.TextEncoder,
        roles: Mapping[str, Any],
    ) -> None:
        self.task, self.model, self.encoder = task, model, encoder
        self.names = {role: roles[role] for role in ("text", "pair") if roles[role]}  # in the training file
        self.whole = roles.get("whole", False)  # whether words keep their inner signs

    def predict(self, inputs: Sequence[Input]) -> list[Any]:
        """The answers for these inputs, in their order: each a dataclass with `label` and what belongs to it.

        Raises:
            DataError: for one text instead of a list of them, and for what is no input of the run's task.
        """
        if isinstance(inputs, str | Mapping):
            what = "one input, where a list of them is expected"
            raise DataError(Problem("inputs", what, shown(inputs), "Put it between brackets: predict([...])"))
        return list(self.stream(inputs))

    def stream(self, inputs: Iterable[Input]) -> Iterator[Any]:
        """The answers one after the other, for as many inputs as come."""
        source = iter(inputs)
        while chunk := list(islice(source, CHUNK)):
            rows = given.of_program(chunk, self.task.name, names=self.names, whole=self.whole)
            yield from self.answers(rows)

    def answers(self, rows: Table) -> Iterator[Any]:
        """The answers for rows whose columns are named by role.

        Raises:
            DataError: for texts where the run reads pairs, and for pairs where it reads texts.
        """
        from attune.training.loop import predictions

        if ("pair" in self.names) != ("pair" in rows.columns):
            what = "the run reads two texts" if "pair" in self.names else "the run reads one text, not two"
            raise DataError(Problem("input", what, fix=f"Give {given.shape(self.names)}"))
        features = self.task.encode(rows, self.encoder)
        self.answered += len(rows)
        self.cut += int((features.sequences.kept < features.sequences.whole).sum())
        for place, prediction in enumerate(predictions(self.task, self.model, features)):
            yield self.task.answer(prediction, rows.row(place))

    def lists(self, held: Any) -> bool:
        """Whether a list is one input of the run: a text and its second one, or words to tag."""
        if not isinstance(held, list) or not held or not all(isinstance(each, str) for each in held):
            return False
        return self.task.name == "tagging" or ("pair" in self.names and len(held) == 2)


def _check(precision: str, device: str) -> None:
    """Raises for a precision that cannot be had there, whatever the model."""
    if precision not in PRECISIONS:
        raise RecipeError(Problem("--precision", "no such precision", repr(precision), ", ".join(PRECISIONS)))
    if precision == "int8" and device != "cpu":
        raise RecipeError(Problem("--precision", "int8 is for CPUs", device, "Take bfloat16"))
    if precision == "float32" or device != "cpu":
        return
    if machine.kernels() != "on":
        what = f"answers in {precision} need the compiled kernels"
        raise RecipeError(
            Problem("--precision", what, machine.kernels(), "Leave --precision out, or turn them on")
        )
    if not (machine.bfloat16() if precision == "bfloat16" else machine.int8() and _sums_are_exact()):
        what = f"this processor has no products in {precision}"
        raise RecipeError(Problem("--precision", what, machine.cpu(), "Leave --precision out"))


def _sums_are_exact() -> bool:
    """Whether products in int8 are what they should be: oneDNN may be told not to use what the processor has."""
    from attune.models.kernels import integers

    return integers.exact()


def open_run(name: str, *, precision: str = "float32", device: str = "auto") -> Predictor:
    """The predictor of a finished run; `last` is the newest one.

    Args:
        name: of the run.
        precision: float32, or bfloat16 or int8 for the matrix products: faster where the processor has them, and a
            few answers in a thousand change (`rounding.cost` measures it); int8 on CPUs alone.
        device: cpu, cuda or mps; auto: the CPU.

    Raises:
        RecipeError: for a run that is not finished, and for a precision that cannot be had.
        MachineError: for a device that is not here.
    """
    device, _ = best(device, precision)
    _check(precision, device)
    where = Place.of(device, precision if device != "cpu" else "float32")
    run = rundir.find(name)
    held = run.read("run.json")
    if held["status"] != "finished" or not run.model.is_dir():
        resume = f"Let it finish: {command(f'resume {name}')}"
        fix = "It is still training; wait for it" if machine.at_work(held) else resume
        raise RecipeError(Problem(name, "the run has no finished model yet", fix=fix))
    recipe = recipe_file.load(str(run.path / "recipe.yaml"))
    task = tasks.build(recipe.task.name, recipe.task.options)
    try:
        task.restore(run.read("task.json"))
        model = load.backbone(
            str(run.model), task.head, task.labels, seed=recipe.train.seed, problem=task.problem, stored=True
        )
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        what, fix = "the run's files are not whole any more", "Copy the run folder again, or train anew"
        raise RecipeError(Problem(name, what, f"{type(error).__name__}: {error}"[:120], fix)) from error
    model.move(where)
    if device == "cpu" and not model.answer_in(precision):
        what, config = f"answers in {precision} are for BERT's kin with a GELU", model.model.config
        named = (getattr(config, name, "") for name in ("hidden_act", "activation", "activation_function"))
        found = " with ".join(filter(None, (config.model_type, next(filter(None, named), ""))))
        raise RecipeError(Problem("--precision", what, found, "Leave --precision out"))
    encoder = tokens.TextEncoder.of(load.tokenizer(str(run.model)), recipe.model)
    predictor = Predictor(task, model, encoder, run.read("data.json")["roles"])
    predictor.run, predictor.precision = run, precision
    return predictor
