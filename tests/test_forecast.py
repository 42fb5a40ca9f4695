"""The plan of a training: it tries steps, leaves nothing, changes nothing, and cuts what does not fit."""

from __future__ import annotations

import json
import tempfile

import numpy as np
import pytest
import tiny
from typer.testing import CliRunner

from attune import cli, forecast, recipe_file, run
from attune.errors import RecipeError
from attune.models import methods
from attune.training.checkpoint import Store


@pytest.fixture
def knobs(checkpoints):
    """A small recipe."""
    return ["train.epochs=4", "train.batch=16", "train.lr=3e-3", f"model.base={checkpoints('bert')}"]


@pytest.fixture
def ready(tmp_path, knobs):
    """A plan for eighty reviews."""
    return run.plan(recipe_file.load(str(tiny.reviews(tmp_path / "r.csv")), knobs, {}))


def test_a_forecast_counts_what_the_run_then_does(ready, tmp_path):
    told = forecast.forecast(ready)
    events = list(run.train(ready, run.start(ready, str(tmp_path / "run"))))
    kinds = [type(event).__name__ for event in events]
    assert told.steps == kinds.count("Stepped")
    assert told.evaluations >= kinds.count("Evaluated")
    assert 0 < told.step_seconds < 600
    assert 0 < told.evaluation_seconds < 600
    assert 0 < told.measuring_seconds < 600
    assert 0 < told.start_seconds < 600
    training = told.start_seconds + told.step_seconds + told.evaluation_seconds
    assert told.total_seconds == pytest.approx(training + told.measuring_seconds)
    assert 100 < told.peak_memory_mib < told.free_memory_mib


@pytest.mark.parametrize("method", ["head", "last"])
def test_the_memory_of_what_frozen_layers_give_is_foreseen(tmp_path, knobs, method):
    words = [*knobs, f"method.name={method}"]
    ready = run.plan(recipe_file.load(str(tiny.reviews(tmp_path / "r.csv")), words, {}))
    trial = run.fitting(ready, Store(tmp_path / "store"))
    _, foreseen = forecast._keeping(trial)
    for features in (trial.train, trial.valid):
        list(trial.kept.fill((features, np.arange(len(features)))))
    held = sum(trial.kept.needed(features) for features in (trial.train, trial.valid))
    assert foreseen * 2**20 == pytest.approx(held, rel=0.2)


def test_planning_leaves_no_file_and_does_not_change_the_run(tmp_path, knobs, monkeypatch):
    path = tiny.reviews(tmp_path / "r.csv")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    weights = []
    for planned in (False, True):
        ready = run.plan(recipe_file.load(str(path), knobs, {}))
        if planned:
            forecast.forecast(ready)
        folder = run.start(ready, str(tmp_path / f"run{planned}"))
        run.drained(run.train(ready, folder))
        weights.append((folder.model / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(("seconds", "epochs"), [(1000, 4.0), (255, 2.0), (205, 1.0), (100, 0.4), (60, None)])
def test_a_budget_takes_as_many_epochs_as_fit(ready, monkeypatch, seconds, epochs):
    told = forecast.Forecast(
        20, 100.0, 360.0, 4, 40.0, 50.0, 900.0, 9000.0, 20.0
    )  # 100 s an epoch, then 50 s
    monkeypatch.setattr(forecast, "forecast", lambda _: told)
    if epochs is None:
        with pytest.raises(RecipeError, match="a tenth of an epoch"):
            forecast.within(ready, seconds)
        return
    fitted, fewer = forecast.within(ready, seconds)
    assert fitted.recipe.train.epochs == epochs
    assert fewer.total_seconds <= max(seconds, told.total_seconds * (epochs == 4))
    assert (fitted is ready) == (epochs == 4)
    assert fitted.steps == fewer.steps == max(1, round(ready.steps * epochs / 4)) or epochs == 4


def test_what_is_known_of_a_plan_is_not_tried_again(ready, monkeypatch):
    told = forecast.Forecast(20, 100.0, 360.0, 4, 40.0, 50.0, 900.0, 9000.0, 20.0)
    monkeypatch.setattr(forecast, "forecast", lambda _: pytest.fail("tried again"))
    assert forecast.within(ready, float("inf"), (ready, told)) == (ready, told)


@pytest.mark.parametrize(("seconds", "epochs"), [(400, 3.0), (250, 1.0), (150, 0.7)])
def test_a_budget_for_one_epoch_does_not_pay_for_what_only_more_would_keep(
    ready, monkeypatch, seconds, epochs
):
    def told(ready):
        many = ready.recipe.train.epochs
        kept = 250.0 if many > 1 else 0.0
        each = 30.0 if many > 1 else 150.0
        return forecast.Forecast(
            20, 100.0, each * many, int(many), 10.0 * many, 30.0, 900.0, 9000.0, 20.0, kept
        )

    monkeypatch.setattr(forecast, "forecast", told)
    fitted, fewer = forecast.within(ready, seconds)
    assert fitted.recipe.train.epochs == epochs
    assert fewer.total_seconds <= seconds
    assert (fewer.kept_seconds > 0) == (epochs > 1)


@pytest.mark.parametrize(("word", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_a_budget_is_a_number_with_a_unit(word, seconds):
    assert forecast.seconds_of(word) == seconds


def test_methods_are_compared_and_the_plan_is_as_it_was(ready):
    before = (ready.recipe, ready.trained)
    found = forecast.by_method(ready)
    assert set(found) == set(methods.CATALOGUE)
    assert (ready.recipe, ready.trained) == before
    assert found["full"][0] is ready
    rates = {name: other.recipe.train.lr for name, (other, _) in found.items()}
    assert rates == {"full": 3e-3, "last": 3e-3, "lora": 3e-3, "head": 3e-3}  # that of the recipe
    assert all(other.recipe.method.name == name for name, (other, _) in found.items())
    assert found["head"][1].kept_seconds > 0 == found["full"][1].kept_seconds


def test_the_command_tells_what_each_method_takes_and_why_one_cannot_be_had(tmp_path, checkpoints):
    path = str(tiny.reviews(tmp_path / "r.csv"))
    knobs = ["train.epochs=1", f"model.base={checkpoints('albert')}"]
    told = CliRunner().invoke(cli.app, ["plan", path, *knobs, "--methods", "--json"])
    assert told.exit_code == 0
    found = {line["name"]: line for line in map(json.loads, told.stdout.splitlines()) if "name" in line}
    assert set(found) == set(methods.CATALOGUE)
    assert "share" in found["last"]["problem"]
    assert found["full"]["event"] == "method"
    spoken = CliRunner().invoke(cli.app, ["plan", path, *knobs, "--methods"]).stderr
    assert "method.name=" in spoken
    assert "the head:" in spoken


@pytest.mark.parametrize("word", ["", "10", "m", "-3m", "nanm", "10 minutes", "infs"])
def test_other_budgets_are_refused_with_examples(word):
    with pytest.raises(RecipeError, match=r"1\.5h"):
        forecast.seconds_of(word)


def test_the_command_tells_time_memory_and_the_command_to_start(tmp_path, knobs):
    path = str(tiny.reviews(tmp_path / "r.csv"))
    told = CliRunner().invoke(cli.app, ["plan", path, *knobs, "--json"])
    assert told.exit_code == 0
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["event"] == "forecast"
    assert found["train"].startswith(path)
    assert np.isfinite(found["total_seconds"])
    assert CliRunner().invoke(cli.app, ["plan", path, "--budget", "soon"]).exit_code == 2


def test_the_command_takes_the_options_of_training_and_tells_them_with_the_name_it_was_called_by(
    tmp_path, knobs, monkeypatch
):
    monkeypatch.setenv("ATTUNE_CALLED", "./attune")
    path = str(tiny.reviews(tmp_path / "my reviews.csv"))
    told = CliRunner().invoke(cli.app, ["plan", path, *knobs, "--text", "review", "--label", "sentiment"])
    assert told.exit_code == 0
    options = "--text review --label sentiment"
    assert f"./attune train '{path}' {' '.join(knobs)} {options}" in " ".join(told.stderr.split())
    wrong = CliRunner().invoke(cli.app, ["plan", path, "--text", "reviev"])
    assert wrong.exit_code == 4
    assert "'review'" in wrong.stderr


def test_training_within_a_budget_ends_with_fewer_epochs(tmp_path, knobs, monkeypatch):
    path = str(tiny.reviews(tmp_path / "r.csv"))
    told = forecast.Forecast(20, 100.0, 360.0, 4, 40.0, 50.0, 900.0, 9000.0, None)
    monkeypatch.setattr(forecast, "forecast", lambda _: told)
    done = CliRunner().invoke(
        cli.app, ["train", path, *knobs, "--budget", "160s", "--out", str(tmp_path / "run")]
    )
    assert done.exit_code == 0, done.output
    assert "epochs: 1.0" in (tmp_path / "run" / "recipe.yaml").read_text()
