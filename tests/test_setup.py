"""The set-up as a stranger meets it: launcher, environment, pinned versions, README, CI."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NONE, DEV, BENCH = frozenset(), frozenset({"dev"}), frozenset({"bench"})
CPU = "https://download.pytorch.org/whl/cpu"


def _checkout(folder):
    for name in ("attune", "bootstrap.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """bootstrap.py of a checkout of its own, without a choice of torch in the environment."""
    monkeypatch.delenv("ATTUNE_TORCH", raising=False)
    spec = importlib.util.spec_from_file_location("bootstrap", _checkout(tmp_path) / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "check_room", lambda: None)
    module.LOG.parent.mkdir()
    return module


@pytest.fixture
def steps(bootstrap, monkeypatch):
    """The names of the steps that a set-up takes; no step installs anything."""
    taken = []

    def step(name, command):
        taken.append(name)
        if "venv" in command:
            library = f"python{sys.version_info.major}.{sys.version_info.minor}"
            (bootstrap.VENV / "lib" / library).mkdir(parents=True, exist_ok=True)
            Path(bootstrap.PYTHON).parent.mkdir(exist_ok=True)
            Path(bootstrap.PYTHON).touch()

    monkeypatch.setattr(bootstrap, "step", step)
    monkeypatch.setattr(bootstrap, "pip_report", lambda requirement: {})
    return taken


def _report(version="2.13.0", url="https://registry.example/torch.whl"):
    return {"install": [{"download_info": {"url": url}, "metadata": {"version": version}}]}


def _source(bootstrap, choice, report, *, linux=True, gpu=False):
    return bootstrap.torch_source(choice, report, linux=linux, gpu=gpu)


# the launcher


def test_the_launcher_is_shell_that_parses_and_may_be_executed():
    assert subprocess.run(["sh", "-n", ROOT / "attune"], check=False).returncode == 0
    assert os.access(ROOT / "attune", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_launcher_says_what_is_missing_without_a_python(tmp_path):
    (tmp_path / "dirname").symlink_to(shutil.which("dirname"))
    (tmp_path / "python3").write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 3.9.2 || exit 1\n")
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        [ROOT / "attune", "demo"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.startswith("attune: there is no Python 3.11 or newer; found Python 3.9.2")


# which torch


def test_a_build_for_the_cpu_that_pip_finds_is_taken(bootstrap):
    assert _source(bootstrap, "auto", _report("2.13.0+cpu")) == ["torch==2.13.0"]
    assert _source(bootstrap, "cpu", _report("2.13.0+cpu"), gpu=True) == ["torch==2.13.0"]


def test_a_local_wheel_that_pip_finds_is_taken(bootstrap):
    assert _source(bootstrap, "auto", _report(url="file:///wheels/torch.whl")) == ["torch==2.13.0"]


@pytest.mark.parametrize("report", [_report(), {}])
def test_linux_without_a_gpu_takes_the_cpu_index(bootstrap, report):
    assert _source(bootstrap, "auto", report) == ["torch==2.13.0", "--index-url", CPU]


def test_linux_with_a_gpu_takes_the_registry(bootstrap):
    assert _source(bootstrap, "auto", _report(), gpu=True) == ["torch==2.13.0"]


def test_the_environment_variable_wins_over_what_is_found(bootstrap):
    assert _source(bootstrap, "cpu", _report(), gpu=True) == ["torch==2.13.0", "--index-url", CPU]
    assert _source(bootstrap, "cuda", _report(), gpu=False) == ["torch==2.13.0"]
    assert _source(bootstrap, "/wheels/torch.whl", _report()) == ["/wheels/torch.whl"]


@pytest.mark.parametrize("choice", ["auto", "cpu"])
def test_elsewhere_the_registry_is_right(bootstrap, choice):
    assert _source(bootstrap, choice, _report(), linux=False) == ["torch==2.13.0"]


@pytest.mark.parametrize(("version", "linux"), [("2.13.0+cpu", True), ("2.13.0", False)])
def test_cuda_that_cannot_be_had_stops_the_set_up(bootstrap, version, linux, capsys):
    with pytest.raises(SystemExit) as stopped:
        _source(bootstrap, "cuda", _report(version), linux=linux)
    assert stopped.value.code == 3
    assert "no torch with CUDA" in capsys.readouterr().err


def test_a_wheel_that_is_not_there_stops_before_anything_is_touched(bootstrap, steps, monkeypatch, capsys):
    monkeypatch.setenv("ATTUNE_TORCH", "gpu")
    with pytest.raises(SystemExit) as stopped:
        bootstrap.ready(NONE)
    assert stopped.value.code == 3
    assert "found 'gpu'" in capsys.readouterr().err
    assert steps == []


# the environment


def test_the_environment_is_made_once(bootstrap, steps):
    bootstrap.ready(NONE)
    assert steps == ["an empty environment", "pip", "torch", "attune"]
    bootstrap.ready(NONE)
    assert len(steps) == 4


def test_the_test_tools_are_added_once_and_kept(bootstrap, steps):
    bootstrap.ready(NONE)
    bootstrap.ready(DEV)
    bootstrap.ready(DEV)
    bootstrap.ready(NONE)
    assert steps[4:] == ["attune[dev]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_pin_updates_the_environment_in_place(bootstrap, steps, name):
    bootstrap.ready(DEV)
    with (bootstrap.ROOT / name).open("a") as file:
        file.write("# changed\n")
    bootstrap.ready(NONE)
    assert steps[4:] == ["pip", "torch", "attune[dev]"]


def test_another_torch_begins_anew_and_is_remembered(bootstrap, steps, monkeypatch):
    bootstrap.ready(NONE)
    monkeypatch.setenv("ATTUNE_TORCH", "cpu")
    bootstrap.ready(NONE)
    assert steps[4:5] == ["an empty environment"]
    monkeypatch.delenv("ATTUNE_TORCH")
    bootstrap.ready(NONE)
    assert len(steps) == 8


def test_a_set_up_that_was_killed_begins_anew(bootstrap, steps, monkeypatch):
    def killed(requirement):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "pip_report", killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.ready(NONE)
    bootstrap.ready(NONE)
    assert steps.count("an empty environment") == 2
    assert json.loads(bootstrap.STAMP.read_text())["of"] == bootstrap.digest()


def test_a_set_up_of_test_tools_that_was_killed_costs_nothing_that_worked(bootstrap, steps, monkeypatch):
    bootstrap.ready(NONE)

    def killed(what, words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.ready(frozenset({"dev"}))
    assert bootstrap.up_to_date(NONE)
    bootstrap.ready(frozenset({"dev"}))
    assert steps[4:] == ["attune[dev]"]


def test_a_second_set_up_waits_for_the_first_and_does_not_repeat_it(bootstrap, steps, capsys):
    with bootstrap.alone():
        second = threading.Thread(target=bootstrap.ready, args=(NONE,))
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert steps == []
        bootstrap.set_up(NONE)
    second.join(10)
    assert not second.is_alive()
    assert "another set-up is at work" in capsys.readouterr().err
    assert steps == ["an empty environment", "pip", "torch", "attune"]


def test_a_failing_step_shows_its_last_lines_and_where_the_rest_is(bootstrap, capsys):
    code = "import sys; print(*(f'<{i}>' for i in range(20)), sep='\\n'); sys.exit(1)"
    with pytest.raises(SystemExit) as stopped:
        bootstrap.step("torch", [sys.executable, "-c", code])
    said = capsys.readouterr().err
    assert stopped.value.code == 3
    assert "<7>" not in said
    assert "\n<8>\n" in said
    assert "\n<19>\n" in said
    assert "setting up torch failed; found exit code 1\n" in said
    assert said.endswith(f"All lines: {bootstrap.LOG}\n")


def test_a_full_disk_stops_the_set_up(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("bootstrap", _checkout(tmp_path) / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1.5e9))
    with pytest.raises(SystemExit) as stopped:
        module.check_room()
    assert stopped.value.code == 3
    assert "found 1.5 GB free" in capsys.readouterr().err


@pytest.mark.slow
def test_without_packages_the_launcher_ends_with_what_pip_said(tmp_path):
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    env.pop("ATTUNE_TORCH", None)
    done = subprocess.run(
        [_checkout(tmp_path) / "attune", "demo"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "No matching distribution found" in done.stderr
    assert done.stderr.rstrip().endswith(str(tmp_path / "build" / "setup.log"))


# what the words become


@pytest.fixture
def became(bootstrap, monkeypatch):
    """The command that this process would have become, and nothing set up."""
    taken = []

    def execv(path, words):
        taken.append(words)
        raise SystemExit(0)

    monkeypatch.setattr(bootstrap, "ready", taken.append)
    monkeypatch.setattr(bootstrap.os, "execv", execv)
    monkeypatch.setattr(bootstrap.os, "chdir", lambda path: None)
    monkeypatch.setattr(bootstrap.os, "environ", {})
    return taken


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["test"], ["-m", "pytest", "-n", "2"]),
        (["test", "--all", "-x"], ["-m", "pytest", "-n", "2", "-m", "", "-x"]),
        (["test", "-m", "slow"], ["-m", "pytest", "-n", "2", "-m", "slow"]),
    ],
)
def test_test_becomes_pytest_with_the_test_tools(bootstrap, became, words, command):
    with pytest.raises(SystemExit):
        bootstrap.main(words)
    assert became == [DEV, [bootstrap.PYTHON, *command]]


def test_bench_installs_the_peers_beside_what_is_there(bootstrap, became, steps, monkeypatch):
    with pytest.raises(SystemExit):
        bootstrap.main(["bench", "data", "--seeds", "3"])
    script = str(bootstrap.ROOT / "benchmarks" / "bench.py")
    assert became == [BENCH, [bootstrap.PYTHON, script, "data", "--seeds", "3"]]


def test_bench_runs_another_script_by_its_name(bootstrap, became, steps):
    script = bootstrap.ROOT / "benchmarks" / "growth.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text("__main__")
    script.with_name("sizes.py").touch()  # what the others share is no benchmark
    with pytest.raises(SystemExit):
        bootstrap.main(["bench", "growth", "rows.csv"])
    assert became == [BENCH, [bootstrap.PYTHON, str(script), "rows.csv"]]
    for folder in ("sizes", "growth/", "../benchmarks/growth"):
        became.clear()
        with pytest.raises(SystemExit):
            bootstrap.main(["bench", folder])
        assert became[1:] == [[bootstrap.PYTHON, str(script.with_name("bench.py")), folder]]


def test_one_extra_does_not_drop_another(bootstrap, steps):
    bootstrap.ready(DEV)
    bootstrap.ready(BENCH)
    bootstrap.ready(DEV)
    assert steps[4:] == ["attune[bench,dev]"]


@pytest.mark.parametrize("words", [["demo"], ["train", "reviews.csv", "train.lr=1e-4"], []])
def test_every_other_word_goes_to_attune(bootstrap, became, words):
    with pytest.raises(SystemExit):
        bootstrap.main(words)
    assert became == [NONE, ["attune", *words]]


def test_the_demo_stays_offline(bootstrap, became):
    with pytest.raises(SystemExit):
        bootstrap.main(["demo"])
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_DATASETS_OFFLINE"] == "1"


def test_lint_runs_every_tool_and_ends_with_the_worst_code(bootstrap, became, monkeypatch):
    run = []

    def call(command, cwd):
        run.append(command[2])
        return 1 if "format" in command else 0

    monkeypatch.setattr(bootstrap.subprocess, "call", call)
    with pytest.raises(SystemExit) as ended:
        bootstrap.main(["lint"])
    assert ended.value.code == 1
    assert run == ["ruff", "ruff", "mypy"]


# pins, README, CI


def _pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_exactly_and_within_its_bounds():
    from packaging.requirements import Requirement

    pins = {_plain(name): version for name, version in _pins().items()}
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(each for extra in extras for each in extra)]:
        needed = Requirement(line)
        assert _plain(needed.name) in pins, f"{needed.name} is not in constraints.txt"
        assert needed.specifier.contains(pins[_plain(needed.name)]), (
            f"{line} does not allow the pinned version"
        )


def test_pins_are_public_versions():
    assert not [version for version in _pins().values() if not re.fullmatch(r"[0-9][0-9a-z.]*", version)]


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def _commands():
    lines = [line for block in _blocks("sh") for line in block.splitlines() if line.startswith("./attune")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_readme_gives_the_two_commands():
    assert ["demo"] in _commands()
    assert ["test"] in _commands()


def test_every_command_of_the_readme_exists_with_its_options():
    import typer

    from attune.cli import app

    known = typer.main.get_command(app).commands
    for command, *words in _commands():
        if command in ("test", "lint"):
            continue
        assert command in known, f"README: there is no `attune {command}`"
        options = {option for parameter in known[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options


def test_every_option_that_the_readme_names_exists():
    import typer

    from attune.cli import app

    commands = typer.main.get_command(app).commands.values()
    options = {option for command in commands for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= options


def test_the_recipe_of_the_readme_is_a_recipe(tmp_path):
    from attune import recipe_file

    (recipe,) = _blocks("yaml")
    (tmp_path / "reviews.yaml").write_text(recipe, encoding="utf-8")
    assert recipe_file.load(str(tmp_path / "reviews.yaml"), ["train.lr=1e-4"]).train.lr == 1e-4


def test_the_python_of_the_readme_uses_what_attune_exports():
    import attune

    (code,) = _blocks("python")
    compile(code, "README.md", "exec")
    assert set(re.findall(r"\battune\.(\w+)", code)) <= set(attune.__all__)


def test_every_file_that_the_readme_names_is_there():
    places = re.findall(r"`((?:src|docs)/[\w/.]*|[\w]+\.(?:py|txt))`|\]\(([^)]+)\)", README)
    for place in (one or other for one, other in places):
        assert any((home / place).exists() for home in (ROOT, ROOT / "src" / "attune")), place


def test_ci_runs_the_test_command_of_the_readme():
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert "./attune test" in lines
    assert "./attune lint" in lines
