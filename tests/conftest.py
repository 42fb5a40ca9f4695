"""What every test shares: few threads, no network, tiny checkpoints made on the spot."""

from __future__ import annotations

import os
import socket
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import tiny
import torch

torch.set_num_threads(1)
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(self, address, *_):
        if self.family != socket.AF_UNIX:
            raise AssertionError(f"a test opened a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A folder with one tiny random checkpoint for each family, made when first asked for."""
    return tiny.Checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture
def reviews(tmp_path):
    """A small file of reviews whose words give the label away."""
    return tiny.reviews(tmp_path / "reviews.csv")


@pytest.fixture
def vnni(monkeypatch):
    """A processor that multiplies in int8, be it here or not."""
    from attune import machine
    from attune.models.kernels import integers

    if not machine.int8():
        monkeypatch.setattr(integers, "multiply", tiny.exactly)
    monkeypatch.setattr(machine, "int8", lambda: True)
