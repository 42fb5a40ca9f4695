"""The machine a run happens on: what it is, what it has, whether it is fit."""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def version() -> str:
    """attune's own version."""
    try:
        return metadata.version("attune-nlp")
    except metadata.PackageNotFoundError:
        return "0 (not installed)"


def host() -> str:
    """The machine's name."""
    return socket.gethostname()


def cpu() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - not a file of the user's
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def memory_gib() -> float:
    """Memory in GiB."""
    import psutil

    return round(float(psutil.virtual_memory().total) / 2**30, 1)


def peak_memory_mib() -> float:
    """The most memory this process has held, in MiB."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (2**20 if sys.platform == "darwin" else 2**10), 1)


def free_memory_mib() -> float:
    """The memory that a program could still take, in MiB, this process's own included."""
    import psutil

    own = psutil.Process().memory_info().rss
    return round(float(psutil.virtual_memory().available + own) / 2**20, 1)


def joules() -> float | None:
    """What the processors have used since some moment, in joules; None where no counter can be read (RAPL, Linux).

    The counters wrap around after hours at full power: take differences over minutes.
    """
    counters = Path("/sys/class/powercap").glob("intel-rapl:[0-9]*/energy_uj")
    packages = [counter for counter in counters if counter.parent.name.count(":") == 1]
    try:
        return sum(int(counter.read_text()) for counter in packages) / 1e6 if packages else None
    except (OSError, ValueError):
        return None


def born() -> float:
    """When this process began, in seconds since 1970; with its number it is one of a kind."""
    import psutil

    return float(psutil.Process().create_time())


def alive(pid: int, began: float) -> bool:
    """True while the process of this number that began then still runs, and is not this one."""
    import psutil

    try:
        return pid != os.getpid() and abs(float(psutil.Process(pid).create_time()) - began) < 1
    except psutil.Error:
        return False


def environment(seed: int) -> dict[str, Any]:
    """environment.json: versions and hardware that a number depends on."""
    import torch

    names = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scikit-learn", "datasets")
    return {
        "attune": version(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
        "platform": platform.platform(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": memory_gib(),
        "device": "cpu",
        "seed": seed,
    }
