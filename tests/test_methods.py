"""Methods: what is frozen stays what it was, what is trained gets torch's own gradient, wrong wishes are refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file

from attune.errors import RecipeError, TrainingError
from attune.models import load, methods
from attune.models.block import compiled
from attune.recipe import MethodSection
from attune.training.checkpoint import State, Store, verify
from attune.training.optim import adamw

SEQUENCES = [np.arange(5, 5 + length) for length in (9, 4, 4, 12, 1)]
POST_NORM = ("bert", "roberta", "albert", "distilbert", "electra")
COUNTS = {"bert": 3, "modernbert": 3, "gpt2": 3, "llama": 3, "bart": 5, "t5": 5, "mpnet": 3}


HEADS = ("classification", "tagging", "qa")
NEW = ("classifier", "score", "qa_outputs", "classification_head")  # in the names of heads


def method(**knobs):
    return methods.build(**MethodSection(**knobs).model_dump())


def applied(base, head="classification", **knobs):
    torch.manual_seed(3)
    labels = [] if head in ("qa", "similarity") else ["a", "b", "c"]
    model = load.backbone(base, head, labels, seed=3)
    torch.manual_seed(3)
    return method(**knobs).applied(model)


def stream():
    made = [sequence.astype(np.int32) for sequence in SEQUENCES]
    for sequence in made:
        sequence[-1] = tiny.END
    return tiny.stream(made)


def trained(model):
    return {name for name, weight in model.model.named_parameters() if weight.requires_grad}


def gradients(model):
    torch.manual_seed(4)
    model.train()
    model.classify(stream()).square().sum().backward()
    found = {name: weight.grad for name, weight in model.model.named_parameters()}
    model.model.zero_grad()
    return found


# what is trained


@pytest.mark.parametrize("family", [*tiny.KIN, "distilbert", "electra"])
def test_the_last_layer_and_the_head_are_trained_and_nothing_else(checkpoints, family):
    model = applied(checkpoints(family), name="last", layers=1)
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    top = {id(weight) for weight in model.tower()[-1].parameters()}
    head = {id(weight) for part in model.head().values() for weight in part.parameters()}
    ends = {id(weight) for part in model.ends() for weight in part.parameters()}
    names = {name for name, weight in model.model.named_parameters() if id(weight) in top | head | ends}
    assert top and head and names == trained(model)
    assert model.lowest == len(model.tower()) - 1
    found = gradients(model)
    assert {name for name, gradient in found.items() if gradient is not None} <= names
    optimizer = torch.optim.SGD([w for w in model.model.parameters() if w.requires_grad], lr=0.1)
    model.classify(stream()).square().sum().backward()
    optimizer.step()
    after = model.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= names


@pytest.mark.parametrize("name", ["last", "head", "lora"])
@pytest.mark.parametrize("given", [tiny.case(f, h) for f in tiny.FAMILIES for h in HEADS if tiny.has(f, h)])
def test_a_new_head_is_trained_whatever_the_method(checkpoints, given, name):
    family, head = given
    base = checkpoints(family)
    outline = load.outline(base, head, ["a", "b"]).model
    fresh = set(outline.state_dict()) - set(load.outline(base, "similarity", []).model.state_dict())
    heads = {weight for weight in fresh if any(part in weight for part in NEW)}
    assert heads
    if (family, name) == ("albert", "last"):
        return
    model = applied(base, head, name=name, **({"layers": 1} if name == "last" else {}))
    names = {
        weight.replace("modules_to_save.default.", "").removeprefix("base_model.model.")
        for weight in trained(model)
    }
    assert heads <= names


@pytest.mark.parametrize("family", tiny.KIN)
def test_of_the_head_method_only_the_head_is_trained(checkpoints, family):
    model = applied(checkpoints(family), name="head")
    head = {id(weight) for part in model.head().values() for weight in part.parameters()}
    assert trained(model) == {name for name, w in model.model.named_parameters() if id(w) in head}
    assert {n for n, g in gradients(model).items() if g is not None} == trained(model)


@pytest.mark.parametrize("family", [*POST_NORM, "modernbert", "gpt2"])
@pytest.mark.parametrize("knobs", [{"name": "last", "layers": 1}, {"name": "head"}], ids=str)
def test_gradients_are_those_of_plain_torch_with_the_same_weights_frozen(
    checkpoints, family, knobs, monkeypatch
):
    from attune.models import block

    seen = []
    for parts in (compiled(), None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        seen.append(gradients(applied(checkpoints(family), **knobs)))
    assert {n for n, g in seen[0].items() if g is not None} == {
        n for n, g in seen[1].items() if g is not None
    }
    for name, gradient in seen[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradient, seen[1][name], atol=1e-5, rtol=1e-4, msg=name)


def test_frozen_layers_run_without_dropout_and_the_others_with_it(checkpoints):
    model = applied(checkpoints("bert"), name="last", layers=1)
    model.train()
    layers = model.tower()
    assert [layer.output.dropout.training for layer in layers] == [False, False, True]
    assert not model.base.embeddings.dropout.training
    assert model.model.dropout.training
    model.model.eval()
    assert not layers[-1].training


def test_the_outline_says_what_the_model_says(checkpoints):
    for family in tiny.KIN:
        for knobs in ({"name": "full"}, {"name": "last", "layers": 2}, {"name": "head"}):
            outline = load.outline(checkpoints(family), "classification", ["a", "b"])
            model = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=1)
            told = method(**knobs).trained(outline)[1]
            assert told == method(**knobs).trained(model)[1]
            assert next(outline.model.parameters()).device.type == "meta"
    assert told.sentence.startswith("the head: ")


# wrong wishes


@pytest.mark.parametrize(
    ("family", "head", "knobs", "words"),
    [
        ("bert", "classification", {"name": "last", "layers": 4}, ["method.layers", "3 layers", "found 4"]),
        ("albert", "classification", {"name": "last", "layers": 2}, ["share their weights", "found 2"]),
        ("bert", "similarity", {"name": "head"}, ["method.name", "no head", "found head"]),
    ],
)
def test_what_a_model_cannot_do_is_refused(checkpoints, family, head, knobs, words):
    with pytest.raises(RecipeError) as error:
        method(**knobs).applied(load.outline(checkpoints(family), head, ["a", "b"]))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_knob_of_another_method_is_refused_and_the_default_is_not():
    from attune import recipe_file

    with pytest.raises(RecipeError) as error:
        recipe_file.load("x.csv", ["method.rank=16", "method.cache=off"])
    said = str(error.value)
    assert "method.rank: method.name=full does not use it; found 16\n" in said
    assert "Leave it out, or set method.name=lora" in said
    assert "method.cache: method.name=full does not use it" in said
    recipe = recipe_file.load("x.csv", ["method.name=last", "method.layers=1"])
    assert recipe_file.load("x.csv", ["method.rank=8"]).method == MethodSection()
    assert recipe.updated("method", layers=3).method.layers == 3


# checkpoints


def test_a_checkpoint_holds_what_is_trained_and_refuses_another_base(checkpoints, tmp_path):
    model = applied(checkpoints("bert"), name="last", layers=1)
    optimizer = adamw(model.model, weight_decay=0.0)
    path = Store(tmp_path).save(model.model, optimizer, State(step=1))
    assert set(load_file(path / "weights.safetensors")) == trained(model)
    again = applied(checkpoints("bert"), name="last", layers=1)
    with torch.no_grad():
        again.model.classifier.weight.add_(1.0)
    assert Store(tmp_path).load(again.model, adamw(again.model, weight_decay=0.0)).step == 1
    assert torch.equal(again.model.classifier.weight, model.model.classifier.weight)
    with torch.no_grad():
        again.base.embeddings.word_embeddings.weight.add_(1.0)
    with pytest.raises(TrainingError, match="is not what it was"):
        Store(tmp_path).load(again.model, adamw(again.model, weight_decay=0.0))


def test_a_checkpoint_of_an_older_attune_is_refused_in_words(tmp_path, checkpoints):

    model = applied(checkpoints("bert"), name="full")
    optimizer = adamw(model.model, weight_decay=0.0)
    path = Store(tmp_path).save(model.model, optimizer, State(step=1))
    (path / "frozen.txt").unlink()
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["frozen.txt"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TrainingError, match="older attune"):
        Store(tmp_path).load(model.model, optimizer)
    digests = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in manifest}
    (path / "manifest.json").write_text(json.dumps(digests))
    with pytest.raises(TrainingError, match="older attune"):  # its frozen weights have no digest, as before
        Store(tmp_path).load(model.model, optimizer)


def test_a_checkpoint_of_before_crc_32_is_checked_by_sha_256_and_goes_on(tmp_path, checkpoints):
    model = applied(checkpoints("bert"), name="full")
    optimizer = adamw(model.model, weight_decay=0.0)
    path = Store(tmp_path).save(model.model, optimizer, State(step=7))
    names = json.loads((path / "manifest.json").read_text())
    digests = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}
    (path / "manifest.json").write_text(json.dumps(digests))
    assert Store(tmp_path).load(model.model, optimizer).step == 7
    for wrong in ({**digests, "state.json": "0" * 64}, {}, [], None, {"weights.safetensors": 5}):
        (path / "manifest.json").write_text(json.dumps(wrong))
        assert verify(path)
