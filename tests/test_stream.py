"""The token stream and the plan of its attention: who asks, who is seen, what is dropped."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.models.stream import plan


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
