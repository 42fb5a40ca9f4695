"""Answers whose products are taken in int8: the kernels, the layers of BERT's kin, and what it is said to cost."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import exactly

import attune
from attune import answers, machine, predictor, rounding, rundir
from attune.errors import MachineError, Problem
from attune.models import load
from attune.models.kernels import integers

KEPT = "rounding_int8.json"
LIKE_BERT = ("bert", "roberta", "albert", "distilbert", "electra")


def standing_for(short):
    return short.numbers.double() * short.scales.double()[:, None]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.floats(-30, 30), st.integers(0, 99))
def test_int8_numbers_are_within_half_a_step_of_what_they_stand_for(rows, width, size, seed):
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 10.0**size
    short = integers.Short.of(x)
    assert (short.numbers.abs().amax(1) == 127).all()  # the largest of a row is met
    apart = (standing_for(short) - x.double()).abs()
    assert (apart <= short.scales.double()[:, None] * 0.5001).all()


def test_a_row_of_zeros_stays_one_and_what_is_no_number_is_not_hidden():
    x = torch.tensor([[0.0, 0.0], [1.0, float("nan")], [float("inf"), 1.0], [1.0, -2.0]])
    short = integers.Short.of(x)
    assert short.numbers[0].tolist() == [0, 0]
    assert not torch.isfinite(short.scales[1:3]).any()
    assert short.numbers[3].tolist() == [64, -127]
    assert torch.isfinite(short.scales[3])


@pytest.mark.skipif(not machine.int8(), reason="this processor has no VNNI")
def test_sums_of_the_largest_products_do_not_saturate():
    a, b = torch.full((9, 3072), 127, dtype=torch.int8), torch.full((5, 3072), -127, dtype=torch.int8)
    a[::2] = -127
    assert torch.equal(integers.multiply(a, b.t()), exactly(a, b.t()))


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("rows", [1, 33, 70])
def test_the_parts_are_those_of_torch_on_the_rounded_factors(vnni, rows, tanh, monkeypatch):
    monkeypatch.setattr(integers, "ROWS", 32)
    torch.manual_seed(rows)
    up, down, norm = torch.nn.Linear(24, 40), torch.nn.Linear(40, 24), torch.nn.LayerNorm(24, eps=1e-12)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(rows, 24)
    with torch.inference_mode():
        wide, narrow = integers.Product.of(up), integers.Product.of(down)
        states = integers.Short.of(x)
        made = wide(states)
        expected = standing_for(states) @ standing_for(wide.matrix).t() + up.bias
        torch.testing.assert_close(made.double(), expected.double(), atol=1e-5, rtol=1e-5)
        active = integers.Short.of(torch.nn.functional.gelu(made, approximate="tanh" if tanh else "none"))
        expected = standing_for(active) @ standing_for(narrow.matrix).t() + down.bias
        normed = norm.double()((expected + x).double())
        near = integers.feed_forward(x, wide, narrow, norm.float(), tanh=tanh)
    # a number that lies between two steps may go either way
    torch.testing.assert_close(near.double(), normed, atol=0.03, rtol=0.03)
    assert (near - normed).abs().mean() < 1e-3


@pytest.mark.parametrize(("precision", "near"), [("bfloat16", 5e-2), ("int8", 0.1)])
@pytest.mark.parametrize("family", LIKE_BERT)
def test_answers_in_a_lower_precision_are_near_and_training_is_as_it_was(
    vnni, checkpoints, family, precision, near
):
    backbone = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3)
    stream = tiny.stream([np.arange(5, 5 + length) for length in (9, 4, 4, 12, 1)])

    def answered():
        backbone.model.eval()
        with torch.inference_mode():
            return backbone.hidden(stream, torch.arange(30)), backbone.classify(stream)

    def trained():
        backbone.model.train()
        torch.manual_seed(4)
        return backbone.classify(stream).detach()

    exact, before = answered(), trained()
    assert backbone.answer_in(precision)
    short = answered()
    assert not torch.equal(short[0], exact[0])
    for one, other in zip(short, exact, strict=True):
        torch.testing.assert_close(one, other, atol=near, rtol=near)
    assert torch.equal(trained(), before)
    if precision == "int8":  # whole numbers: no order of sums changes a bit
        threads = torch.get_num_threads()
        torch.set_num_threads(3 - min(threads, 2))
        again = answered()
        torch.set_num_threads(threads)
        assert torch.equal(again[0], short[0])
    assert backbone.answer_in("float32")
    assert torch.equal(answered()[0], exact[0])


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_other_layers_say_that_they_answer_in_float32_alone(vnni, checkpoints, family, precision):
    assert not load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3).answer_in(precision)


@pytest.fixture(scope="module")
def finished(checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    quick = ("train.epochs=8", "train.batch=16", "train.lr=3e-3")
    run = attune.train(
        tiny.reviews(folder / "reviews.csv", 160), *quick, out=folder / "run", model=checkpoints("bert")
    )
    return rundir.RunDir(run.path)


def test_what_int8_costs_is_measured_once_on_the_test_rows_and_said(vnni, finished, tmp_path, monkeypatch):
    file = tmp_path / "new.csv"
    file.write_text("review\nthe kettle is good\nthe kettle is bad\n", encoding="utf-8")
    said = []
    for name in ("a.csv", "b.csv"):
        out = str(tmp_path / name)
        answers.write(str(finished.path), str(file), out=out, precision="int8", say=said.append)
        monkeypatch.setattr(rounding, "_measured", None)  # the second time it is read
    measuring, *said = said
    assert measuring == "first measures on the run's test rows what int8 costs ..."
    assert said[0] == said[2]
    rows = len(list(finished.lines("predictions/test.jsonl")))
    assert said[0].startswith(f"int8: {rows} of {rows} test rows get the same answer as in float32 (")
    assert "; macro-F1 0.0 points against float32; accuracy 0.0 points against float32" in said[0]
    assert said[1] == f"2 rows answered: {tmp_path / 'a.csv'}"
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def fresh(run):
    """The run without what was measured on it, opened in int8."""
    (run.path / KEPT).unlink(missing_ok=True)
    return predictor.open_run(str(run.path), precision="int8")


def test_what_int8_costs_is_what_its_answers_say(vnni, finished, monkeypatch):
    ours = fresh(finished)
    monkeypatch.setattr(
        integers, "multiply", lambda a, b: 1000 * exactly(a.roll(1, 1), b)
    )  # breaks the model
    cost = rounding.cost(ours)
    rows = [json.loads(line) for line in finished.lines("predictions/test.jsonl")]
    told = [answer.label for answer in ours.predict([row["text"] for row in rows])]
    exact = [row["predicted"] for row in rows]
    assert cost.changed == sum(a != b for a, b in zip(told, exact, strict=True)) > 0
    right, before = (
        np.mean([a == row["label"] for a, row in zip(of, rows, strict=True)]) for of in (told, exact)
    )
    (accuracy,) = (gap["difference"] for gap in cost.differences if gap["metric"] == "accuracy")
    assert accuracy == pytest.approx(right - before)
    assert accuracy < 0
    assert f"accuracy {100 * accuracy:.1f} points [" in str(cost)


def test_measuring_leaves_the_predictor_as_it_was(vnni, finished, monkeypatch):
    ours = fresh(finished)
    layers, before = ours.model.layers, ours.predict(["the kettle is good"])
    seen = []
    real = rounding.predictions

    def watched(*given):
        seen.append(ours.predict(["the kettle is good"]))  # meanwhile, as another thread would
        return real(*given)

    monkeypatch.setattr(rounding, "predictions", watched)
    rounding.cost(ours)
    assert seen == [before, before]
    assert ours.model.layers is layers


@pytest.mark.parametrize("held", ["", "[]", '{"precision": "int8", "rows": 3}', "folder", "old"])
def test_what_was_kept_and_does_not_fit_is_measured_anew(vnni, finished, held):
    ours = fresh(finished)
    expected = rounding.cost(ours)
    path = finished.path / KEPT
    path.unlink()
    if held == "folder":
        path.mkdir()
    elif held == "old":
        kept = {**asdict(expected), "changed": 7, "measured": {**expected.measured, "attune": "0.0.0"}}
        path.write_text(json.dumps(kept), encoding="utf-8")
    else:
        path.write_text(held, encoding="utf-8")
    assert rounding.cost(ours) == expected
    path.rmdir() if held == "folder" else path.unlink()


def test_a_run_that_cannot_be_written_to_answers_all_the_same(vnni, finished, monkeypatch):
    ours = fresh(finished)

    def refuse(name, value):
        raise MachineError(Problem(name, "the folder is read-only"))

    monkeypatch.setattr(finished, "write", refuse)
    ours.run, said = finished, []
    assert rounding.told(ours, said.append).startswith("int8: ")
    assert said[-1] == "the run's folder cannot be written to, so this will be measured again"
    assert not (finished.path / KEPT).exists()


def copied(finished, tmp_path, change):
    """Another run of the same model, with other lines of test rows."""
    shutil.copytree(finished.path, tmp_path / "run")
    path = tmp_path / "run" / "predictions/test.jsonl"
    lines = change(path.read_text(encoding="utf-8").splitlines(keepends=True))
    path.write_text("".join(lines), encoding="utf-8")
    return predictor.open_run(str(tmp_path / "run"), precision="int8")


def lengthened(line):
    return line.replace('"text": "', f'"text": "{"so " * 90_000}')


CHANGES = {  # of the lines of test rows; how many can be drawn of so many
    "cut": (lambda lines: [*lines[:-1], lines[-1][:20]], lambda whole: whole - 1),
    "one is long": (lambda lines: [*lines[:2], lengthened(lines[2]), *lines[3:]], lambda whole: whole - 1),
    "all are long": (lambda lines: [*map(lengthened, lines)], lambda whole: 1),
    "none": (lambda lines: [], lambda whole: 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_rows_that_are_damaged_too_long_or_not_there_keep_nobody_from_an_answer(
    vnni, finished, tmp_path, name
):
    whole = len(list(finished.lines("predictions/test.jsonl")))
    change, drawn = CHANGES[name]
    cost = rounding.cost(copied(finished, tmp_path, change))
    assert cost.rows == drawn(whole)
    assert ("; damaged lines of predictions/test.jsonl that were passed over: 1" in str(cost)) is (
        name == "cut"
    )
    nothing = str(cost) == "int8: the run has no test rows to measure on what it costs"
    assert nothing is (name == "none")


def test_numbers_say_how_far_they_move_and_few_rows_claim_nothing():
    gap = {"metric": "spearmanr", "difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "n": 9}
    told = str(rounding.Cost("int8", 9, 40, 0, 9, [0.012, 0.11], [gap], {}))
    assert told == (
        "int8: 9 test rows (drawn from 40) get numbers that are 0.012 from float32's in the mean, 0.11 at most; "
        "Spearman correlation 0.000 against float32"
    )
    told = str(rounding.Cost("int8", 1, 1, 0, 0, None, [], {}))
    assert told == "int8: 1 of 1 test row get the same answer as in float32 (95 % interval: 20.7 to 100.0 %)"


def test_no_more_rows_are_drawn_than_two_precisions_take_in_some_seconds(finished, monkeypatch):
    task = predictor.open_run(str(finished.path)).task
    monkeypatch.setattr(rounding, "BYTES", 300)
    few, count, _ = rounding._drawn(finished, task, ["text"])
    assert 1 <= len(few) < count
    assert sum(map(len, few.column("text"))) <= 300
    assert list(rounding._drawn(finished, task, ["text"])[0].column("text")) == list(few.column("text"))


def test_a_processor_whose_sums_saturate_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "int8", lambda: True)
    monkeypatch.setattr(machine, "kernels", lambda: "on")
    monkeypatch.setattr(integers, "multiply", lambda a, b: exactly(a, b).clamp(-(2**15), 2**15))
    with pytest.raises(attune.errors.RecipeError, match="no products in int8"):
        predictor._check("int8", "cpu")


def test_kernels_that_are_off_are_the_reason_that_is_told(monkeypatch):
    monkeypatch.setenv("ATTUNE_KERNELS", "0")
    with pytest.raises(attune.errors.RecipeError, match="need the compiled kernels; found off"):
        predictor._check("bfloat16", "cpu")


def test_training_forgets_the_matrices_that_answered(vnni, checkpoints):
    backbone = load.backbone(checkpoints("bert"), "classification", ["a", "b"], seed=3)
    assert backbone.answer_in("int8")
    backbone.train()
    assert all(layer.answers == "float32" for layer in backbone.layers)


def test_float32_is_not_measured_against_itself(finished):
    with pytest.raises(attune.errors.RecipeError, match="what the others are measured against"):
        rounding.cost(predictor.open_run(str(finished.path)))


def test_int8_on_a_gpu_is_refused():
    with pytest.raises(attune.errors.RecipeError, match="int8 is for CPUs"):
        predictor._check("int8", "cuda")
