"""Makes .venv with the pinned packages, once, and runs a command in it. Needs the standard library only.

    ./attune demo           the demonstration; it needs no network once .venv stands
    ./attune test [...]     the fast tests; with --all the slow ones too; other words go to pytest
    ./attune lint           ruff and mypy
    ./attune bench [DATA]   attune beside its peers, which it installs too; see benchmarks/bench.py
    ./attune bench NAME ... another script of benchmarks/: growth, ablation, inference, plans, ...
    ./attune ...            every other command of attune

ATTUNE_TORCH says which torch to install: auto (asks pip, looks for a GPU), cpu, cuda, or the path of a wheel.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / "bin" / "python")
PIP = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
CONSTRAINTS = ROOT / "constraints.txt"
STAMP = VENV / "attune-stamp.json"  # what the environment was made of
LOG = ROOT / "build" / "setup.log"
LOCK = ROOT / "build" / "setup.lock"

EXTRAS = {"test": frozenset({"dev"}), "lint": frozenset({"dev"}), "bench": frozenset({"bench"})}
CHOICES = ("auto", "cpu", "cuda")
ENOUGH_GB = 3  # free disk: the environment and what pip unpacks on the way
LAST_LINES = 12  # of pip's, when it fails
# PyTorch's own index of builds without CUDA: the registry's build for Linux brings gigabytes for a GPU.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main(words: list[str]) -> NoReturn:
    """Readies the environment and becomes the command."""
    command = words[0] if words else ""
    ready(EXTRAS.get(command, frozenset()))
    if command in ("demo", "test", "bench"):
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    if command == "lint":
        tools = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"])
        sys.exit(max([subprocess.call([PYTHON, "-m", *tool], cwd=ROOT) for tool in tools]))
    if command == "test":
        os.chdir(ROOT)
        chosen = [part for word in words[1:] for part in (["-m", ""] if word == "--all" else [word])]
        os.execv(PYTHON, [PYTHON, "-m", "pytest", "-n", "2", *chosen])
    if command == "bench":
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as the command itself has it, for every side
        held = {
            path.stem: path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()
        }
        named = [word for word in words[1:2] if word in held]
        script = held[named[0]] if named else ROOT / "benchmarks" / "bench.py"
        os.execv(PYTHON, [PYTHON, str(script), *words[1 + len(named) :]])
    os.execv(VENV / "bin" / "attune", ["attune", *words])  # signals and exit code are the command's own


def ready(extras: frozenset[str]) -> None:
    """Makes the environment what pyproject.toml and constraints.txt say; returns at once when it is."""
    if up_to_date(extras):
        return
    with alone():
        if not up_to_date(extras):  # the set-up that was waited for may have done it
            set_up(extras | frozenset(stamp().get("extras", ())))


def up_to_date(extras: frozenset[str]) -> bool:
    """Whether there is nothing to install."""
    made = stamp()
    return (
        made.get("of") == digest()
        and made["torch"] == torch_choice()
        and extras <= set(made.get("extras", ()))
    )


def stamp() -> dict[str, Any]:
    """What the environment was made of; empty when nobody knows."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def digest() -> str:
    """The hash of all that the environment depends on."""
    place = f"{sys.version_info[:2]} {ROOT}"  # scripts hold the path: a moved checkout is installed again
    parts = [(ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes(), place.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def torch_choice() -> str:
    """ATTUNE_TORCH; without it what the environment was made with."""
    choice = os.environ.get("ATTUNE_TORCH", "")
    if choice and choice not in CHOICES and not Path(choice).is_file():
        stop("ATTUNE_TORCH is auto, cpu, cuda or the path of a wheel", repr(choice), "There is no such file")
    return choice or str(stamp().get("torch", "auto"))


@contextmanager
def alone() -> Iterator[None]:
    """Keeps a second set-up waiting; a killed one leaves no lock behind."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def set_up(extras: frozenset[str]) -> None:
    """Installs the pinned packages and this checkout, then says so in the stamp."""
    began, choice, made = time.monotonic(), torch_choice(), stamp()
    # what works is kept as it is while extras are added to it
    whole = made.get("of") == digest() and made["torch"] == choice and usable(choice)
    say(f"setting up .venv with Python {sys.version.split()[0]}, once; what pip says goes to {LOG}")
    LOG.write_text("")
    if not usable(choice):
        check_room()
        step("an empty environment", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    if not whole:
        STAMP.write_text(json.dumps({"of": "unfinished"}))  # stays when this is killed
        step("pip", [*PIP, "pip>=23.2"])  # older ones download a whole wheel to read its name
        report = pip_report(pinned("torch"))
        gpu = bool(shutil.which("nvidia-smi")) or Path("/dev/nvidiactl").exists()
        source = torch_source(choice, report, linux=sys.platform == "linux", gpu=gpu)
        step("torch", [*PIP, "--no-deps", *source])
    named = f"[{','.join(sorted(extras))}]" if extras else ""
    step(f"attune{named}", [*PIP, "--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}{named}"])
    STAMP.write_text(json.dumps({"of": digest(), "torch": choice, "extras": sorted(extras)}))
    say(f"ready after {time.monotonic() - began:.0f} s")


def usable(choice: str) -> bool:
    """Whether the environment that is there can be brought up to date, instead of a new one."""
    made, library = stamp(), f"python{sys.version_info.major}.{sys.version_info.minor}"
    whole = made.get("of") != "unfinished" and made.get("torch", choice) == choice
    return whole and Path(PYTHON).exists() and (VENV / "lib" / library).is_dir()


def pinned(name: str) -> str:
    """The line of constraints.txt for a package, `torch==2.13.0`."""
    return next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith(f"{name}=="))


def pip_report(requirement: str) -> dict[str, Any]:
    """What pip would install by itself; empty when it finds nothing."""
    command = [*PIP, "--dry-run", "--no-deps", "--quiet", "--report", "-", requirement]
    done = subprocess.run(command, capture_output=True)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def torch_source(choice: str, report: dict[str, Any], *, linux: bool, gpu: bool) -> list[str]:
    """What pip is told to install: the pinned torch, the same from PyTorch's CPU index, or a wheel.

    `report` is what pip would take by itself. Outside Linux the registry's torch is right for everyone.
    """
    if choice not in CHOICES:
        return [choice]
    plain, offers = [pinned("torch")], report.get("install", [])
    without_cuda = not linux or any(offer["metadata"]["version"].endswith("+cpu") for offer in offers)
    if choice == "cuda" and without_cuda:
        stop("pip finds no torch with CUDA here", "one for the CPU", "ATTUNE_TORCH takes the path of a wheel")
    local = any(offer["download_info"]["url"].startswith("file:") for offer in offers)
    if without_cuda or choice == "cuda" or (choice == "auto" and (gpu or local)):
        return plain
    return [*plain, "--index-url", CPU_INDEX]


def check_room() -> None:
    """Stops when the disk is too full for the environment."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < ENOUGH_GB:
        stop("the disk is too full to set up .venv", f"{free:.1f} GB free", f"Free {ENOUGH_GB} GB in {ROOT}")


def step(name: str, command: list[str]) -> None:
    """Runs a command into the log; when it fails, shows its last lines and stops."""
    say(f"  {name} ...")
    with LOG.open("a") as log:
        code = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if code:
        STAMP.unlink(missing_ok=True)  # it failed in order: what is there can be completed
        say("\n".join(["the last lines:", *LOG.read_text(errors="replace").splitlines()[-LAST_LINES:]]))
        fix = f"Is there a network? Behind a proxy set HTTPS_PROXY. All lines: {LOG}"
        stop(f"setting up {name} failed", f"exit code {code}", fix)


def say(sentence: str) -> None:
    """One line to the person who waits; stdout stays the command's."""
    print(f"attune: {sentence}", file=sys.stderr, flush=True)


def stop(what: str, found: str, fix: str) -> NoReturn:
    """Ends with attune's exit code for something that the machine lacks."""
    say(f"{what}; found {found}\n    {fix}")
    sys.exit(3)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        say("stopped; the same command takes it up again")
        sys.exit(130)
    except OSError as error:
        stop("the set-up could not go on", str(error), f"May {ROOT} be written, and is its disk not full?")
