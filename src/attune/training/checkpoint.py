"""Checkpoints: written whole or not at all, verified when read, without pickle.

A checkpoint holds the weights that are trained, optimizer moments and the state of the loop. The order of the rows
and the random numbers of dropout are functions of seed and step, and frozen weights are those of the model that was
started from, which a digest of them proves; so nothing else is needed to continue to the same bits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from attune import files
from attune.errors import Problem, TrainingError

PREFIX = "checkpoint-"


@dataclass
class State:
    """Where the loop stands, after `step` optimizer steps."""

    step: int = 0
    evaluated_at: int = 0  # the last step whose evaluation is done
    best_step: int = 0
    best_score: float = float("-inf")
    best_loss: float = float("inf")
    misses: int = 0  # evaluations since the best one
    tokens: int = 0
    seconds: float = 0.0
    reason: str = ""  # why training is over; empty while it goes on


class Store:
    """The checkpoints of one run: the last one to continue from, and the best weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digest = ""  # of the frozen weights, made once

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> Path:
        """Writes a checkpoint and then removes the one before."""
        path = self.folder / f"{PREFIX}{state.step:08d}"
        with files.whole_folder(path) as partial:
            self._write_weights(partial, model)
            _write(partial / "optimizer.safetensors", _moments(model, optimizer))
            value = {name: (None if _infinite(held) else held) for name, held in asdict(state).items()}
            (partial / "state.json").write_text(json.dumps(value, indent=1), encoding="utf-8")
            _seal(partial)
        for older in self.checkpoints():
            if older != path:
                shutil.rmtree(older)
        return path

    def save_best(self, model: nn.Module) -> None:
        """Keeps these weights as the best ones."""
        with files.whole_folder(self.folder / "best") as partial:
            self._write_weights(partial, model)
            _seal(partial)

    def load_best(self, model: nn.Module) -> None:
        """Puts the best weights back into the model."""
        best = self.folder / "best"
        damage = verify(best)
        if damage:
            raise TrainingError(Problem(str(best), f"the best weights are damaged: {damage}"))
        self._read_weights(best, model)

    def _write_weights(self, folder: Path, model: nn.Module) -> None:
        _write(folder / "weights.safetensors", _weights(model))
        (folder / "frozen.txt").write_text(self._frozen(model), encoding="utf-8")

    def _read_weights(self, folder: Path, model: nn.Module) -> None:
        """Puts stored weights into the model.

        Raises:
            TrainingError: when the frozen ones are not those that they were trained with.
        """
        digest = folder / "frozen.txt"
        if not digest.is_file():
            what = "the checkpoint was written by an older attune, which this one cannot continue"
            raise TrainingError(Problem(str(folder), what, fix="Train anew from the recipe"))
        if digest.read_text(encoding="utf-8") != self._frozen(model):
            what = "the model that training began from is not what it was"
            fix = "Restore it (model.base), or train anew"
            raise TrainingError(Problem(str(folder), what, fix=fix))
        lacking, unknown = model.load_state_dict(load_file(folder / "weights.safetensors"), strict=False)
        assert not unknown and set(lacking) == _names(model, trained=False), (lacking, unknown)

    def _frozen(self, model: nn.Module) -> str:
        """The digest of the weights that are not trained."""
        if not self._digest:
            found, held = hashlib.sha256(), model.state_dict()
            for name in sorted(_names(model, trained=False)):
                found.update(name.encode())
                found.update(held[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            self._digest = found.hexdigest()
        return self._digest

    def forget(self) -> None:
        """Gives the disk back: a finished run has its weights in the stored model."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def checkpoints(self) -> list[Path]:
        """The whole checkpoints, newest first."""
        return sorted(self.folder.glob(f"{PREFIX}*[0-9]"), reverse=True) if self.folder.is_dir() else []

    def newest_step(self) -> int:
        """The step of the newest checkpoint that is undamaged; 0 when there is none."""
        if self.folder.is_dir():
            files.remove_partials(self.folder)
        return next((int(p.name.removeprefix(PREFIX)) for p in self.checkpoints() if not verify(p)), 0)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> State:
        """The newest checkpoint that is undamaged, into model and optimizer; a new State when there is none."""
        if self.folder.is_dir():
            files.remove_partials(self.folder)
        damaged = []
        for path in self.checkpoints():
            damage = verify(path)
            if damage:
                damaged.append(Problem(str(path), f"the checkpoint is damaged: {damage}"))
                continue
            self._read_weights(path, model)
            _restore(model, optimizer, load_file(path / "optimizer.safetensors"))
            held = json.loads((path / "state.json").read_text(encoding="utf-8"))
            return State(**{name: value for name, value in held.items() if value is not None})
        if damaged:
            raise TrainingError(
                *damaged, Problem("", "no checkpoint is whole", fix="Train again from the recipe")
            )
        return State()


def verify(folder: Path) -> str:
    """What is wrong with a sealed folder, in words; empty when every file is as it was written."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return "manifest.json is missing"
    try:
        expected: Any = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        return "manifest.json is not JSON"
    if not isinstance(expected, dict) or not isinstance(expected.get("weights.safetensors"), str):
        return "manifest.json does not name the weights"
    for name, digest in expected.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        older = len(str(digest)) == 64  # SHA-256, until 2026-11
        found = (files.sha256 if older else files.crc32)(folder / name)
        if found != digest:
            return f"{name} has the check sum {found}, expected {digest}"
    return ""


def _seal(folder: Path) -> None:
    digests = {file.name: files.crc32(file) for file in sorted(folder.iterdir())}
    (folder / "manifest.json").write_text(json.dumps(digests, indent=1), encoding="utf-8")


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """safetensors' file, whose errors are the system's own (a full disk stays recognisable)."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
    save_file(tensors, path)


def _infinite(value: object) -> bool:
    return isinstance(value, float) and value in (float("inf"), float("-inf"))


def _names(model: nn.Module, *, trained: bool) -> set[str]:
    """The names in the state of a model of what is trained (buffers are), or of what is frozen."""
    held = model.state_dict(keep_vars=True)
    return {
        name
        for name, tensor in held.items()
        if trained == (tensor.requires_grad or not isinstance(tensor, nn.Parameter))
    }


def _weights(model: nn.Module) -> dict[str, Tensor]:
    held = model.state_dict()
    return {
        name: held[name].detach().cpu().contiguous().clone() for name in sorted(_names(model, trained=True))
    }


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    held = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            held[f"{name}:{key}"] = value.cpu()
    return held


def _restore(model: nn.Module, optimizer: torch.optim.Optimizer, held: dict[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for key, value in held.items():
        name, _, part = key.rpartition(":")
        optimizer.state[parameters[name]][part] = value.to(parameters[name].device)
