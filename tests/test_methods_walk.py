"""Runs with a method, from a file to a finished folder: what is planned, stored, told and resumed."""

from __future__ import annotations

import numpy as np
import peft
import pytest
import tiny
import torch
import transformers

import attune
from attune import forecast, recipe_file, rundir
from attune import run as runs
from attune.report.content import content
from attune.spoken import planned
from attune.training.events import Stepped

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT's own
QUICK = ("train.epochs=8", "train.batch=16", "train.lr=1e-2")
LORA = ("method.name=lora", "method.rank=4", "method.targets=all-linear")


def plan(data, base, *words):
    return runs.plan(recipe_file.load(str(data), words, {"model.base": base}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkpoints):
    folder = tmp_path_factory.mktemp("lora")
    data = tiny.reviews(folder / "reviews.csv", 120)
    return attune.train(data, *QUICK, *LORA, out=folder / "run", model=checkpoints("bert"))


def test_a_run_with_lora_holds_an_adapter_and_a_merged_model_that_say_the_same(finished, checkpoints):
    run = rundir.RunDir(finished.path)
    assert finished.metrics["test"]["f1_macro"]["value"] > 0.9
    assert run.read("parity.json")["same"]
    loader = transformers.AutoModelForSequenceClassification
    merged = loader.from_pretrained(run.model).eval()
    assert not any("lora" in name for name in merged.state_dict())
    base = loader.from_pretrained(checkpoints("bert"), num_labels=2)
    adapted = peft.PeftModel.from_pretrained(base, run.path / "adapter").eval()
    ids = torch.randint(5, 40, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, adapted(ids).logits, atol=1e-5, rtol=1e-5)


def test_the_run_and_its_report_say_what_was_trained(finished):
    run = rundir.RunDir(finished.path)
    told = run.read("details.json")["method"]
    assert told["sentence"].startswith("LoRA of rank 4 on every matrix of the layers, and the head: ")
    assert 0 < told["trained"] < told["weights"]
    facts = {fact["name"]: fact["value"] for fact in content(finished.path)["learning"]["facts"]}
    assert facts["Trained"] == told["sentence"]
    assert finished.predict(["good kettle"])[0].label == "good"


@pytest.mark.parametrize(
    ("words", "said", "keeps"),
    [
        ((), "all weights: ", False),
        (("method.name=head",), "the head: 1,122 of ", True),
        (("method.name=last", "method.layers=1"), "the last layer and the head: ", True),
        (("method.name=last", "method.cache=off"), "the last 2 layers and the head: ", False),
        (("method.name=last", "train.epochs=1"), "the last 2 layers and the head: ", False),
        (LORA, "LoRA of rank 4", False),
    ],
)
def test_the_plan_says_what_is_trained(checkpoints, reviews, words, said, keeps):
    ready = plan(reviews, checkpoints("bert"), *words)
    lines = dict(planned(ready))
    assert lines["method"].startswith(said)
    assert lines["method"].endswith("is computed once and kept") == keeps == ready.keeps


def test_the_usual_rate_is_ten_times_higher_where_little_is_trained(checkpoints, reviews):
    for words, lr in (((), 1e-4), (("method.name=last",), 1e-4), (LORA, 1e-3), (("method.name=head",), 1e-3)):
        assert plan(reviews, checkpoints("bert"), *words).recipe.train.lr == pytest.approx(lr)
    assert plan(reviews, checkpoints("bert"), *LORA, "train.lr=2e-4").recipe.train.lr == 2e-4


def test_a_family_without_a_cache_trains_its_last_layers_all_the_same(checkpoints, reviews):
    ready = plan(reviews, checkpoints("mpnet"), "method.name=last")
    assert not ready.keeps
    assert "kept" not in dict(planned(ready))["method"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [LORA, ("method.name=last",), ("method.name=head",)], ids=str)
def test_a_run_that_was_left_is_resumed_to_the_same_bits(checkpoints, reviews, tmp_path, words):
    whole = attune.train(reviews, *QUICK, *words, out=tmp_path / "whole", model=checkpoints("bert"))
    ready = plan(reviews, checkpoints("bert"), *QUICK, *words)
    events = runs.train(ready, runs.start(ready, str(tmp_path / "cut")))
    next(event for event in events if isinstance(event, Stepped) and event.step == 7)
    events.close()
    runs.drained(runs.train(*runs.reopen(str(tmp_path / "cut"))))
    one, two = (np.load(folder / "parity.npz")["logits"] for folder in (whole.path, tmp_path / "cut"))
    assert (one == two).all()
    weights = [(path / "model" / "model.safetensors").read_bytes() for path in (whole.path, tmp_path / "cut")]
    assert weights[0] == weights[1]


def test_a_forecast_counts_what_is_computed_once(checkpoints, reviews):
    for words, once in ((("method.name=last",), True), (("method.name=head",), True), ((), False)):
        ready = plan(reviews, checkpoints("bert"), *QUICK, *words)
        told = forecast.forecast(ready)
        assert (told.kept_seconds > 0) == once
        before = told.start_seconds + told.kept_seconds
        assert told.seconds == pytest.approx(before + told.step_seconds + told.evaluation_seconds)
        assert not ready.with_epochs(1.0).keeps


@pytest.mark.parametrize("name", ["lora", "last", "head"])
def test_a_chain_over_tags_learns_with_every_method(checkpoints, tmp_path, name):
    rows = [" ".join(text.split()) for text, _ in tiny.rows(60)]
    lines = ["\n".join(f"{w} {'B-A' if w in ('good', 'bad') else 'O'}" for w in row.split()) for row in rows]
    (tmp_path / "tags.conll").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    words = ("task.options.crf=true", "train.epochs=2", "train.lr=1e-2", f"method.name={name}")
    ready = plan(tmp_path / "tags.conll", checkpoints("bert"), *words)
    folder = runs.start(ready, str(tmp_path / "run"))
    runs.drained(runs.train(ready, folder))
    assert np.abs(folder.read("task.json")["steps"]).max() > 0
    assert folder.read("parity.json")["same"]
