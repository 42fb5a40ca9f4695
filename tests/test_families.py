"""Every family on the flat stream equals padded eager transformers: answers and gradients, whatever the lengths."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import tiny
import torch
import transformers

from attune.errors import RecipeError
from attune.models import load
from attune.models.families import FAMILIES

LENGTHS = [
    [5, 3, 9, 3, 1, 7],
    [tiny.LIMIT, 2, tiny.LIMIT - 1],
    [1],
    pytest.param([4], marks=pytest.mark.slow),
    pytest.param([6, 6, 6, 6], marks=pytest.mark.slow),
    pytest.param(list(range(1, 20)), marks=pytest.mark.slow),
]
LABELS = {"classification": ["a", "b", "c"], "tagging": ["O", "B-X", "I-X"], "qa": [], "similarity": []}
CASES = [
    (family, head) for family in (*tiny.FAMILIES, *tiny.UNTAUGHT) for head in LABELS if tiny.has(family, head)
]


def sequences_of(lengths, seed=0):
    """Random words that all end as the tokenizers do."""
    random = np.random.default_rng(seed)
    made = [random.integers(len(tiny.SPECIAL), len(tiny.PIECES), length) for length in lengths]
    for sequence in made:
        sequence[-1] = tiny.END
    return [sequence.astype(np.int32) for sequence in made]


def padded_of(sequences, model):
    size = len(sequences), max(map(len, sequences))
    ids, mask = torch.full(size, model.config.pad_token_id), torch.zeros(size, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(sequence)
        mask[row, : len(sequence)] = 1
    return {"input_ids": ids, "attention_mask": mask}


@cache
def _pair(folder, head):
    flat = load.backbone(folder, head, LABELS[head], seed=3)
    padded = type(flat.model).from_pretrained(
        folder, attn_implementation="eager", config=flat.model.config, dtype=torch.float32
    )
    padded.load_state_dict(flat.model.state_dict())
    tiny.without_dropout(flat.model)
    return flat, tiny.without_dropout(padded)


@pytest.fixture(params=CASES, ids="-".join)
def pair(request, checkpoints):
    """A model on streams, the same model of transformers, and its head."""
    family, head = request.param
    flat, padded = _pair(checkpoints(family), head)
    for model in (flat.model, padded):
        model.train()
        model.zero_grad()
    return flat, padded, head


def answers(flat, head, stream):
    if head == "classification":
        return flat.classify(stream)
    if head == "tagging":
        return flat.tag(stream, torch.arange(len(stream.tokens)))
    return flat.span(stream) if head == "qa" else flat.pooled(stream)


def expected_answers(padded, head, sequences):
    inputs = padded_of(sequences, padded)
    real = inputs["attention_mask"].bool()
    out = padded(**inputs)
    if head == "classification":
        return out.logits
    if head == "tagging":
        return out.logits[real]
    if head == "qa":
        return torch.stack([out.start_logits, out.end_logits], dim=-1)[real]
    states = out.last_hidden_state * real[..., None]
    return states.sum(1) / real.sum(1, keepdim=True)


def same_gradient(mine, theirs, name):
    if mine is None or theirs is None:
        assert all(gradient is None or not gradient.any() for gradient in (mine, theirs)), name
        return
    scale = max(1.0, float(theirs.abs().max()))  # 1e-5 of the largest, where that is large
    torch.testing.assert_close(
        mine / scale, theirs / scale, atol=1e-5, rtol=1e-4, msg=lambda m: f"{name}: {m}"
    )


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_answers_and_gradients_equal_padded_eager_transformers(pair, lengths):
    flat, padded, head = pair
    sequences = sequences_of(lengths)
    found = answers(flat, head, tiny.stream(sequences))
    expected = expected_answers(padded, head, sequences)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    theirs = dict(padded.named_parameters())
    for name, parameter in flat.model.named_parameters():
        same_gradient(parameter.grad, theirs[name].grad, name)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_without_a_gradient_the_answers_are_the_same(pair, lengths):
    """In eval mode other kernels answer than those that train."""
    flat, padded, head = pair
    flat.model.eval()
    sequences = sequences_of(lengths)
    with torch.inference_mode():
        found = answers(flat, head, tiny.stream(sequences))
        expected = expected_answers(padded, head, sequences)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_order_of_the_sequences_changes_nothing(pair):
    flat, _, head = pair
    flat.model.eval()
    sequences = sequences_of([5, 3, 9, 3, 1, 7, 12])
    with torch.inference_mode():
        for seed in range(2):
            order = np.random.default_rng(seed).permutation(len(sequences))
            together = answers(flat, head, tiny.stream([sequences[i] for i in order]))
            alone = torch.cat([answers(flat, head, tiny.stream([sequences[i]])) for i in order])
            torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", tiny.each(tiny.FAMILIES))
def test_hidden_states_are_those_of_the_wanted_positions_only(checkpoints, family):
    flat, padded = _pair(checkpoints(family), "similarity")
    sequences = sequences_of([5, 3, 9, 2])
    inputs = padded_of(sequences, padded)
    with torch.no_grad():
        out = padded(**inputs)  # BART's own last states are its decoder's
        states = out.get("encoder_last_hidden_state", out.last_hidden_state)
        everything = states[inputs["attention_mask"].bool()]
        stream = tiny.stream(sequences)
        for wanted in ([0], [1, 2, 4, 9, 18], list(range(19)), [5, 6, 7]):
            found = flat.hidden(stream, torch.tensor(wanted))
            torch.testing.assert_close(found, everything[wanted], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layers", [2, 3], ids=["last layer has a window", "last layer sees all"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_classifies_the_first_state_or_the_mean(checkpoints, pooling, layers):
    folder = checkpoints("modernbert")
    padded = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder,
        attn_implementation="eager",
        classifier_pooling=pooling,
        num_hidden_layers=layers,
        layer_types=["full_attention", "sliding_attention", "full_attention"][:layers],
    ).eval()
    sequences = sequences_of([5, 3, 9, tiny.LIMIT, 1])
    with torch.no_grad():
        found = FAMILIES["modernbert"](padded).classify(tiny.stream(sequences))
        torch.testing.assert_close(found, padded(**padded_of(sequences, padded)).logits, atol=1e-5, rtol=1e-5)


LAST_NORM = {
    "bert": "encoder.layer.2.output.LayerNorm",
    "modernbert": "layers.2.mlp_norm",
    "gpt2": "h.2.ln_2",
    "llama": "layers.2.post_attention_layernorm",
    "bart": "encoder.layers.1.final_layer_norm",
    "t5": "encoder.block.1.layer.1.layer_norm",
}


@pytest.mark.parametrize("family", LAST_NORM)
def test_the_last_layer_runs_at_the_wanted_positions_only(checkpoints, family):
    flat, _ = _pair(checkpoints(family), "similarity")
    flat.model.eval()
    rows = []
    norm = flat.base.get_submodule(LAST_NORM[family])
    handle = norm.register_forward_hook(lambda module, given, _: rows.append(given[0].shape[0]))
    try:
        flat.hidden(tiny.stream(sequences_of([5, 3, 9, 2])), torch.tensor([4, 7]))
    finally:
        handle.remove()
    assert rows == [2]


@pytest.mark.parametrize("head", ["AutoModel", "AutoModelForSeq2SeqLM"])
@pytest.mark.parametrize("family", tiny.each(tiny.ENCODER_DECODERS))
def test_a_decoder_reads_its_targets_and_the_source_of_each(checkpoints, family, head):
    folder = checkpoints(family)
    padded = getattr(transformers, head).from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    flat = FAMILIES[family](tiny.without_dropout(padded))
    sources, targets = sequences_of([5, 3, 9, 3, 1, 7]), sequences_of([2, 8, 3, 1, tiny.LIMIT, 8], seed=1)
    inputs, labels = padded_of(sources, padded), padded_of(targets, padded)
    out = padded.base_model(
        **inputs,
        decoder_input_ids=labels["input_ids"],
        decoder_attention_mask=labels["attention_mask"],
        output_hidden_states=True,
    )
    expected = out.decoder_hidden_states[-1][labels["attention_mask"].bool()]
    source, target = tiny.stream(sources), tiny.stream(targets)
    everything = torch.arange(len(target.tokens))
    found = flat.hidden(source, everything, target=target)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    wanted = torch.tensor([0, 1, 5, 12, 13, 40])
    torch.testing.assert_close(
        flat.hidden(source, wanted, target=target), expected[wanted], atol=1e-5, rtol=1e-5
    )
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    parameters = list(padded.base_model.named_parameters())
    mine, theirs = (
        torch.autograd.grad((states * weights).sum(), [p for _, p in parameters], allow_unused=True)
        for states in (found, expected)
    )
    for (name, _), left, right in zip(parameters, mine, theirs, strict=True):
        same_gradient(left, right, name)


def test_a_text_that_does_not_end_is_refused_where_the_head_reads_its_end(checkpoints):
    flat, _ = _pair(checkpoints("t5"), "classification")
    with pytest.raises(RecipeError, match="its tokenizer adds none"):
        flat.classify(tiny.stream([np.asarray([7, 8, tiny.END]), np.asarray([7, 8])]))


@pytest.mark.parametrize("family", tiny.each(tiny.FAMILIES))
def test_token_types_count_where_a_family_has_them_and_are_ignored_elsewhere(checkpoints, family):
    flat, padded = _pair(checkpoints(family), "classification")
    sequences = sequences_of([6, 4])
    kinds = [np.asarray([0, 0, 0, 1, 1, 1]), np.asarray([0, 0, 1, 1])]
    inputs = padded_of(sequences, padded)
    if getattr(padded.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]])
    with torch.no_grad():
        found = flat.classify(tiny.stream(sequences, kinds))
        torch.testing.assert_close(found, padded(**inputs).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", tiny.each([*tiny.FAMILIES, *tiny.UNTAUGHT]))
def test_word_vectors_in_place_of_the_tokens_change_nothing(checkpoints, family):
    flat, _ = _pair(checkpoints(family), "classification")
    stream = tiny.stream(sequences_of([6, 4, 1]))
    vectors = flat.word_vectors(stream).detach().requires_grad_()
    found = flat.classify(stream, vectors)
    torch.testing.assert_close(found, flat.classify(stream), atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), vectors)
    assert gradient.abs().sum(-1)[stream.tokens != flat.model.config.pad_token_id].all()


@pytest.mark.parametrize("family", tiny.each(tiny.FAMILIES))
def test_width_and_position_limit_are_known_before_the_weights_are_read(checkpoints, family):
    folder = checkpoints(family)
    flat, _ = _pair(folder, "similarity")
    assert load.width(folder) == flat.width == flat.pooled(tiny.stream(sequences_of([3]))).shape[1]
    assert load.positions(folder) == flat.positions >= tiny.LIMIT


@pytest.mark.parametrize("family", tiny.UNTAUGHT)
def test_a_family_nobody_taught_says_so(checkpoints, family):
    flat, _ = _pair(checkpoints(family), "classification")
    assert repr(family) in type(flat).note_of(family)
    assert "padded" in type(flat).note_of(family)
    taught, _ = _pair(checkpoints("bert"), "classification")
    assert type(taught).note_of("bert") == ""


def test_problem_and_labels_stand_in_the_configuration(checkpoints):
    for problem, labels in (("multi_label_classification", ["x", "y"]), ("regression", ["score"])):
        config = load.backbone(
            checkpoints("bert"), "classification", labels, seed=1, problem=problem
        ).model.config
        assert config.problem_type == problem
        assert list(config.id2label.values()) == labels


@pytest.mark.parametrize(
    ("family", "head"), [(f, h) for f in tiny.FAMILIES for h in LABELS if not tiny.has(f, h)]
)
def test_a_family_without_the_head_is_refused_with_those_that_have_it(checkpoints, family, head):
    with pytest.raises(RecipeError, match=r"(?s)transformers has no AutoModelFor.*albert, bert"):
        load.backbone(checkpoints(family), head, LABELS[head], seed=1)


def test_transformers_knows_the_heads_by_the_same_names():
    assert all(hasattr(transformers, name) for name, _ in load.HEADS.values())


def test_a_deberta_multiplies_the_rows_of_its_distance_table_that_a_text_can_reach(checkpoints):
    flat = load.backbone(checkpoints("deberta-v2"), "classification", LABELS["classification"], seed=3)
    layer = flat.base.encoder.layer[0].attention.self
    rows = []
    layer.key_proj.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[-2]))
    for length, reached in ((1, 2), (2, 4), (3, 6), (tiny.LIMIT, 2 * layer.position_buckets)):
        rows.clear()
        flat.classify(tiny.stream(sequences_of([length])))
        assert rows == [length, reached], length  # the text's tokens, then the table's rows


def test_a_deberta_is_as_it_was_after_it_has_answered_and_after_it_could_not(checkpoints, monkeypatch):
    flat = load.backbone(checkpoints("deberta-v2"), "classification", LABELS["classification"], seed=3)
    encoder = flat.base.encoder
    layer = encoder.layer[1].attention.self
    flat.classify(tiny.stream(sequences_of([3])))
    monkeypatch.setattr(encoder.layer[1], "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        flat.classify(tiny.stream(sequences_of([3])))
    assert layer.pos_ebd_size == layer.position_buckets
    assert len(encoder.get_rel_embedding()) == 2 * layer.position_buckets


def test_two_threads_may_ask_one_deberta(checkpoints):
    flat = load.backbone(checkpoints("deberta-v2"), "classification", LABELS["classification"], seed=3)
    flat.model.eval()
    streams = [tiny.stream(sequences_of([length])) for length in (2, tiny.LIMIT)] * 20
    with torch.inference_mode():
        expected = [flat.classify(stream) for stream in streams]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(torch.inference_mode()(flat.classify), streams))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_distance_table_of_an_odd_configuration_is_left_whole(tmp_path):
    """Where more buckets than positions are asked for, far distances have no order that could be cut."""
    _, settings = tiny.SETTINGS["deberta-v2"]
    config = transformers.AutoConfig.for_model(
        "deberta-v2",
        **{**settings, "position_buckets": 32, "max_relative_positions": 17, "pos_att_type": ["p2c"]},
    )
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config).eval()
    ids = np.arange(5, 25)
    ours = FAMILIES["deberta-v2"](model).hidden(tiny.stream([ids]), torch.arange(20))
    torch.testing.assert_close(ours, model(torch.from_numpy(ids)[None]).last_hidden_state[0])
