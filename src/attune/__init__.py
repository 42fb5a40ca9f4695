"""attune fine-tunes pre-trained language models: from a data file to a measured, reported, usable model.

run = attune.train("reviews.csv")
run.metrics["test"]["f1_macro"]["value"]
attune.load(run.path).predict(["great kettle"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from attune.predictor import Predictor

__all__ = ["Run", "load", "train"]


class Run:
    """A finished run and its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def metrics(self) -> dict[str, Any]:
        """`{split: {metric: {"value", "low", "high", "n"}}, "baselines": ..., "comparisons": ...}`."""
        from attune.rundir import RunDir

        return dict(RunDir(self.path).read("metrics.json"))

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.path / "report.html"

    def predict(self, texts: Sequence[Any]) -> list[Any]:
        """The model's answers for these texts (or pairs, lists of words, cells by role), in their order."""
        return load(self.path).predict(texts)


def train(source: str | Path, *overrides: str, out: str | Path = "", **options: Any) -> Run:
    """Trains on a data file or a recipe and returns the finished run.

    Args:
        source: a file, a folder, a data set or a recipe.
        overrides: words such as "train.lr=1e-5".
        out: the run folder; a new one under runs/ when empty.
        options: `text`, `label`, `task`, `model`, `valid`, `test`, as on the command line.

    Raises:
        AttuneError: with every problem found.
    """
    from attune import recipe_file, run

    unknown = [name for name in options if name not in recipe_file.SHORT]
    if unknown:
        raise TypeError(f"train() takes {', '.join(recipe_file.SHORT)}; got {', '.join(unknown)}")
    knobs = {recipe_file.SHORT[name]: value for name, value in options.items()}
    ready = run.plan(recipe_file.load(str(source), overrides, knobs))
    folder = run.start(ready, str(out))
    run.drained(run.train(ready, folder))
    return Run(folder.path)


def load(run: str | Path, *, precision: str = "float32", device: str = "auto") -> Predictor:
    """The model of a finished run, ready to predict.

    Args:
        run: its folder or name; `last` is the newest one.
        precision: float32, or bfloat16 or int8 where the processor has it (a GPU: bfloat16).
        device: cpu, cuda or mps; auto: the CPU.
    """
    from attune.predictor import open_run

    return open_run(str(run), precision=precision, device=device)
