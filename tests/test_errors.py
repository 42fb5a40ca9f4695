"""Every mistake a user makes ends in a sentence and an exit code, never in a traceback."""

from __future__ import annotations

import json
import time

import pytest
from test_walk import command
from typer.testing import CliRunner

from attune import cli, recipe_file, rundir
from attune.errors import RecipeError

ROWS = [("good kettle", "a"), ("bad kettle", "b"), ("fine one", "a"), ("slow one", "b")] * 4
TEXTS = [(f"{text} {i}", label) for i, (text, label) in enumerate(ROWS)]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in TEXTS)


def _write(tmp_path, name, held):
    path = tmp_path / name
    path.write_bytes(held.encode() if isinstance(held, str) else held)
    return path


CASES = {
    "empty file": ("d.csv", "", 4, ["empty"]),
    "header only": ("d.csv", "text,label\n", 4, ["no rows"]),
    "ragged row": ("d.csv", CSV + "so, it broke,a\n", 4, ["d.csv:18", "3 fields"]),
    "NUL byte": ("d.csv", CSV.replace("bad", "b\0d", 1), 4, ["d.csv:3", "NUL"]),
    "latin-1": ("d.csv", CSV.replace("slow", "caf\u00e9").encode("latin-1"), 4, ["d.csv:5", "data.encoding=cp1252"]),
    "broken json line": ("d.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', 4, ["d.jsonl:2"]),
    "one class": ("d.csv", CSV.replace(",b\n", ",a\n"), 4, ["a"]),
    "a label once": ("d.csv", CSV + "odd one,lonely\n", 4, ["lonely", "d.csv:18"]),
    "no label": ("d.csv", CSV + "odd one,\n", 4, ["d.csv:18"]),
    "empty labels": ("d.csv", "text,label\n" + "".join(f"{text},\n" for text, _ in TEXTS), 4,
                     ["nothing stands in 'label'"]),
    "unknown kind": ("d.xlsx", "x", 4, [".xlsx"]),
    "not a recipe": ("d.yaml", "- 1\n", 2, ["not a recipe"]),
    "bad recipe": ("d.yaml", "data: {train: x.csv}\ntrian: {lr: 1}\ntrain: {lr: -1, epocs: 3}\n", 2,
                   ["d.yaml:2", "'train'", "d.yaml:3", "-1", "'train.epochs'", "3 problems"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_is_told_by_place(tmp_path, name):
    file, held, code, words = CASES[name]
    done = command("train", _write(tmp_path, file, held), "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


def _good(tmp_path):
    return _write(tmp_path, "reviews.csv", CSV)


OPTIONS = {
    "missing file": (["reviws.csv"], 4, ["reviws.csv", "reviews.csv"]),
    "wrong column": (["reviews.csv", "--label", "lable"], 4, ["'lable'", "label"]),
    "wrong knob": (["reviews.csv", "train.epoch=3"], 2, ["train.epoch", "epochs"]),
    "two wrong knobs": (
        ["reviews.csv", "train.lr=-1", "model.max_token=3"],
        2,
        ["2 problems", "train.lr", "max_tokens"],
    ),
    "shares that leave nothing": (
        ["reviews.csv", "data.valid_share=0.6", "data.test_share=0.5", "train.lr=-1"],
        2,
        ["2 problems", "no row to learn from", "1.1"],
    ),
    "a slip in the suffix": (["reviews.cvs"], 4, ["no such file", "'reviews.csv'"]),
    "an unknown option of the task": (
        ["reviews.csv", "task.options.foo=1"],
        2,
        ["options of classification", "class_weights"],
    ),
    "an option misspelt": (["reviews.csv", "task.options.label_smothing=0.1"], 2, ["'label_smoothing'"]),
    "an option of another kind": (
        ["reviews.csv", "task.options.label_smoothing=2"],
        2,
        ["less than 1", "spread over"],
    ),
    "not a time": (["reviews.csv", "--budget", "10x"], 2, ["10m"]),
    "no room for a text": (["reviews.csv", "model.max_tokens=2"], 2, ["model.max_tokens", "3 at least"]),
    "a rank that is no low one": (
        ["reviews.csv", "method.name=lora", "method.rank=100000"],
        2,
        ["method.rank", "384 or less"],
    ),
    "a run folder in a file": (["reviews.csv", "--out", "reviews.csv/x"], 2, ["cannot lie in a file"]),
    "a knob without its sign": (["reviews.csv", "train.lr", "1e-4"], 2, ["train.lr=VALUE"]),
    "no model": (["reviews.csv", "model.base="], 2, ["no model is named"]),
    "valid rows without labels": (
        ["reviews.csv", "--valid", "bare.csv"],
        4,
        ["data.valid", "no labels in 'label'"],
    ),
    "not a knob": (["reviews.csv", "epochs"], 2, ["epochs"]),
    "unknown task": (["reviews.csv", "--task", "classifcation"], 2, ["classification"]),
    "missing model": (["reviews.csv", "--model", "./nowhere"], 2, ["no such folder"]),
    "unknown starter": (["reviews.csv", "--model", "starter/brt"], 2, ["starter/bert"]),
    "unknown hub model": (["reviews.csv", "--model", "no-such-org/no-such-model"], 2, ["no-such-org"]),
    "model that is a file": (["reviews.csv", "--model", "reviews.csv"], 2, ["reviews.csv"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_option_is_told_with_the_nearest_name(tmp_path, name):
    words, code, found = OPTIONS[name]
    _good(tmp_path)
    _write(tmp_path, "bare.csv", "text\none kettle\nanother kettle\n")
    out = [] if "--out" in words else ["--out", "run"]
    done = command("train", *words, *out, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in found:
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_model_folder_without_a_tokenizer_is_told(tmp_path, checkpoints):
    import shutil
    from pathlib import Path

    folder = tmp_path / "model"
    shutil.copytree(checkpoints("bert"), folder)
    for path in Path(folder).glob("*token*"):
        path.unlink()
    done = command("train", _good(tmp_path), "--model", folder)
    assert done.returncode == 2
    assert "no tokenizer" in done.stderr


def test_a_run_folder_that_exists_is_left_alone(tmp_path, checkpoints):
    (tmp_path / "run").mkdir()
    kept = _write(tmp_path / "run", "precious.txt", "mine")
    done = command("train", _good(tmp_path), "--model", checkpoints("bert"), "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert [path.name for path in kept.parent.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("verb", ["resume", "predict", "report"])
def test_what_is_no_run_folder_is_told(tmp_path, verb):
    words = [verb, tmp_path / "none", *(["-"] if verb == "predict" else [])]
    done = command(*words, input="")
    assert done.returncode == 2
    assert "not a run folder" in done.stderr


@pytest.mark.parametrize("verb", ["train", "plan", "predict", "resume"])
def test_a_command_without_what_it_needs_says_what_that_is(verb):
    done = command(verb)
    assert done.returncode == 2
    assert "Missing argument" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_a_dry_run_tells_its_plan_however_it_is_asked(tmp_path, checkpoints, reviews, option):
    done = command("train", reviews, "--model", checkpoints("bert"), "--dry-run", option)
    assert done.returncode == 0
    if option == "--quiet":
        assert "rows" in done.stderr and "--dry-run" in done.stderr
        return
    told = json.loads(done.stdout)
    assert told["event"] == "plan"
    assert {"task", "text", "rows", "train"} <= {line["about"] for line in told["plan"]}
    assert isinstance(told["findings"], list)


def test_a_finished_run_is_not_offered_to_go_on_with(tmp_path):
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    with pytest.raises(RecipeError) as error:
        rundir.refuse_existing(str(tmp_path))
    assert "resume" not in str(error.value)
    for status in ("stopped", "failed", "running"):  # one that was killed runs on in its file
        (tmp_path / "run.json").write_text(json.dumps({"status": status}))
        with pytest.raises(RecipeError, match="resume"):
            rundir.refuse_existing(str(tmp_path))
    for foreign in ("[]", "null", "{"):
        (tmp_path / "run.json").write_text(foreign)
        with pytest.raises(RecipeError, match="there already"):
            rundir.refuse_existing(str(tmp_path))


def test_a_file_where_a_knob_should_be_is_told_its_option(tmp_path):
    data = tmp_path / "new.csv"
    data.write_text("text,label\n")
    with pytest.raises(RecipeError, match="--test"):
        recipe_file.load(str(data), [str(data)])
    with pytest.raises(RecipeError, match=r"section\.knob=value"):
        recipe_file.load(str(data), ["x" * 300])


def test_problems_come_as_json_for_machines(tmp_path):
    done = command("train", tmp_path / "nowhere.csv", "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["error"] == "DataError"
    assert told["problems"][0]["where"]


def test_a_dry_run_and_a_printed_recipe_write_nothing(tmp_path, checkpoints):
    data = _good(tmp_path)
    for option in ("--dry-run", "--print-recipe"):
        done = command("train", data, "--model", checkpoints("bert"), option, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "runs").exists()
    import yaml

    from attune.recipe_file import Loader

    held = yaml.load(done.stdout, Loader=Loader)
    assert held["data"]["label"] == "label"
    assert held["train"]["lr"] == 1e-4


def test_the_version_is_told():
    from attune import machine

    assert command("--version").stdout == f"attune {machine.version()}\n"


def test_help_is_quick_and_imports_no_torch():
    best = 9.0
    for _ in range(5):
        began = time.monotonic()
        done = command("--help")
        best = min(best, time.monotonic() - began)
    assert done.returncode == 0
    for verb in ("train", "resume", "predict", "report", "doctor"):
        assert verb in done.stdout
    assert best < 1.0  # 0.4 s is the promise on an idle machine; a busy one doubles it


def test_the_doctor_says_that_this_machine_is_fit():
    done = command("doctor", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"python", "torch", "disk", "memory"} <= {finding["name"] for finding in told}
    assert all(finding["fix"] or finding["ok"] for finding in told)


def test_a_run_below_the_asked_quality_is_whole_and_ends_with_its_own_code(tmp_path, checkpoints):
    words = ["train.epochs=1", "--model", checkpoints("bert"), "--out", "run", "--at-least", "1.01"]
    done = command("train", _good(tmp_path), *words, cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    assert "1.01 that was asked for" in done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--epochs", "3"], "write train.epochs=3"),
        (["--lr=1e-4"], "write train.lr=1e-4"),
        (["--num-train-epochs"], "write train.epochs=VALUE"),
        (["--max_length", "--dry-run"], "write model.max_tokens=VALUE"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "plan"])
def test_a_knob_that_is_written_as_an_option_is_told_how_to_write_it(verb, words, told):
    done = CliRunner().invoke(cli.app, [verb, "rows.csv", *words])
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
