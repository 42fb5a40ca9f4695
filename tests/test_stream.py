"""The flat stream equals padded eager transformers: logits, gradients, any order, any lengths."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.models import load
from attune.models.stream import Stream, plan

LENGTHS = [
    [5, 3, 9, 3, 1, 7],
    [4],
    [1, 1, 1],
    [tiny.LIMIT, 2, tiny.LIMIT - 1],
    [6, 6, 6, 6],
    list(range(1, 20)),
]


def _sequences(lengths, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(5, len(tiny.PIECES), length).astype(np.int32) for length in lengths]


def _both(checkpoints, family):
    folder = checkpoints(family)
    flat = load.backbone(folder, "classification", ["a", "b", "c"], seed=3)
    padded = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", num_labels=3, dtype=torch.float32
    )
    padded.load_state_dict(flat.model.state_dict())
    return flat, padded


def _pad(sequences):
    ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(sequence)
        mask[row, : len(sequence)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_logits_and_gradients_equal_padded_eager_transformers(checkpoints, family, lengths):
    flat, padded = _both(checkpoints, family)
    sequences = _sequences(lengths)
    stream = Stream.of(sequences)
    _without_dropout(flat.model).train()
    _without_dropout(padded).train()
    logits = flat.classify(stream, torch.from_numpy(stream.starts))
    expected = padded(**_pad(sequences)).logits
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(logits)
    (logits * weights).sum().backward()
    (expected * weights).sum().backward()
    others = dict(padded.named_parameters())
    for name, parameter in flat.model.named_parameters():
        if others[name].grad is None:
            assert parameter.grad is None or not parameter.grad.any(), name
        else:
            torch.testing.assert_close(parameter.grad, others[name].grad, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_order_of_the_sequences_changes_nothing(checkpoints, family):
    flat, _ = _both(checkpoints, family)
    flat.model.eval()
    sequences = _sequences([5, 3, 9, 3, 1, 7, 12])
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(sequences))
        stream = Stream.of([sequences[i] for i in order])
        alone = [Stream.of([sequences[i]]) for i in order]
        together = flat.classify(stream, torch.from_numpy(stream.starts))
        one_by_one = torch.cat([flat.classify(s, torch.from_numpy(s.starts)) for s in alone])
        torch.testing.assert_close(together, one_by_one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_hidden_states_are_those_of_the_wanted_positions_only(checkpoints, family):
    flat, padded = _both(checkpoints, family)
    flat.model.eval()
    padded.eval()
    sequences = _sequences([5, 3, 9, 2])
    stream = Stream.of(sequences)
    everything = padded.base_model(**_pad(sequences)).last_hidden_state
    expected = torch.cat([everything[i, : len(s)] for i, s in enumerate(sequences)])
    for wanted in ([0], [1, 2, 4, 9, 18], list(range(19)), [5, 6, 7]):
        found = flat.hidden(stream, torch.tensor(wanted))
        torch.testing.assert_close(found, expected[wanted], atol=1e-5, rtol=1e-5)


def test_dropout_drops_attention_weights_at_the_rate_of_the_checkpoint(checkpoints):
    from attune.models.attention import attend

    torch.manual_seed(0)
    lengths = [16] * 400
    stream_plan = plan(lengths)
    query = torch.zeros(sum(lengths), 2, 4)  # equal scores: each weight is 1/16
    value = torch.ones(sum(lengths), 2, 4)
    out = attend(query, query, value, stream_plan, scaling=1.0, dropout=0.25)
    kept = out.mean().item()  # the mean of 0 or 1/(1-p)
    assert abs(kept - 1.0) < 0.02
    assert abs(out.var().item() - 0.25 / 0.75 / 16) < 0.005


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_plan_asks_each_wanted_position_once_and_shows_it_its_own_sequence(lengths, random):
    total = sum(lengths)
    wanted = np.asarray(sorted(random.sample(range(total), random.randint(1, total))))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    asked = []
    for group in plan(lengths, wanted).groups:
        queries = group.queries.view(group.n, -1)
        keys = group.keys.view(group.n, -1)
        real = np.ones(queries.numel(), bool) if group.real is None else np.zeros(queries.numel(), bool)
        if group.real is not None:
            real[group.real.numpy()] = True
        asked += queries.flatten()[torch.from_numpy(real)].tolist()
        for row in range(group.n):
            seen = keys[row] if group.mask is None else keys[row][group.mask[row, 0, 0]]
            of = owner[wanted[queries[row, 0]]]
            assert seen.tolist() == np.flatnonzero(owner == of).tolist()
    assert sorted(asked) == list(range(len(wanted)))
