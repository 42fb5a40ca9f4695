"""Rewrites the golden events; run it from the repository root after a change that is meant to change them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import test_loop
import tiny
import torch

from attune.training.loop import fit

torch.set_num_threads(1)
with tempfile.TemporaryDirectory() as folder:
    run = test_loop._fit(tiny.Checkpoints(Path(folder)), Path(folder) / "run")
    lines = [json.dumps(test_loop._told(event)) for event in fit(run)]
test_loop.GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
