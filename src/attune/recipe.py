"""The recipe: every knob of attune, written once, with its type, bounds, default and help.

Command line, documentation and schema are derived from these fields. `auto` stands where attune decides
from the data or the model; the recipe in the run folder holds what was decided, never `auto`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

Text = Annotated[str, StringConstraints(strict=True)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Auto = Literal["auto"]


class Section(BaseModel):
    """A frozen group of knobs; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskSection(Section):
    """What is learned."""

    name: Text = Field(
        "auto",
        description="the task, such as classification, multilabel, regression, tagging; auto: inferred from the data",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="what only this task knows")


class DataSection(Section):
    """From which rows."""

    train: Text = Field(description="a file, a folder with train/valid/test files, or a data set of the hub")
    valid: Text = Field(
        "", description="a file with the validation rows; empty: a share of train is held out"
    )
    test: Text = Field("", description="a file with the test rows; empty: a share of train is held out")
    text: Text = Field(
        "auto", description="the column that holds the text (tagging: the tokens; qa: the question)"
    )
    pair: Text = Field("auto", description="the column of the second text of a pair; empty: there is none")
    label: Text = Field(
        "auto", description="the column that holds the label; several of 0 and 1, joined by commas"
    )
    encoding: Text = Field(
        "auto", description="how the file's bytes are read: auto (UTF-8, UTF-16), cp1252, ..."
    )
    valid_share: Share = Field(0.1, description="share of the rows held out for validation, in [0, 1)")
    test_share: Share = Field(0.1, description="share of the rows held out for the test, in [0, 1)")
    rare_labels: Literal["error", "drop"] = Field(
        "error", description="labels with too few rows to be learned and tested: stop, or drop their rows"
    )
    unlabelled: Literal["error", "drop"] = Field(
        "error",
        description="rows without a label: stop, or leave them out; no label of several, or no answer, is one",
    )

    @model_validator(mode="after")
    def _leaves_rows_to_learn_from(self) -> DataSection:
        held_out = (0 if self.valid else self.valid_share) + (0 if self.test else self.test_share)
        if held_out >= 1:
            raise ValueError(
                f"valid_share and test_share leave no row to learn from; they add up to {held_out:g}"
            )
        return self

    spans: Literal["snap", "refuse"] = Field(
        "snap",
        description="entities that cut a word or cross another: widen to whole words and keep the longest, or stop",
    )


class ModelSection(Section):
    """Starting from which model, and what it sees."""

    base: Text = Field("starter/bert", description="a starter, a local folder, or a model of the hub")
    max_tokens: Count | Auto = Field(
        "auto",
        description="longest sequence in tokens, special ones included; auto: 256, or less if the model says so",
    )
    long_texts: Literal["auto", "truncate", "head_tail", "windows"] = Field(
        "auto",
        description="texts over max_tokens: keep the head, keep head and tail, or read all by windows; "
        "auto: windows where every word counts (tagging, qa), else truncate",
    )
    overlap: Share = Field(
        0.25, description="share of a window that the next one repeats (long_texts: windows)"
    )


def of_methods(default: Any, *methods: str, description: str) -> Any:
    """A knob that only some methods use."""
    extra: dict[str, Any] = {"methods": list(methods)}
    return Field(default, description=f"{'/'.join(methods)}: {description}", json_schema_extra=extra)


class MethodSection(Section):
    """Which of the weights are trained; new heads always are."""

    name: Literal["full", "lora", "last", "head"] = Field(
        "full",
        description="full: all weights; lora: low-rank matrices beside frozen ones; last: the last layers and "
        "the head; head: the head alone (frozen layers run without dropout)",
    )
    layers: Count = of_methods(2, "last", description="how many layers are trained, counted from the head")
    rank: Count = of_methods(8, "lora", description="rank of the matrices that are added")
    alpha: Annotated[float, Field(gt=0)] = of_methods(
        16.0, "lora", description="what is added is multiplied by alpha / rank"
    )
    dropout: Share = of_methods(
        0.0, "lora", description="share of the input of what is added that is dropped"
    )
    targets: Literal["auto", "all-linear"] = of_methods(
        "auto",
        "lora",
        description="which matrices of the layers get one; auto: of queries and values; all-linear: all",
    )
    cache: Literal["auto", "off"] = of_methods(
        "auto",
        "last",
        "head",
        description="auto: what leaves the frozen layers is computed once and kept, in memory up to 1 GiB a split, "
        "else in a file in the run folder; off: computed at every step; the result is the same",
    )

    @field_validator("layers", "rank", "alpha", "dropout", "targets", "cache", mode="after")
    @classmethod
    def _is_used(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        assert isinstance(field.json_schema_extra, dict)
        methods, chosen = field.json_schema_extra["methods"], info.data.get("name")
        assert isinstance(methods, list)
        # a knob at its default is what every recipe of a run folder holds
        if chosen is not None and chosen not in methods and value != field.default:
            fix = f"Leave it out, or set method.name={methods[0]}"
            raise PydanticCustomError(
                "unused", "method.name={name} does not use it", {"name": chosen, "fix": fix}
            )
        return value


class TrainSection(Section):
    """How it is trained."""

    epochs: Annotated[float, Field(gt=0)] | Auto = Field(
        "auto",
        description="passes over the rows; auto: 3, more for small data (at least 400 steps, at most 20)",
    )
    batch: Count = Field(32, description="size of one optimizer step, counted in batch_by")
    batch_by: Literal["rows", "tokens"] = Field(
        "rows", description="rows: so many rows a step; tokens: random rows until so many tokens"
    )
    micro_tokens: Annotated[int, Field(ge=64)] = Field(
        16384,
        description="tokens in one forward pass; lower it when memory runs out: the gradient stays the same, "
        "the draws of dropout do not",
    )
    lr: Annotated[float, Field(gt=0, le=1)] | Auto = Field(
        "auto",
        description="peak learning rate; auto: 1e-4 for models up to 512 units wide, else 3e-5; ten times that "
        "for lora and head",
    )
    head_start: bool = Field(
        True,
        description="a new classifier begins at a logistic regression of what it reads, of up to 1024 training rows; "
        "false: at random weights",
    )
    schedule: Literal["linear", "cosine", "constant", "inverse_sqrt"] = Field(
        "linear", description="how the learning rate falls after the warm-up"
    )
    warmup: Share = Field(0.1, description="share of the steps in which the learning rate rises from 0")
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="decoupled weight decay, on matrices only"
    )
    average: Share = Field(
        0.0,
        description="share of a running mean of the weights that each step keeps, such as 0.999; the mean is what is "
        "scored and stored; 0: no mean, the weights themselves",
    )
    clip: Annotated[float, Field(ge=0)] = Field(
        1.0, description="largest norm of the gradient; 0: no clipping"
    )
    patience: Annotated[int, Field(ge=0)] = Field(
        3,
        description="evaluations without a better score (at the same: a lower log loss) before it stops; 0: never",
    )
    evaluate_steps: Count = Field(
        1000, description="most steps between two evaluations; each epoch ends with one"
    )
    save_minutes: Annotated[float, Field(gt=0)] = Field(5, description="most minutes between two checkpoints")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="what it is computed on; auto: the CPU, for no real GPU has tried it yet"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of matrix products, the weights are float32 always; bfloat16 on a CPU: BERT's kin, where the "
        "processor has it; auto: bfloat16 on a CUDA GPU that has it, else float32",
    )
    compile: bool = Field(
        False,
        description="on a CUDA GPU, for BERT's kin: torch compiles what stands between the products of a layer; "
        "no real GPU has tried it yet",
    )
    graphs: bool = Field(
        False,
        description="on a CUDA GPU in bfloat16, for labels and numbers of whole texts with BERT's kin: what a small "
        "batch asks of the GPU is recorded once and played again; no real GPU has tried it yet",
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        42, description="the seed of split, order, head, dropout"
    )


class Recipe(Section):
    """What, from which rows, starting where, how."""

    task: TaskSection = TaskSection()
    data: DataSection
    model: ModelSection = ModelSection()
    method: MethodSection = MethodSection()
    train: TrainSection = TrainSection()

    def updated(self, section: str, **knobs: Any) -> Recipe:
        """This recipe with some knobs of one section replaced, checked like any other."""
        values = self.model_dump()
        values[section].update(knobs)
        return Recipe.model_validate(values)


def knobs() -> dict[str, tuple[str, Any]]:
    """Every knob as `section.name` with its help and default (None where it must be given)."""
    found: dict[str, tuple[str, Any]] = {}
    for section_name, section in Recipe.model_fields.items():
        section_type = section.annotation
        assert isinstance(section_type, type)
        assert issubclass(section_type, Section)
        for name, field in section_type.model_fields.items():
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            found[f"{section_name}.{name}"] = (field.description or "", default)
    return found
