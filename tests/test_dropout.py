"""Dropout teaches what it teaches in transformers: the same gradients on average, as widely scattered."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from torch.nn.utils.rnn import pad_sequence

from attune.models import load

DRAWS = 1000
LENGTHS = (9, 7, 7, 4, 2)
LABELS = torch.tensor([0, 1, 1, 0, 1])


def moments(model, loss):
    """Mean and variance of each parameter's gradient over the draws."""
    sums = {name: (0.0, 0.0) for name, _ in model.named_parameters()}
    for draw in range(DRAWS):
        torch.manual_seed(draw)
        model.zero_grad(set_to_none=True)
        loss().backward()
        for name, parameter in model.named_parameters():
            gradient = parameter.grad.to_dense().double()
            first, second = sums[name]
            sums[name] = (first + gradient, second + gradient**2)
    means = {name: first / DRAWS for name, (first, _) in sums.items()}
    return {name: (mean, sums[name][1] / DRAWS - mean**2) for name, mean in means.items()}


@pytest.mark.slow
def test_gradients_under_dropout_have_the_mean_and_the_variance_that_transformers_has(checkpoints):
    base = checkpoints("bert")
    ours, plain = (load.backbone(base, "classification", ["a", "b"], seed=1) for _ in range(2))
    drawn = np.random.default_rng(3)
    texts = [drawn.integers(5, 30, size=length).astype(np.int32) for length in LENGTHS]
    stream = tiny.stream(texts)
    padded = pad_sequence([torch.from_numpy(text).long() for text in texts], batch_first=True)
    seen = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]

    def of_stream():
        return torch.nn.functional.cross_entropy(ours.classify(stream), LABELS)

    def of_batch():
        return plain.model(input_ids=padded, attention_mask=seen.long(), labels=LABELS).loss

    found = []
    for each, loss in ((ours, of_stream), (plain, of_batch)):
        # what torch drops on both sides would hide what the layers drop
        each.model.bert.embeddings.dropout.p = each.model.dropout.p = 0.0
        assert all(block.dropouts[place].p == 0.1 for block in ours.layers for place in range(3))
        each.model.train()
        found.append(moments(each.model, loss))
    one, other = found
    gap = expected = wide = narrow = 0.0
    for name in one:
        (mean, variance), (their_mean, their_variance) = one[name], other[name]
        gap += float(((mean - their_mean) ** 2).sum())
        expected += float((variance + their_variance).sum()) / DRAWS
        wide, narrow = wide + float(variance.sum()), narrow + float(their_variance.sum())
    assert gap**0.5 < 1.3 * expected**0.5  # two means of as many draws lie so far apart by chance
    assert wide / narrow == pytest.approx(1, abs=0.1)
