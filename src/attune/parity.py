"""The promise that a stored model is the trained one: loaded again elsewhere, it must answer the same.

`python -m attune.parity RUN` is a process of its own. It loads the model through transformers alone, padded
and with transformers' attention, and compares with the predictions that the run has stored.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from attune import recipe_file
from attune.errors import Problem, TrainingError
from attune.rundir import RunDir

ROWS = 64
TOLERANCE = 1e-4  # of a probability; float32 on other kernels differs by about 1e-6
LOADED_BY = "transformers AutoModelForSequenceClassification"


def check(run: RunDir) -> dict[str, Any]:
    """Runs the comparison in a fresh process and returns parity.json.

    Raises:
        TrainingError: when the stored model does not answer the same.
    """
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-m", "attune.parity", str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found: dict[str, Any] | None = run.read("parity.json")
    if done.returncode or not found or not found["same"]:
        shown = str(found) if found else done.stderr.strip()[-400:]
        fix = "The checkpoint is whole; please report this with the run's environment.json"
        raise TrainingError(
            Problem(str(run.model), "the stored model does not repeat its predictions", shown, fix)
        )
    return found


def compare(run: RunDir) -> dict[str, Any]:
    """Loads the stored model with transformers, answers the first test rows again and writes parity.json."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from attune.models.tokens import TextEncoder

    recipe = recipe_file.load(str(run.path / "recipe.yaml"))
    tokenizer = AutoTokenizer.from_pretrained(run.model)
    model = AutoModelForSequenceClassification.from_pretrained(run.model, dtype=torch.float32).eval()
    encoder = TextEncoder.of(tokenizer, recipe.model)
    with (run.path / "predictions/test.jsonl").open(encoding="utf-8") as file:
        stored = [json.loads(line) for line, _ in zip(file, range(ROWS), strict=False)]
    largest = 0.0
    for row in stored:
        sequences = encoder.encode([row["text"]])
        batch = [{"input_ids": sequences[i].tolist()} for i in range(len(sequences))]
        inputs = tokenizer.pad(batch, return_tensors="pt")
        with torch.inference_mode():
            answer = model(**inputs).logits.double().softmax(-1).mean(0)
        for index, label in model.config.id2label.items():
            largest = max(largest, abs(float(answer[index]) - row["probabilities"][label]))
    found = {
        "rows": len(stored),
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "same": largest <= TOLERANCE,
        "loaded_by": LOADED_BY,
    }
    run.write("parity.json", found)
    return found


if __name__ == "__main__":
    compare(RunDir(Path(sys.argv[1])))
