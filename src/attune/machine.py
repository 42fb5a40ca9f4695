"""The machine a run happens on: what it is, what it has, whether it is fit."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import socket
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

SYSTEM = Path("/sys")  # where Linux tells of processors and control groups


def version() -> str:
    """attune's own version."""
    return _version_of("attune-nlp") or "0 (not installed)"


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


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
    """The most memory this process has held, in MiB.

    Linux counts what the process that started this one held into `ru_maxrss`, so its own mark is read there.
    """
    try:
        words = Path("/proc/self/status").read_text(encoding="utf-8").split()
        return round(int(words[words.index("VmHWM:") + 1]) / 2**10, 1)
    except (OSError, ValueError):
        pass  # not Linux
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (2**20 if sys.platform == "darwin" else 2**10), 1)


def forget_peak() -> None:
    """Lets the peak begin anew at what is held now, where the system can do that (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def give_memory_back() -> None:
    """Gives what is free inside this process back to the system, where the C library can do that (glibc).

    The arrays that come and go while rows are read leave holes, which it would hold on to: 116 MiB of a million rows.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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


def at_work(held: Mapping[str, Any]) -> bool:
    """Whether the process that a run.json names still trains here."""
    here = held["status"] == "running" and held.get("host") == host()
    return here and alive(held["pid"], held["born"])


def cores() -> int:
    """Physical cores that this process may use, by its affinity and a container's quota; how many threads pay."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return max(1, min([len({_core_of(number) for number in allowed}), *_quotas()]))


def _core_of(number: int) -> str:
    """The logical processors that share the core of this one: two hyper-threads give the same."""
    try:
        return (SYSTEM / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(number)


def _quotas() -> Iterator[int]:
    """Whole cores that the control groups admit, of version 2 and of version 1, where they set a limit."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            words = [word for name in names for word in (SYSTEM / "fs/cgroup" / name).read_text().split()]
            quota, period = map(int, words)
        except (OSError, ValueError):  # no such file, or the word `max`
            continue
        if quota > 0:  # version 1 says -1 where there is none
            yield quota // period


def bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16 itself (AVX-512 BF16, AMX); else that would be slower."""
    return _has("avx512_bf16", "amx_bf16")


def int8() -> bool:
    """Whether the processor multiplies in int8 itself (VNNI, AMX); else that would be slower, and saturate."""
    return _has("avx512_vnni", "avx_vnni", "amx_int8")


def _has(*instructions: str) -> bool:
    """Whether the processor has one of these, as Linux names them."""
    try:
        return not set(instructions).isdisjoint(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False


def keep_few_products() -> None:
    """Lets oneDNN, which multiplies bfloat16, keep what it compiled for the last few shapes only.

    Streams have a length of their own each: a thousand kept shapes would take half a gigabyte and hardly come again.
    It reads this when it is first used.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def kernels() -> str:
    """Whether the compiled kernels are there to be used, `on`, or why not."""
    if os.environ.get("ATTUNE_KERNELS", "1") == "0":
        return "off: ATTUNE_KERNELS=0"
    try:
        import numba  # noqa: F401 - installed is not enough: it refuses a NumPy that it does not know
    except ImportError as error:
        return f"off: {error}"
    return "on"


def environment(seed: int, device: str = "cpu") -> dict[str, Any]:
    """environment.json: versions and hardware that a number depends on."""
    import torch

    names = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scikit-learn", "datasets")
    return {
        "attune": version(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
        "numba": _version_of("numba"),
        "kernels": kernels(),
        "platform": platform.platform(),
        "cpu": cpu(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": memory_gib(),
        "device": device,
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "cuda": torch.version.cuda if device == "cuda" else None,
        "seed": seed,
    }
