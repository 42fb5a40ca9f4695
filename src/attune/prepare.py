"""From a recipe to what can be trained: rows checked and split, task learned, texts encoded, nothing left auto."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attune import tasks
from attune.data import checks, findings, read, roles, split
from attune.data import rows as by_role
from attune.data.checks import Finding
from attune.data.duplicates import group_near_duplicates
from attune.data.problems import some
from attune.data.roles import Roles
from attune.data.table import Table
from attune.errors import DataError, Problem, RecipeError
from attune.recipe import MethodSection, Recipe

if TYPE_CHECKING:
    from attune.models.backbone import Backbone

SMALL_STEPS = 400  # steps that a small data set is trained for, at least
MOST_EPOCHS = 20
MOODS = {"positive", "negative", "neutral", "mixed", "pos", "neg", "neu", "very positive", "very negative"}
USUAL_TOKENS = 256  # the longest sequence, unless the recipe says otherwise


@dataclass(frozen=True)
class Rows:
    """The rows of each split by role, and what was found in them."""

    recipe: Recipe  # task and columns named
    tables: dict[str, Table]  # canonical: `text`, perhaps `pair` and `words`, `label`
    roles: Roles
    findings: list[Finding]
    notes: tuple[str, ...]

    def texts(self, part: str) -> Sequence[str]:
        """The texts of a split."""
        return self.tables[part].column("text")


def rows(recipe: Recipe) -> Rows:
    """Reads, understands, examines and splits the data; imports no torch.

    Raises:
        DataError: with every problem of the data.
    """
    knobs = recipe.data
    _check_gpu(recipe)
    name = recipe.task.name if recipe.task.name == "auto" else tasks.named(recipe.task.name)
    said = (knobs.text, knobs.pair, *knobs.label.split(","))
    files = read.read_splits(
        knobs.train, valid=knobs.valid, test=knobs.test, encoding=knobs.encoding, named=said
    )
    if "train" not in files:
        raise DataError(
            Problem(knobs.train, "there are no training rows", ", ".join(files), "Add a train file")
        )
    asked = tasks.PRESETS.get(name, name)
    found = roles.infer(files["train"], task=asked, text=knobs.text, pair=knobs.pair, label=knobs.label)
    tables = by_role.splits(files, found, spans=knobs.spans)
    loose = {"rare": knobs.rare_labels, "unlabelled": knobs.unlabelled}
    tables, told = checks.examine(tables, found, **loose, split=len(tables) < 3)
    _check_given(recipe, files, tables, found.knobs["label"])
    missing = {part: share for part, share in _shares(recipe, tables).items() if part not in tables}
    notes = tuple(note for table in tables.values() for note in table.notes)
    if missing:
        made, leaks = _split(tables["train"], found, missing, seed=recipe.train.seed)
        tables = {**tables, **made}
        _check_parts(tables, knobs.train)
        told += leaks
    resolved = recipe.updated("task", name=name if name in tasks.PRESETS else _preset(found, tables["train"]))
    resolved = resolved.updated("data", **found.knobs)
    return Rows(resolved, tables, found, told, notes)


def _check_gpu(recipe: Recipe) -> None:
    """Raises for what is for GPUs, where none was asked for."""
    knobs, fix = recipe.train, "Leave it out, or train.device=cuda"
    asked = [name for name in ("compile", "graphs") if getattr(knobs, name) and knobs.device != "cuda"]
    if asked:
        problems = [Problem(f"train.{name}", "this is for CUDA GPUs", knobs.device, fix) for name in asked]
        raise RecipeError(*problems)


def _check_given(recipe: Recipe, files: dict[str, Table], tables: dict[str, Table], label: str) -> None:
    """Raises for files that were named for valid or test and have no label to measure by."""
    named = {part: getattr(recipe.data, part) for part in ("valid", "test")}
    what, fix = f"it has no labels in {label!r}", "Name a file with the columns of train, or leave it out"
    problems = [
        Problem(f"data.{part}", what, f"the columns {some(files[part].columns, 20)} in {file}", fix)
        for part, file in named.items()
        if file and part not in tables
    ]
    if label and problems:
        raise DataError(*problems)


def _preset(found: Roles, train: Table) -> str:
    """The task, or its own name where the labels are moods."""
    moods = found.task == "classification" and {label.lower() for label in train.column("label")} <= MOODS
    return "sentiment" if moods else found.task


def _check_parts(tables: dict[str, Table], source: str) -> None:
    """Raises where the rows that must stay together leave none for a split."""
    if empty := [part for part, table in tables.items() if not len(table)]:
        what = f"no row is left for {' and '.join(empty)}"
        fix = "Rows of one context or title, and near-identical texts, stay together: add others, or give "
        raise DataError(Problem(source, what, fix=f"{fix}{' and '.join(f'--{part} FILE' for part in empty)}"))


def _shares(recipe: Recipe, tables: dict[str, Table]) -> dict[str, float]:
    shares = {"valid": recipe.data.valid_share, "test": recipe.data.test_share}
    for part, share in shares.items():
        if share == 0 and part not in tables:
            fix = f"Set data.{part}_share above 0, or name a file: --{part} FILE"
            raise RecipeError(Problem(f"data.{part}_share", f"no {part} rows would be left", "0", fix))
    return shares


def _split(
    train: Table, found: Roles, missing: dict[str, float], *, seed: int
) -> tuple[dict[str, Table], list[Finding]]:
    """The splits that are made of train, and which texts stand in two of them nevertheless."""
    shares = {"train": 1.0 - sum(missing.values()), **missing}
    single = not {"pair", "group"} & set(train.columns)
    alike = group_near_duplicates(train.column("text")) if single else None
    groups = split.groups(train, found.task, alike)
    parts = split.split(groups, split.strata(train, found.task), shares, seed=seed)
    tables = {part: train.take(indices) for part, indices in parts.items()}
    known = None if alike is None else alike[np.concatenate(list(parts.values()))]
    return tables, findings.leaks(tables, found, known)


@dataclass
class Prepared:
    """All that training needs, and all that can be said before it."""

    rows: Rows
    recipe: Recipe
    task: Any
    tokenizer: Any
    encoder: Any
    model_type: str
    features: dict[str, Any] = field(default_factory=dict)
    gold: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    trained: Any = None  # what of the model is trained, in words and numbers
    own_head: bool = False  # whether the model brings a head that answers with these labels
    offers: tuple[str, ...] = ()  # what this machine could do and was not asked for
    keepable: bool = False  # whether what leaves the frozen layers may be kept from epoch to epoch

    @property
    def keeps(self) -> bool:
        """Whether it is: for one epoch alone nothing would be gained."""
        epochs = self.recipe.train.epochs
        assert isinstance(epochs, float)
        return self.keepable and epochs > 1 and self.recipe.method.cache == "auto"

    @property
    def starts(self) -> bool:
        """Whether a new head may begin at a linear model of what it reads: where enough of it may be read."""
        from attune.tasks.features import teaching

        knobs, many = self.recipe.train, len(self.task.labels)
        if not (knobs.head_start and self.task.starts) or self.own_head:
            return False
        assert isinstance(knobs.epochs, float)
        return len(teaching(self.features["train"], many, epochs=knobs.epochs, seed=knobs.seed)) > 0

    def with_epochs(self, epochs: float) -> Prepared:
        """The same with another number of epochs."""
        held = self.recipe.train.epochs
        assert isinstance(held, float)
        steps = max(1, round(self.steps / held * epochs))
        return replace(self, recipe=self.recipe.updated("train", epochs=epochs), steps=steps)

    def where(self, features: np.ndarray) -> str:
        """The places of training features, for messages."""
        table = self.rows.tables["train"]
        places = [table.place(int(row)) for row in np.unique(self.features["train"].sequences.rows[features])]
        return ", ".join(places[:8]) + (f" and {len(places) - 8} more" if len(places) > 8 else "")


def prepare(found: Rows) -> Prepared:
    """Learns the label set, encodes the texts and decides what the recipe left open."""
    from attune.models import families, load, tokens

    recipe = found.recipe
    task = tasks.build(recipe.task.name, recipe.task.options)
    task.learn(found.tables["train"])
    kind = load.model_type(recipe.model.base)
    if note := families.family(kind).note_of(kind):
        found = replace(found, notes=(*found.notes, note))
    tokenizer = load.tokenizer(recipe.model.base)
    recipe = _within_limits(recipe, load.positions(recipe.model.base))
    if recipe.model.long_texts == "auto":
        recipe = recipe.updated("model", long_texts=task.long_texts)
    _check_room(recipe, tokens.least(tokenizer, pair=bool(found.roles.pair)))
    encoder = tokens.TextEncoder.of(tokenizer, recipe.model)
    ready = Prepared(found, recipe, task, tokenizer, encoder, kind)
    for part, table in found.tables.items():
        ready.gold[part] = task.gold(table)
        ready.features[part] = task.encode(table, encoder, ready.gold[part])
    return decided(ready)


def with_method(ready: Prepared, name: str) -> Prepared:
    """The same rows learned by another method with its knobs at their defaults; `auto` is decided anew."""
    asked = ready.rows.recipe.train
    recipe = ready.recipe.updated("method", **{**MethodSection().model_dump(), "name": name})
    return decided(replace(ready, recipe=recipe.updated("train", lr=asked.lr, epochs=asked.epochs)))


def decided(ready: Prepared) -> Prepared:
    """The same with what its method trains, and with no `auto` left; completes it in place."""
    from attune.models import load, methods

    recipe, task = ready.recipe, ready.task
    method = methods.build(**recipe.method.model_dump())
    outline, ready.trained = method.trained(load.outline(recipe.model.base, task.head, task.labels))
    ready.own_head = load.own_head(recipe.model.base, task.head, task.labels, problem=task.problem)
    _decide(ready, load.width(recipe.model.base), method.rate)
    _check_precision(ready, outline, task.head)
    ready.keepable = outline.keeps and outline.lowest > 0
    return ready


def _within_limits(recipe: Recipe, positions: int) -> Recipe:
    wanted = recipe.model.max_tokens
    if wanted == "auto":
        return recipe.updated("model", max_tokens=min(USUAL_TOKENS, positions))
    if wanted > positions:
        fix = f"model.max_tokens={positions}, or model.long_texts=windows to read all of a long text"
        raise RecipeError(
            Problem("model.max_tokens", f"the model reads {positions} tokens", str(wanted), fix)
        )
    return recipe


def _check_room(recipe: Recipe, least: int) -> None:
    """Raises where the longest sequence leaves no room for a text between the special tokens."""
    given = recipe.model.max_tokens
    assert isinstance(given, int)
    if given < least:
        what = "the special tokens leave no room for the text"
        raise RecipeError(Problem("model.max_tokens", what, str(given), f"Set it to {least} at least"))


def _decide(ready: Prepared, width: int, rate: float) -> None:
    """Replaces every `auto` that is left by a number, and counts the steps; `rate` is the method's."""
    from attune.models import place

    knobs = ready.recipe.train
    features = ready.features["train"]
    size = (
        len(features.sequences.whole) if knobs.batch_by == "rows" else int(features.sequences.lengths.sum())
    )
    in_epoch = max(1, math.ceil(size / knobs.batch))
    lr = rate * (1e-4 if width <= 512 else 3e-5) if knobs.lr == "auto" else knobs.lr
    epochs = (
        min(MOST_EPOCHS, max(3, math.ceil(SMALL_STEPS / in_epoch)))
        if knobs.epochs == "auto"
        else knobs.epochs
    )
    device, precision = place.best(knobs.device, knobs.precision)
    place.Place.of(device, precision)  # refuses what is not here
    found = {"lr": float(lr), "epochs": float(epochs), "device": device, "precision": precision}
    ready.recipe = ready.recipe.updated("train", **found)
    ready.steps = max(1, round(in_epoch * float(epochs)))


def _check_precision(ready: Prepared, outline: Backbone, head: str) -> None:
    """Raises for what this model cannot be trained with; keeps what would be faster for the plan."""
    from attune.models import place

    asked, knobs = ready.rows.recipe.train, ready.recipe.train
    if knobs.graphs and knobs.precision != "bfloat16":
        what = "what is recorded is computed in bfloat16"
        raise RecipeError(Problem("train.graphs", what, knobs.precision, "Leave it out"))
    for name in ("compile", "graphs"):
        if getattr(knobs, name) and not outline.regional:
            what = "this is for BERT's kin"
            raise RecipeError(Problem(f"train.{name}", what, ready.model_type, "Leave it out"))
    if knobs.graphs and head != "classification":
        what = "what is recorded are labels and numbers of whole texts"
        raise RecipeError(Problem("train.graphs", what, ready.recipe.task.name, "Leave it out"))
    if knobs.device == "cpu" and knobs.precision == "bfloat16" and not outline.halves:
        what = "on a CPU bfloat16 is for the layers of BERT's kin with a GELU"
        raise RecipeError(Problem("train.precision", what, ready.model_type, "Leave it out"))
    faster = place.faster(knobs.device, asked.precision) if outline.halves else ""
    ready.offers = tuple(filter(None, (place.offer(asked.device), faster)))
