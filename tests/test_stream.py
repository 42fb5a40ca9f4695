"""The token stream and the plan of its attention: who asks, who is seen, what is dropped."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.models.plans import Sight, across, near_equal, plan


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


def _seen_by(group, row, column):
    """The stream positions that one query of a group sees."""
    keys = group.keys.view(group.n, -1)[row]
    if group.causal:
        return keys[: column + 1].tolist()
    if group.mask is None:
        return keys.tolist()
    mask = group.mask[min(row, len(group.mask) - 1), 0]
    return keys[mask[min(column, len(mask) - 1)]].tolist()


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 12)),
    st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_a_token_sees_what_its_sight_admits_and_never_another_sequence(lengths, causal, window, random):
    total = sum(lengths)
    wanted = np.asarray(sorted(random.sample(range(total), random.randint(1, total))))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    asked = 0
    for group in plan(lengths, wanted, sight=Sight(causal, window)).groups:
        queries = group.queries.view(group.n, -1)
        real = range(queries.numel()) if group.real is None else group.real.tolist()
        asked += len(real)
        for at in real:
            row, column = divmod(at, queries.shape[1])
            i = wanted[queries[row, column]]
            admitted = [
                j
                for j in np.flatnonzero(owner == owner[i])
                if (j <= i or not causal) and (window is None or abs(i - j) <= window)
            ]
            assert _seen_by(group, row, column) == admitted
    assert asked == len(wanted)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_a_target_token_sees_the_whole_source_of_its_own_sequence(pairs):
    targets, sources = (list(sizes) for sizes in zip(*pairs, strict=True))
    of_target, of_source = (np.repeat(np.arange(len(pairs)), sizes) for sizes in (targets, sources))
    asked = []
    for group in across(targets, sources).groups:
        queries = group.queries.view(group.n, -1)
        for at in range(queries.numel()) if group.real is None else group.real.tolist():
            row, column = divmod(at, queries.shape[1])
            i = int(queries[row, column])
            assert _seen_by(group, row, column) == np.flatnonzero(of_source == of_target[i]).tolist()
            asked.append(i)
    assert sorted(asked) == list(range(sum(targets)))


def test_padded_batches_hold_each_sequence_once_and_little_padding():
    lengths = [200, 3, 190, 4, 5, 3, 180, 2] * 8
    parts = near_equal(lengths)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(lengths)))
    padded = sum(len(part) * max(lengths[i] for i in part) for part in parts)
    assert 1 < len(parts) < 6
    assert padded < 1.1 * sum(lengths)
