"""The promise that a stored model is the trained one: loaded again elsewhere, it must answer the same.

`python -m attune.parity RUN` is a process of its own. It loads the model through transformers alone, with
transformers' attention, one sequence at a time, and compares its logits with those that the run has kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attune import files, recipe_file, tasks
from attune.data.table import Table
from attune.errors import Problem, TrainingError, command
from attune.rundir import RunDir

if TYPE_CHECKING:
    from torch import Tensor

    from attune.models.backbone import Backbone
    from attune.models.stream import Stream

ROWS = 64
KEPT = "parity.npz"
TOLERANCE = 1e-3  # of a logit, beside its size; float32 on other kernels differs by about 1e-5


class Plain:
    """A transformers model as it comes, asked like a backbone, for streams of one sequence."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def _run(self, stream: Stream) -> Any:
        kinds = {} if stream.kinds is None else {"token_type_ids": stream.kinds[None]}
        return self.model(input_ids=stream.tokens[None], **kinds)

    def classify(self, stream: Stream) -> Tensor:
        """[1, C]."""
        logits: Tensor = self._run(stream).logits
        return logits

    def tag(self, stream: Stream, wanted: Tensor) -> Tensor:
        """[W, C]."""
        logits: Tensor = self._run(stream).logits[0, wanted]
        return logits

    def span(self, stream: Stream) -> Tensor:
        """[T, 2]."""
        import torch

        found = self._run(stream)
        return torch.stack([found.start_logits[0], found.end_logits[0]], -1)

    def pooled(self, stream: Stream) -> Tensor:
        """[1, H]."""
        mean: Tensor = self._run(stream).last_hidden_state.mean(1)
        return mean


def keep(run: RunDir, task: Any, model: Backbone, encoder: Any, rows: Table) -> None:
    """Stores what the trained model answers for the first test rows."""
    rows = rows.take(range(min(ROWS, len(rows))))
    with files.whole_file(run.path / KEPT) as partial, partial.open("wb") as file:
        np.savez(file, logits=_logits(task, model, encoder, rows))
    run.write("parity_rows.json", {name: list(rows.column(name)) for name in rows.columns if name != "label"})


def check(run: RunDir) -> dict[str, Any]:
    """Runs the comparison in a fresh process and returns parity.json.

    Raises:
        TrainingError: when the stored model does not answer the same.
    """
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    words = [sys.executable, "-m", "attune.parity", str(run.path)]
    (run.path / "parity.json").unlink(missing_ok=True)  # of a check before
    # in a session of its own: Ctrl-C asks this process to stop, and not the check
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, check=False, start_new_session=True
    )
    found: dict[str, Any] | None = run.read("parity.json")
    if done.returncode or not found:
        what, shown = "the check of the stored model broke off", done.stderr.strip()[-400:]
        fix = f"Let it be checked again: {command(f'resume {run.path}')}"
        raise TrainingError(Problem(str(run.model), what, shown or f"exit code {done.returncode}", fix))
    if not found["same"]:
        shown = str(found)
        fix = "The checkpoint is whole; please report this with the run's environment.json"
        raise TrainingError(
            Problem(str(run.model), "the stored model does not repeat its predictions", shown, fix)
        )
    return found


def compare(run: RunDir) -> dict[str, Any]:
    """Loads the stored model with transformers, answers the first test rows again and writes parity.json."""
    import torch

    from attune.models import load
    from attune.models.tokens import TextEncoder

    recipe = recipe_file.load(str(run.path / "recipe.yaml"))
    task = tasks.build(recipe.task.name, recipe.task.options)
    task.restore(run.read("task.json"))
    encoder = TextEncoder.of(load.tokenizer(str(run.model)), recipe.model)
    cells = run.read("parity_rows.json")
    size = len(cells["text"])
    rows = Table("", tuple(cells), cells, list(range(1, size + 1)), "")
    loader = load.class_of(load.model_type(str(run.model)), task.head)
    model = Plain(loader.from_pretrained(run.model, dtype=torch.float32))
    ours, theirs = np.load(run.path / KEPT)["logits"], _logits(task, model, encoder, rows)
    difference = (
        float((np.abs(ours - theirs) / (1 + np.abs(ours))).max()) if ours.shape == theirs.shape else 1e9
    )
    found = {
        "rows": size,
        "largest_difference": difference,
        "tolerance": TOLERANCE,
        "same": difference <= TOLERANCE,
        "loaded_by": f"transformers {loader.__name__}",
    }
    run.write("parity.json", found)
    return found


def _logits(task: Any, model: Any, encoder: Any, rows: Table) -> np.ndarray:
    """The logits of each feature alone, end to end."""
    import torch

    from attune.tasks.features import batch_of

    features = task.encode(rows, encoder)
    model.model.eval()
    with torch.inference_mode():
        answers = [
            task.logits(model, batch_of(features, np.asarray([feature]))).reshape(-1).numpy()
            for feature in range(len(features))
        ]
    return np.concatenate(answers)


if __name__ == "__main__":
    compare(RunDir(Path(sys.argv[1])))
