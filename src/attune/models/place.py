"""Where a model computes, and in which precision; how numbers get there.

Data stay on the host until a batch is computed, and answers come back to it. Between the two nothing waits for the
device: lengths, wanted positions and token ids are also known on the host, so no plan has to ask for them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attune import machine
from attune.errors import MachineError, Problem

CPU = torch.device("cpu")
AMPERE = (8, 0)  # the first compute capability with products in bfloat16
DEVICES = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Place:
    """A device and the precision of the matrix products on it; weights and their moments are float32 everywhere."""

    device: torch.device = CPU
    half: bool = False  # products in bfloat16
    regional: bool = False  # torch compiles what stands between the products of BERT's kin

    @staticmethod
    def of(device: str, precision: str) -> Place:
        """The place of a recipe in which nothing is `auto`.

        Raises:
            MachineError: for a device that is not here, and for bfloat16 where it cannot be.
        """
        if device not in _present():
            fix = f"Take one that is: {', '.join(_present())}"
            raise MachineError(Problem("device", "torch finds no such device here", repr(device), fix))
        half = precision == "bfloat16"
        if half and not _multiplies_bfloat16(device):
            what = "this device does not compute in bfloat16 beside float32 weights"
            raise MachineError(Problem("precision", what, _name(device), "Take float32"))
        return Place(CPU if device == "cpu" else torch.device(device, 0), half)  # as its tensors name it

    @property
    def tokens(self) -> int:
        """How many an evaluation takes in one forward pass: on a CPU they fit its caches (decision 006)."""
        return 2048 if self.device.type == "cpu" else 32768

    def computing(self) -> AbstractContextManager[object]:
        """Within it, products are taken in the place's precision; on a CPU the layers see to that themselves."""
        automatic = self.half and self.device.type != "cpu"
        return torch.autocast(self.device.type, torch.bfloat16) if automatic else nullcontext()

    def wait(self) -> None:
        """Returns when everything that was asked of the device is done; for clocks."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak_memory_mib(self) -> float:
        """The most memory that training has held where it happens: on the GPU, or in this process."""
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_reserved(self.device) / 2**20, 1)
        return machine.peak_memory_mib()

    def forget_peak(self) -> None:
        """Lets the peak begin anew at what is held now."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            machine.forget_peak()

    def free_memory_mib(self) -> float:
        """The memory there that training could take, what it holds included."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return round((free + torch.cuda.memory_reserved(self.device)) / 2**20, 1)
        return machine.free_memory_mib()

    def __str__(self) -> str:
        precision = "bfloat16 beside float32 weights" if self.half else "float32"
        return f"{_name(self.device.type)}, {precision}"


def best(device: str, precision: str) -> tuple[str, str]:
    """Device and precision with what is `auto` decided: the CPU, and bfloat16 on a CUDA GPU that has it."""
    if device == "auto":
        device = "cpu"  # a GPU has to be asked for until a run on one was seen (decision 010)
    if precision == "auto":
        precision = "bfloat16" if device != "cpu" and _multiplies_bfloat16(device) else "float32"
    return device, precision


def offer(device: str) -> str:
    """A sentence for who has a GPU and did not ask for it."""
    if device != "auto" or not torch.cuda.is_available():
        return ""
    return f"{_name('cuda')} is here and not used; train.device=cuda uses it, which no real GPU has tried yet"


def faster(device: str, precision: str) -> str:
    """A sentence for whose processor multiplies faster in bfloat16 than it was asked to."""
    if device != "cpu" or precision != "auto" or not _multiplies_bfloat16("cpu"):
        return ""
    return "this processor multiplies faster in bfloat16: train.precision=bfloat16 trains in less time"


def there(held: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """A host array on the device; the host does not wait until it has arrived."""
    tensor = torch.from_numpy(held) if isinstance(held, np.ndarray) else held
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def has_ragged(device: torch.device) -> bool:
    """Whether attention over sequences of any length is one call there: for products in bfloat16 on CUDA."""
    return device.type == "cuda" and torch.is_autocast_enabled("cuda")


def _present() -> list[str]:
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name in DEVICES if have[name]]


def _multiplies_bfloat16(device: str) -> bool:
    if device == "cpu":
        return machine.bfloat16() and machine.kernels() == "on"
    here = device == "cuda" and torch.cuda.is_available()
    return here and torch.cuda.get_device_capability() >= AMPERE


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else device
