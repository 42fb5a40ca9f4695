"""The whole walk on a tiny model: from a file to a finished run folder, in Python and on the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import transformers

import attune
from attune import answers, recipe_file, rundir
from attune import run as runs
from attune.errors import DataError, RecipeError
from attune.training.checkpoint import Store

QUICK = ("train.epochs=8", "train.batch=16", "train.lr=3e-3")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "COLUMNS": "120"}


def command(*words, **more):
    """The result of `attune WORDS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "attune.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        **more,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkpoints):
    import tiny

    folder = tmp_path_factory.mktemp("walk")
    data = tiny.reviews(folder / "reviews.csv", 120)
    return attune.train(data, *QUICK, out=folder / "run", model=checkpoints("bert"))


def test_a_finished_run_has_every_file(finished):
    names = {path.name for path in finished.path.iterdir()}
    assert names >= {
        "recipe.yaml", "run.json", "environment.json", "data.json", "findings.json", "events.jsonl", "metrics.json",
        "details.json", "explanations.json", "parity.json", "predictions", "model", "report.html",
    }  # fmt: skip
    assert rundir.RunDir(finished.path).read("run.json")["status"] == "finished"
    assert not list(finished.path.rglob("*.partial-*"))
    assert "checkpoints" not in names  # three times the model, for nothing that could go on
    modes = {path.stat().st_mode & 0o777 for path in finished.path.rglob("*") if path.is_file()}
    assert modes == {(finished.path / "run.json").stat().st_mode & 0o777}


def test_the_report_of_a_real_run_shows_validation_beside_training(finished):
    from attune.report.content import content

    shown = content(finished.path)["learning"]
    assert shown["has_valid_loss"]
    assert all(row["loss"] != "\N{EN DASH}" for row in shown["evaluations"])
    assert shown["score"]


def test_the_model_learns_what_a_word_tells_and_says_how_sure_that_is(finished):
    held = finished.metrics["test"]["f1_macro"]
    assert held["value"] > 0.9
    assert held["low"] <= held["value"] <= held["high"]
    assert {c["baseline"] for c in finished.metrics["comparisons"]} == {"majority", "tfidf_logreg"}


def test_the_stored_model_is_plain_transformers_and_repeats_the_predictions(finished):
    run = rundir.RunDir(finished.path)
    assert run.read("parity.json")["same"]
    answer = transformers.pipeline("text-classification", str(run.model))
    lines = (run.path / "predictions/test.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        found = answer(row["text"], truncation=True, max_length=24)[0]
        assert found["label"] == row["predicted"]
        assert found["score"] == pytest.approx(max(row["probabilities"].values()), abs=1e-4)


def test_loaded_again_it_predicts_the_same(finished):
    lines = (finished.path / "predictions/test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = attune.load(finished.path).predict([row["text"] for row in rows])
    for row, prediction in zip(rows, found, strict=True):
        assert prediction.label == row["predicted"]
        assert prediction.probabilities == pytest.approx(row["probabilities"], abs=1e-5)


def test_the_recipe_of_a_run_trains_to_the_same_weights(finished, tmp_path):
    again = attune.train(finished.path / "recipe.yaml", out=tmp_path / "again")
    first, second = (run.path / "model/model.safetensors" for run in (finished, again))
    assert first.read_bytes() == second.read_bytes()
    assert (
        "auto"
        not in (finished.path / "recipe.yaml").read_text(encoding="utf-8").replace("# ", "#").split("#")[0]
    )


def test_the_splits_share_no_text(finished):
    ready = runs.plan(recipe_file.load(str(finished.path / "recipe.yaml")))
    from attune.data.duplicates import group_near_duplicates

    texts = [text for part in ready.rows.tables for text in ready.rows.texts(part)]
    parts = np.repeat(np.arange(3), [len(table) for table in ready.rows.tables.values()])
    groups = group_near_duplicates(texts)
    assert all(len(set(parts[groups == group])) == 1 for group in set(groups.tolist()))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_predictions_are_written_as_files(finished, reviews, tmp_path, kind):
    out = tmp_path / f"answers.{kind}"
    done = command("predict", finished.path, reviews, "-o", out)
    assert done.returncode == 0, done.stderr
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    elif kind == "jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        from pyarrow import parquet

        rows = parquet.read_table(out).to_pylist()
    assert len(rows) == 80
    assert {row["label"] for row in rows} == {"good", "bad"}


@pytest.mark.parametrize("given", ["good kettle", {"text": "good kettle"}])
def test_one_text_in_the_place_of_a_list_is_refused_and_not_read_letter_by_letter(finished, given):
    with pytest.raises(DataError, match=r"predict\(\[\.\.\.\]\)"):
        finished.predict(given)


def test_a_file_in_another_encoding_is_answered_when_that_is_named(finished, tmp_path):
    path = tmp_path / "old.csv"
    path.write_bytes("review\ngood caf\u00e9\n".encode("cp1252"))
    refused = command("predict", finished.path, path)
    assert refused.returncode == 4
    assert "--encoding cp1252" in refused.stderr
    done = command("predict", finished.path, path, "--encoding", "cp1252")
    assert json.loads(done.stdout)["review"] == "good caf\u00e9"


@pytest.mark.parametrize(("file", "held"), [("task.json", None), ("model/model.safetensors", b"")])
def test_a_run_whose_files_were_damaged_says_so(finished, tmp_path, file, held):
    import shutil

    folder = shutil.copytree(finished.path, tmp_path / "run")
    (folder / file).unlink()
    if held is not None:
        (folder / file).write_bytes(held)
    done = command("predict", folder, "-", input="good kettle\n")
    assert done.returncode == 2, done.stderr
    assert "not whole any more" in done.stderr


def test_lines_of_standard_input_are_answered(finished):
    done = command("predict", finished.path, "-", input="good kettle\nbad kettle\n")
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()] == ["good", "bad"]


def test_what_is_too_long_to_be_read_whole_is_told_and_so_is_how_far_it_is(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "SILENT", 0.0)
    path, said = tmp_path / "new.csv", []
    path.write_text(f"review\ngood kettle\n{'bad ' * 200}\n", encoding="utf-8")
    answers.write(str(finished.path), str(path), out=str(tmp_path / "out.csv"), say=said.append)
    assert said[0] == "2 of 2 rows answered (100%)"
    assert said[1].startswith("1 of 2 rows is longer than the 24 tokens")


def test_json_output_is_one_object_a_line(checkpoints, reviews, tmp_path):
    words = ("train", reviews, *QUICK, "--model", checkpoints("bert"), "--out", tmp_path / "run", "--json")
    done = command(*words)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "result"
    assert {"stepped", "evaluated", "saved", "finished"} <= {event["event"] for event in events}
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("long_texts", ["truncate", "head_tail", "windows"])
def test_long_texts_are_cut_alike_in_training_and_serving(checkpoints, tmp_path, long_texts):
    import tiny

    rows = [(f"{'so it was ' * 20}{text}", label) for text, label in tiny.rows(60)]
    data = tmp_path / "long.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    run = attune.train(
        data,
        *QUICK,
        "train.epochs=1",
        f"model.long_texts={long_texts}",
        out=tmp_path / "run",
        model=checkpoints("bert"),
    )
    cut = rundir.RunDir(run.path).read("data.json")["splits"]["train"]["cut_rows"]
    assert cut == (0.0 if long_texts == "windows" else 1.0)
    lines = (run.path / "predictions/test.jsonl").read_text(encoding="utf-8").splitlines()
    stored = [json.loads(line) for line in lines]
    found = run.predict([row["text"] for row in stored])
    for row, prediction in zip(stored, found, strict=True):
        assert prediction.probabilities == pytest.approx(row["probabilities"], abs=1e-5)


def _started(checkpoints, data, folder):
    words = ("train", data, *QUICK, "train.patience=0")
    words = (*words, "--model", checkpoints("bert"), "--out", folder, "--json")
    command_line = [sys.executable, "-m", "attune.cli", *map(str, words)]
    return subprocess.Popen(
        command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def _weights(run):
    return (run / "model/model.safetensors").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_saves_and_stops_and_resuming_gives_the_same_bits(checkpoints, reviews, tmp_path, number):
    whole = _started(checkpoints, reviews, tmp_path / "whole")
    whole.communicate()
    begun = _started(checkpoints, reviews, tmp_path / "cut")
    for line in begun.stdout:
        if json.loads(line)["event"] == "stepped" and json.loads(line)["step"] >= 7:
            begun.send_signal(number)
            break
    begun.communicate()
    assert begun.returncode == 130
    assert rundir.RunDir(tmp_path / "cut").read("run.json")["status"] == "stopped"
    done = command("resume", tmp_path / "cut")
    assert done.returncode == 0, done.stderr
    assert re.search(r"goes on after step \d+", done.stdout + done.stderr)
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_moments_change_no_bit_of_the_result(checkpoints, reviews, tmp_path):
    whole = _started(checkpoints, reviews, tmp_path / "whole")
    began = time.monotonic()
    whole.communicate()
    length = time.monotonic() - began
    random = np.random.default_rng(20)
    for trial, moment in enumerate(random.uniform(0.25, 0.98, 20)):
        folder = tmp_path / f"cut{trial}"
        killed = _started(checkpoints, reviews, folder)
        time.sleep(moment * length)
        killed.kill()
        killed.communicate()
        if not (folder / "run.json").exists():
            continue  # killed before there was a run to resume
        if rundir.RunDir(folder).read("run.json")["status"] != "finished":
            done = command("resume", folder)
            assert done.returncode == 0, (trial, moment, done.stderr)
        assert _weights(folder) == _weights(tmp_path / "whole"), (trial, moment)
        events = [
            (e["event"], e["step"])
            for e in rundir.RunDir(folder).events()
            if e["event"] in ("stepped", "evaluated")
        ]
        assert len(events) == len(set(events))


def test_a_run_that_began_with_relative_paths_is_resumed_from_any_folder(
    checkpoints, reviews, tmp_path, monkeypatch
):
    model = os.path.relpath(checkpoints("bert"), reviews.parent)
    monkeypatch.chdir(reviews.parent)
    words = (*QUICK, f"data.valid={reviews.name}", "data.test_share=0.2")
    recipe = recipe_file.load(reviews.name, words, {"model.base": model})
    folder = runs.start(runs.plan(recipe), "run")
    events = runs.train(runs.plan(recipe), folder)
    next(events)
    events.close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ready, again = runs.reopen("../run")
    assert ready.rows.tables["train"].path == str(reviews)
    runs.drained(runs.train(ready, again))
    assert again.read("run.json")["status"] == "finished"


def test_the_plan_says_which_splits_were_given_and_what_is_read(checkpoints, reviews):
    import tiny

    from attune.spoken import planned

    knobs = {"model.base": checkpoints("bert")}
    words = ("train.epochs=1", "train.lr=0.1")
    own = dict(planned(runs.plan(recipe_file.load(str(reviews), words, knobs))))
    assert own["rows"].endswith("stratified, near-duplicates kept together")
    assert "every training text is read whole" in own["length"]
    assert own["train"].startswith("1 epoch, about")
    other = tiny.reviews(reviews.parent / "test.csv", 30)
    words = ("train.epochs=2", "train.lr=0.1", "model.max_tokens=5")
    given = runs.plan(recipe_file.load(str(reviews), words, {**knobs, "data.test": str(other)}))
    one = dict(planned(given))
    assert "valid held out of train" in one["rows"]
    assert one["train"].startswith("2 epochs, about")
    assert "of the tokens are not read" in one["length"]
    valid = {**knobs, "data.test": str(other), "data.valid": str(other)}
    both = dict(planned(runs.plan(recipe_file.load(str(reviews), words, valid))))
    assert both["rows"].endswith("split as given")


def test_only_the_copy_in_the_run_folder_gets_absolute_paths(reviews, monkeypatch):
    monkeypatch.chdir(reviews.parent)
    recipe = recipe_file.load(reviews.name, [], {"data.test": "no/such/hub"})
    anchored = recipe_file.anchored(recipe)
    assert recipe.data.train == reviews.name
    assert anchored.data.train == str(reviews)
    assert (anchored.data.valid, anchored.data.test) == ("", "no/such/hub")
    assert anchored.model.base == "starter/bert"


@pytest.mark.parametrize("rust", [False, True], ids=["python", "rust"])
def test_a_full_disk_leaves_the_last_good_checkpoint_and_a_sentence(
    checkpoints, reviews, tmp_path, monkeypatch, rust
):
    import errno

    from safetensors import SafetensorError

    from attune.errors import MachineError
    from attune.training import checkpoint
    from attune.training.events import Saved

    ready = runs.plan(recipe_file.load(str(reviews), QUICK, {"model.base": checkpoints("bert")}))
    folder = runs.start(ready, str(tmp_path / "run"))
    events = runs.train(ready, folder)
    first = next(event for event in events if isinstance(event, Saved))

    def full(*_):
        if rust:
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(MachineError, match="disk is full"):
        runs.drained(events)
    monkeypatch.undo()
    kept = Store(folder.checkpoints)
    assert kept.newest_step() == first.step
    assert folder.read("run.json")["status"] == "failed"
    ready, folder = runs.reopen(str(folder.path))
    runs.drained(runs.train(ready, folder))
    assert folder.read("run.json")["status"] == "finished"


def test_a_run_that_cannot_be_saved_when_it_is_left_is_not_said_to_be(
    checkpoints, reviews, tmp_path, monkeypatch
):
    import errno

    from attune import interrupts
    from attune.errors import MachineError
    from attune.training import checkpoint
    from attune.training.events import Stepped

    ready = runs.plan(recipe_file.load(str(reviews), QUICK, {"model.base": checkpoints("bert")}))
    folder = runs.start(ready, str(tmp_path / "run"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def draw(events):
        for event in events:
            if isinstance(event, Stepped):
                monkeypatch.setattr(checkpoint, "save_file", full)
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(MachineError, match="disk is full"):
        interrupts.followed(runs.train(ready, folder), draw)
    assert folder.read("run.json")["status"] == "failed"


@pytest.fixture
def stopped(checkpoints, reviews, tmp_path):
    """The folder of a run that was stopped at its beginning."""
    ready = runs.plan(recipe_file.load(str(reviews), QUICK, {"model.base": checkpoints("bert")}))
    folder = runs.start(ready, str(tmp_path / "run"))
    events = runs.train(ready, folder)
    next(events)
    events.close()
    return folder


def test_a_run_whose_recipe_was_changed_is_not_resumed(stopped):
    path = stopped.path / "recipe.yaml"
    held = path.read_text(encoding="utf-8")
    path.write_text(held.replace("clip: 1.0", "clip: 0.5"), encoding="utf-8")
    with pytest.raises(RecipeError, match="the recipe is not what it was"):
        runs.reopen(str(stopped.path))
    path.write_text(held, encoding="utf-8")
    runs.reopen(str(stopped.path))


def test_a_run_whose_file_was_changed_says_so_once(stopped, reviews):
    reviews.write_text(reviews.read_text(encoding="utf-8").replace("kettle", "bottle"), encoding="utf-8")
    with pytest.raises(DataError, match="the file is not what it was") as caught:
        runs.reopen(str(stopped.path))
    assert len(caught.value.problems) == 1  # though it holds all three parts


def test_attribution_finds_the_word_that_tells(finished):
    from attune.predictor import open_run
    from attune.trust.attribution import word_weights

    model = open_run(str(finished.path))
    text = "the kettle was  so good and slow"
    (words,) = word_weights(model.model, model.encoder, [text], model.task.labels.index("good"))
    assert "".join(word["text"] for word in words) == text
    assert max(words, key=lambda word: word["weight"])["text"].strip() == "good"
    assert max(abs(word["weight"]) for word in words) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("long_texts", "mark", "read"),
    [
        ("truncate", "cut", [*range(21)]),
        ("head_tail", "cut", [*range(11), *range(29, 39)]),
        ("windows", "unexplained", [*range(21)]),
    ],
)
def test_words_that_attribution_does_not_reach_are_marked(checkpoints, long_texts, mark, read):
    from attune.models import load, tokens
    from attune.trust.attribution import word_weights

    base = checkpoints("bert")
    room = 21
    encoder = tokens.TextEncoder(load.tokenizer(base), max_tokens=room + 2, long_texts=long_texts)
    model = load.backbone(base, "classification", ["bad", "good"], seed=1)
    # "ok" is of two tokens, of which head_tail reads the second: a word that is read in part is read
    text = " ".join(["very"] * 29 + ["ok"] + ["very"] * 9)
    assert len(encoder.spans(text)) == 40
    (words,) = word_weights(model, encoder, [text], 1)
    assert "".join(word["text"] for word in words) == text
    assert [place for place, word in enumerate(words) if not word.get(mark)] == read
    assert all(word["weight"] == 0 for word in words if word.get(mark))
    assert not any(
        word.get("cut") or word.get("unexplained") for word in word_weights(model, encoder, ["so"], 1)[0]
    )


def test_words_of_both_texts_of_a_pair_are_weighed_together(checkpoints):
    from attune.models import load, tokens
    from attune.trust.attribution import word_weights

    base = checkpoints("bert")
    encoder = tokens.TextEncoder(load.tokenizer(base), max_tokens=23)
    model = load.backbone(base, "classification", ["bad", "good"], seed=1)
    texts = ["the kettle  is good", " ".join(["very"] * 30)]
    first, second = word_weights(model, encoder, texts, 1)
    assert ["".join(word["text"] for word in words) for words in (first, second)] == texts
    assert not any(word.get("cut") for word in first)
    assert [place for place, word in enumerate(second) if not word.get("cut")] == [*range(16)]
    assert max(abs(word["weight"]) for word in (*first, *second)) == pytest.approx(1.0)
    assert all(word["weight"] for word in (*first, *second[:16]))


def test_a_run_that_still_goes_on_is_not_resumed_a_second_time(checkpoints, reviews, tmp_path):
    begun = _started(checkpoints, reviews, tmp_path / "run")
    next(line for line in begun.stdout if json.loads(line)["event"] == "stepped")
    begun.send_signal(signal.SIGSTOP)
    done = command("resume", tmp_path / "run")
    begun.kill()
    begun.communicate()
    assert done.returncode == 2
    assert "still going on" in done.stderr
    assert command("resume", tmp_path / "run").returncode == 0
