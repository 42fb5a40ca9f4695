"""AdamW by rows and with clipping folded in equals torch's, whatever the rows, the decay and the steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from attune.models.kernels import threads
from attune.training import optim
from attune.training.optim import AdamW, adamw


class Table(nn.Module):
    """Word vectors and a few other weights."""

    def __init__(self, rows=50, width=8):
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(rows, width, padding_idx=0)
        self.out = nn.Linear(width, 3)
        self.norm = nn.LayerNorm(width)

    def get_input_embeddings(self):
        return self.words

    def forward(self, tokens):
        """A loss whose gradient does not depend on the weights, so that rounding has nothing to grow on."""
        random = torch.Generator().manual_seed(int(tokens.sum()))
        parts = [self.words(tokens), *self.out.parameters(), *self.norm.parameters()]
        return sum((part * torch.randn(part.shape, generator=random)).sum() for part in parts)


def _reference(model, decay):
    groups = [{"params": [], "weight_decay": decay}, {"params": [], "weight_decay": 0.0}]
    for parameter in model.parameters():
        groups[parameter.ndim < 2]["params"].append(parameter)
    return torch.optim.AdamW(groups, lr=0.0, fused=True)


def _tokens(step):
    """Some rows at every step, some rarely, most never, and some of them twice."""
    random = np.random.default_rng(step)
    return torch.from_numpy(np.concatenate([random.integers(0, 9, 12), [10 + step % 20], [0, 5, 5]]))


def _pair(decay):
    ours, theirs = Table(), Table()
    return ours, adamw(ours, weight_decay=decay), theirs, _reference(theirs, decay)


def _train(ours, optimizer, theirs, reference, *, steps, clip=0.5):
    for step in steps:
        lr = 1e-2 * (1 + step % 7)
        for model, one in ((ours, optimizer), (theirs, reference)):
            one.zero_grad(set_to_none=True)
            model(_tokens(step)).backward()
            for group in one.param_groups:
                group["lr"] = lr
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        reference.step()
        optimizer.step(scale=min(1.0, clip / (float(norm) + 1e-6)))


def _assert_same(ours, optimizer, theirs, reference):
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)
        for key in ("exp_avg", "exp_avg_sq", "step"):
            torch.testing.assert_close(
                optimizer.state[one][key], reference.state[other][key], atol=1e-6, rtol=1e-5
            )


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_weights_and_moments_are_torchs_after_many_steps(decay, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(optim, "_kernels", lambda: None)
    made = _pair(decay)
    _train(*made, steps=range(200))
    assert made[0].words.sparse == compiled
    _assert_same(*made)


def test_the_gradient_of_the_words_is_rows():
    ours, *_ = _pair(0.1)
    ours(_tokens(1)).backward()
    assert ours.words.weight.grad.is_sparse


def test_a_row_that_was_never_read_only_decays():
    ours, optimizer, *rest = _pair(0.1)
    before = ours.words.weight[40:].detach().clone()
    expected = before.double()
    for step in range(20):
        expected *= 1 - 1e-2 * (1 + step % 7) * 0.1
    _train(ours, optimizer, *rest, steps=range(20))
    torch.testing.assert_close(ours.words.weight[40:].double(), expected, atol=1e-6, rtol=1e-6)
    assert not optimizer.state[ours.words.weight]["exp_avg"][40:].any()


@pytest.mark.parametrize("leave_at", [1, 2, 15, 29])
def test_from_stored_moments_it_goes_on_to_the_same_bits(leave_at):
    whole = _pair(0.1)
    _train(*whole, steps=range(30))
    begun = _pair(0.1)
    _train(*begun, steps=range(leave_at))
    resumed = _pair(0.1)
    resumed[0].load_state_dict(begun[0].state_dict())
    resumed[2].load_state_dict(begun[2].state_dict())
    for old, new in ((begun[0], resumed[0]), (begun[2], resumed[2])):
        for one, other in zip(old.parameters(), new.parameters(), strict=True):
            for which in (1, 3):
                if one in begun[which].state:
                    held = {key: value.clone() for key, value in begun[which].state[one].items()}
                    resumed[which].state[other].update(held)
    _train(*resumed, steps=range(leave_at, 30))
    for one, other in zip(whole[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)
    before, seen = torch.get_num_threads(), []
    try:
        for many in (1, 2, 3):
            torch.set_num_threads(many)
            made = _pair(0.1)
            _train(*made, steps=range(9))
            _assert_same(*made)
            seen.append([parameter.detach().clone() for parameter in made[0].parameters()])
    finally:
        torch.set_num_threads(before)
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))


@pytest.mark.parametrize("size", [1, 1023, 1024, 5000, 70_001])
def test_shares_of_a_large_matrix_are_cut_between_blocks_and_leave_nothing_out(monkeypatch, size):
    monkeypatch.setattr(threads, "SMALL", 0)
    before, seen = torch.get_num_threads(), []
    try:
        for many in (1, 2, 3, 7):
            torch.set_num_threads(many)
            weights = [torch.linspace(-1, 1, size).requires_grad_(), torch.ones(3000).requires_grad_()]
            optimizer = AdamW([{"params": weights, "weight_decay": 0.1}], lr=0.01)
            random = torch.Generator().manual_seed(1)
            for _ in range(4):
                for weight in weights:
                    weight.grad = torch.randn(weight.shape, generator=random)
                optimizer.step()
            seen.append(weights)
    finally:
        torch.set_num_threads(before)
    reference = [torch.linspace(-1, 1, size).requires_grad_(), torch.ones(3000).requires_grad_()]
    theirs, random = torch.optim.AdamW(reference, lr=0.01, weight_decay=0.1), torch.Generator().manual_seed(1)
    for _ in range(4):
        for weight in reference:
            weight.grad = torch.randn(weight.shape, generator=random)
        theirs.step()
    for place, expected in enumerate(reference):
        torch.testing.assert_close(seen[0][place], expected, atol=1e-6, rtol=1e-5)
        assert all(torch.equal(seen[0][place], other[place]) for other in seen[1:])


def test_rows_of_two_micro_batches_add_up():
    ours, optimizer, theirs, reference = _pair(0.0)
    for model in (ours, theirs):
        model(_tokens(1)).backward()
        model(_tokens(2)).backward()
    for one in (optimizer, reference):
        for group in one.param_groups:
            group["lr"] = 0.01
        one.step()
    _assert_same(ours, optimizer, theirs, reference)


def test_a_table_that_another_part_uses_too_gets_a_dense_gradient_and_still_learns_alike():
    ours, optimizer, theirs, reference = _pair(0.1)
    for step in range(5):
        for model, one in ((ours, optimizer), (theirs, reference)):
            one.zero_grad(set_to_none=True)
            slopes = torch.randn(50, 8, generator=torch.Generator().manual_seed(step))
            (model(_tokens(step)) + (model.words.weight * slopes).sum()).backward()
            for group in one.param_groups:
                group["lr"] = 0.01
            one.step()
    assert not ours.words.weight.grad.is_sparse
    _assert_same(ours, optimizer, theirs, reference)


def test_what_is_frozen_has_no_state():
    model = Table()
    model.words.weight.requires_grad_(False)
    optimizer = adamw(model, weight_decay=0.1)
    model(_tokens(1)).backward()
    optimizer.step()
    assert isinstance(optimizer, AdamW)
    assert model.words.weight not in optimizer.state
