"""What the commands of `attune.cli` take, each option with its help, once."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]
RunName = Annotated[str, typer.Argument(help="A run folder, or 'last'.")]
BUDGET = "The time that training may take, such as 90s, 10m or 1.5h: fewer epochs where it must be."
Source = Annotated[str, typer.Argument(help="A data file, a folder, a data set, or a recipe (.yaml).")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Knobs, such as train.lr=1e-5.")]
TextColumn = Annotated[str, typer.Option(help="The column with the text.")]
PairColumn = Annotated[str, typer.Option(help="The column with the second text of a pair.")]
LabelColumn = Annotated[str, typer.Option(help="The column with the label.")]
Task = Annotated[str, typer.Option(help="classification, multilabel, regression, tagging, qa, ...")]
Model = Annotated[str, typer.Option(help="A starter, a folder, or a model of the hub.")]
ValidFile = Annotated[str, typer.Option(help="A file with the validation rows.")]
TestFile = Annotated[str, typer.Option(help="A file with the test rows.")]
Budget = Annotated[str, typer.Option(help=BUDGET)]
Out = Annotated[str, typer.Option(help="The run folder; else runs/<date>-<data>-<model>.")]
AtLeast = Annotated[
    float | None, typer.Option(help="Exit with 6 where the test rows' main metric is below this.")
]
PrintRecipe = Annotated[bool, typer.Option("--print-recipe", help="Print the full recipe and stop.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
Encoding = Annotated[str, typer.Option(help="Of a file that is not UTF-8, such as cp1252.")]
Precision = Annotated[
    Literal["float32", "bfloat16", "int8"],
    typer.Option(
        help="bfloat16, int8: faster where the processor has it, a little less exact, which is measured."
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="auto: the CPU.")]
Host = Annotated[str, typer.Option(help="The address to listen to; 0.0.0.0: all of this machine's.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")]
Answers = Annotated[
    str, typer.Option("-o", "--out", help="A .csv, .jsonl or .parquet file; else JSON lines.")
]


class WithKnobs(TyperCommand):
    """A command that takes knobs as words, and says so to whom writes one as an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments; `--epochs 3` is told to be `train.epochs=3`."""
        known = {name for param in self.params for name in (*param.opts, *param.secondary_opts)}
        for word, following in pairwise((*args, "")):
            name, _, value = word.partition("=")
            if not name.startswith("--") or name in ("--", "--help") or name in known:
                continue
            from attune.recipe_file import home_of

            if knob := home_of(name[2:].replace("-", "_")):
                value = value or (following if not following.startswith("-") else "") or "VALUE"
                raise typer.BadParameter(f"{name} is no option but a knob; write {knob}={value}")
        return super().parse_args(ctx, args)
