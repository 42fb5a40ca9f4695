"""The compiled kernels: what plain torch gives for the same seed, its gradients, the same bits for any threads."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from attune.models import block, dropout, load
from attune.models.curves import gelu_of
from attune.models.kernels import draws, dropped, fused, inference, plain, rowwise, scalars, threads
from attune.models.kernels.draws import Draw
from attune.models.place import Place
from attune.models.plans import Sight, plan

LENGTHS = [[5, 3, 9, 3, 1, 7], [1], [16, 17, 15, 33], [64, 2], list(range(1, 20))]
HEADS, DEEP = 3, 8


def _leaves(*shapes, dtype=torch.float32):
    random = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=random).to(dtype).requires_grad_() for shape in shapes]


def _compare(found, found_leaves, expected, leaves, tolerance=2e-5):
    """Values and gradients of one function equal those of another that was given the same leaves."""
    torch.testing.assert_close(found.double(), expected.double(), atol=tolerance, rtol=tolerance)
    above = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9))
    found.backward(above.to(found.dtype))
    expected.backward(above.to(expected.dtype))
    for one, other in zip(found_leaves, leaves, strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad.double(), atol=tolerance, rtol=tolerance)


def _twice(*shapes):
    """The same leaves in float32, and in float64 for the reference."""
    ours = _leaves(*shapes)
    return ours, [leaf.detach().double().requires_grad_() for leaf in ours]


POST_NORM = ("bert", "roberta", "albert", "distilbert", "electra")  # whose layers are blocks


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("deep", [8, 16, 20, 32])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_and_its_gradients_are_those_of_torch_in_double_precision(lengths, deep, p):
    total, draw, laid = sum(lengths), Draw(p, 77), plan(lengths)
    ours, reference = _twice(*[(total, HEADS * deep)] * 3)
    found = fused.Attention.apply(*ours, laid, HEADS, deep**-0.5, draw)
    split = [leaf.view(total, HEADS, deep) for leaf in reference]
    expected = plain.attention(*split, laid, deep**-0.5, draw).flatten(1)
    _compare(found, ours, expected, reference)


@pytest.mark.parametrize("wanted", [[0], [1, 2, 7, 19], list(range(28)), [5, 6, 7, 27]])
def test_attention_at_wanted_positions_too(wanted):
    lengths, draw = [5, 3, 9, 3, 1, 7], Draw(0.2, 3)
    laid, total = plan(lengths, np.asarray(wanted)), sum(lengths)
    width = HEADS * DEEP
    ours, reference = _twice((len(wanted), width), (total, width), (total, width))
    found = fused.Attention.apply(*ours, laid, HEADS, 0.3, draw)
    split = [leaf.view(len(leaf), HEADS, DEEP) for leaf in reference]
    _compare(found, ours, plain.attention(*split, laid, 0.3, draw).flatten(1), reference)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("rows", [1, 31, 100])
def test_add_norm_and_its_gradients_are_those_of_torch_in_double_precision(rows, p):
    ours, reference = _twice((rows, 24), (24,), (rows, 24), (24,), (24,))
    draw = Draw(p, 12345)
    found = fused.AddNorm.apply(*ours, 1e-12, draw)
    x, bias, residual, weight, shift = reference
    dropped = plain.dropout(x + bias, draw) + residual
    expected = torch.nn.functional.layer_norm(dropped, (24,), weight, shift, 1e-12)
    _compare(found, ours, expected, reference)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("rows", [0, 1, 31, 100])
def test_dropout_and_its_gradients_are_those_of_torch_in_double_precision(rows, p):
    draw = Draw(p, 12345)
    ours, reference = _twice((rows, 24), (rows, 24))
    found = dropped.Added.apply(*ours, draw) * dropped.Dropped.apply(ours[0].t().contiguous().t(), draw)
    x, residual = reference
    _compare(found, ours, (plain.dropout(x, draw) + residual) * plain.dropout(x, draw), reference)


def test_dropout_draws_the_same_masks_with_and_without_the_kernels(monkeypatch):
    x, residual = _leaves((50, 24), (50, 24))
    found = []
    for parts in (fused, None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        torch.manual_seed(7)
        found.append([dropout.dropped(x, lambda: 0.3), dropout.added(x, residual, lambda: 0.3)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    assert 0.2 < float((found[0][0] == 0).float().mean()) < 0.4
    assert not torch.equal(found[0][0] == 0, found[0][1] == residual)  # each use has a mask of its own
    assert dropout.dropped(x, dropout.nothing) is x
    one = torch.ones(1, 24)  # what the kernel does not know is torch's, which spreads it over the rows
    assert dropout.added(x.detach(), one, lambda: 0.3).shape == x.shape
    assert dropout.added(x.detach(), one.double(), lambda: 0.3).dtype == torch.float64
    module = torch.nn.Dropout(0.25)
    assert [dropout.share_of(part)() for part in (module.eval(), torch.nn.Identity())] == [0.0, 0.0]
    assert dropout.share_of(module.train())() == 0.25


CURVES = {False: "none", True: "tanh"}  # torch's names of the two GELUs


@pytest.mark.parametrize("tanh", CURVES)
@pytest.mark.parametrize("rows", [1, 33, 70])
def test_the_feed_forward_and_its_gradients_are_those_of_torch_in_double_precision(rows, tanh):
    ours, reference = _twice((rows, 12), (20, 12), (20,), (12, 20))
    found = fused.FeedForward.apply(*ours, tanh, False)
    x, up, bias, down = reference
    wide = torch.nn.functional.gelu(x @ up.t() + bias, approximate=CURVES[tanh])
    _compare(found, ours, wide @ down.t(), reference)


@pytest.mark.parametrize("rows", [1, 33, 70])
def test_products_in_bfloat16_are_near_and_their_gradients_float32(rows):
    ours, reference = _twice((rows, 12), (20, 12), (20,), (12, 20))
    _compare(
        fused.FeedForward.apply(*ours, False, True), ours,
        torch.nn.functional.gelu(reference[0] @ reference[1].t() + reference[2]) @ reference[3].t(), reference,
        tolerance=0.15,
    )  # fmt: skip
    assert all(leaf.grad.dtype == torch.float32 for leaf in ours)
    ours, reference = _twice((rows, 12), (20, 12), (20,))
    _compare(
        fused.Linear.apply(*ours, True),
        ours,
        torch.nn.functional.linear(*reference),
        reference,
        tolerance=0.15,
    )


@pytest.mark.parametrize("family", POST_NORM)
def test_a_model_that_learns_in_bfloat16_gets_nearly_the_same_gradients_and_answers_in_float32(
    checkpoints, family
):
    stream = tiny.stream([np.arange(5, 5 + length) for length in (9, 4, 4, 12, 1)])
    backbone = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3)
    seen, answered = [], []
    for half in (False, True):
        backbone.move(Place(half=half))
        backbone.model.train()
        torch.manual_seed(4)
        backbone.model.zero_grad()
        backbone.classify(stream).square().sum().backward()
        seen.append(
            {n: p.grad.to_dense().clone() for n, p in backbone.model.named_parameters() if p.grad is not None}
        )
        backbone.model.eval()
        with torch.inference_mode():
            answered.append(backbone.classify(stream))
    assert torch.equal(*answered)  # what is scored and stored is float32
    for name, exact in seen[0].items():
        near = seen[1][name]
        if "key.bias" in name or "k_lin.bias" in name:
            continue  # its gradient is rounding alone
        assert (near - exact).norm() < 0.03 * exact.norm() + 1e-6, name
    assert not torch.equal(
        *(
            each[next(n for n in seen[0] if n.endswith("query.weight") or "q_lin.weight" in n)]
            for each in seen
        )
    )


@pytest.mark.parametrize("rows", [1, 33, 70])
def test_a_low_rank_product_and_its_gradients_are_those_of_torch_in_double_precision(rows):
    ours, reference = _twice((rows, 12), (20, 12), (20,), (3, 12), (20, 3))
    for leaves in (ours, reference):
        for frozen in leaves[1:3]:
            frozen.requires_grad_(False)
    found = fused.LowRank.apply(*ours, 0.7)
    x, weight, bias, a, b = reference
    expected = x @ weight.t() + bias + 0.7 * (x @ a.t()) @ b.t()
    _compare(found, [ours[0], *ours[3:]], expected, [x, a, b])


@pytest.mark.parametrize("tanh", CURVES)
@pytest.mark.parametrize("rows", [1, 33, 70])
def test_gelu_alone_and_its_gradients_are_those_of_torch_in_double_precision(rows, tanh):
    ours, reference = _twice((rows, 20), (20,))
    expected = torch.nn.functional.gelu(sum(reference), approximate=CURVES[tanh])
    _compare(fused.Gelu.apply(*ours, tanh), ours, expected, reference)


@pytest.mark.parametrize("tanh", CURVES)
def test_gelu_far_from_zero_is_the_number_itself_or_nothing(tanh):
    x = torch.tensor([[-1e4, -40.0, -12.0, 12.0, 40.0, 1e4]], requires_grad=True)
    found = fused.Gelu.apply(x, torch.zeros(6), tanh)
    torch.testing.assert_close(found, x.detach().clamp_min(0.0), atol=1e-20, rtol=1e-6)
    found.sum().backward()
    torch.testing.assert_close(x.grad, (x.detach() > 0).float(), atol=1e-20, rtol=1e-6)
    odd = fused.Gelu.apply(torch.tensor([[float("nan"), float("inf")]]), torch.zeros(2), tanh)
    assert odd.isnan().tolist() == [[True, False]]


def test_which_gelu_an_activation_is():
    from transformers.activations import ACT2FN

    names = {
        "gelu": "exact",
        "gelu_new": "tanh",
        "gelu_pytorch_tanh": "tanh",
        "relu": "",
        "silu": "",
        "gelu_fast": "",
    }
    assert {name: gelu_of(ACT2FN[name]) for name in names} == names
    assert gelu_of(ACT2FN["gelu_python_tanh"]) == ""
    assert [gelu_of(torch.nn.GELU(approximate=kind)) for kind in ("none", "tanh")] == ["exact", "tanh"]


@pytest.mark.parametrize("family", POST_NORM)
def test_a_model_learns_the_same_with_and_without_the_kernels(checkpoints, family, monkeypatch):
    sequences = [np.arange(5, 5 + length) for length in (9, 4, 4, 12, 1)]
    stream, seen = tiny.stream(sequences), []
    for parts in (fused, None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        backbone = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3)
        backbone.model.train()
        torch.manual_seed(4)
        logits = backbone.classify(stream)
        logits.square().sum().backward()
        gradients = {n: p.grad.to_dense() for n, p in backbone.model.named_parameters() if p.grad is not None}
        seen.append((logits, gradients))
    torch.testing.assert_close(seen[0][0], seen[1][0], atol=1e-6, rtol=1e-5)
    for name, gradient in seen[0][1].items():
        torch.testing.assert_close(gradient, seen[1][1][name], atol=1e-5, rtol=1e-4, msg=name)


def test_the_kernels_are_what_a_training_step_runs(checkpoints, monkeypatch):
    called = []
    real = fused.share
    monkeypatch.setattr(fused, "share", lambda kernel, *rest: (called.append(kernel), real(kernel, *rest)))
    backbone = load.backbone(checkpoints("bert"), "classification", ["a", "b"], seed=3)
    stream = tiny.stream([np.arange(5, 12), np.arange(5, 9)])
    backbone.model.eval()
    backbone.classify(stream)  # with a gradient but without training: attribution asks so, of plain torch
    assert not called
    backbone.model.train()
    backbone.classify(stream).sum().backward()
    assert {rowwise.add_norm, rowwise.add_norm_backward, rowwise.gelu, rowwise.gelu_backward} == set(called)


def test_other_kernels_answer_than_train(checkpoints, monkeypatch):
    called = []
    for module in (inference, fused):
        real = module.share
        monkeypatch.setattr(
            module, "share", lambda kernel, *_, real=real: (called.append(kernel), real(kernel, *_))
        )
    backbone = load.backbone(checkpoints("bert"), "classification", ["a", "b"], seed=3)
    stream = tiny.stream([np.arange(5, 12), np.arange(5, 9)])
    backbone.model.eval()
    with torch.inference_mode():
        backbone.classify(stream)
    assert set(called) == {rowwise.add_norm_in_place, rowwise.gelu_in_place}
    called.clear()
    backbone.model.train()
    with torch.no_grad():
        backbone.classify(stream)  # dropout is still asked for
    assert set(called) == {rowwise.add_norm, rowwise.gelu}


@pytest.mark.parametrize("family", POST_NORM)
def test_a_model_answers_the_same_with_and_without_the_kernels(checkpoints, family, monkeypatch):
    monkeypatch.setattr(inference, "ROWS", 8)
    backbone = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3)
    backbone.model.eval()
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    stream = tiny.stream([np.arange(5, 5 + length) for length in (9, 4, 4, 12, 1)])
    for wanted in (torch.arange(30), torch.tensor([0, 3, 9, 29])):
        seen = []
        for parts in (fused, None):
            monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
            with torch.inference_mode():
                seen.append(
                    torch.cat([backbone.hidden(stream, wanted).flatten(), *backbone.classify(stream)])
                )
        torch.testing.assert_close(*seen, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.model.state_dict().items())


@pytest.mark.parametrize("rows", [1, 33, 70])
def test_the_parts_that_answer_are_those_of_torch_in_double_precision(rows, monkeypatch):
    monkeypatch.setattr(inference, "ROWS", 32)
    torch.manual_seed(rows)
    up, down, norm = torch.nn.Linear(24, 40), torch.nn.Linear(40, 24), torch.nn.LayerNorm(24, eps=1e-12)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x, residual = torch.randn(rows, 24), torch.randn(rows, 48)[:, ::2]
    with torch.inference_mode():
        fed = inference.feed_forward(x, up, down)
        normed = inference.add_norm(fed.clone(), down.bias, residual, norm)
        up, down, norm = up.double(), down.double(), norm.double()
        wide = torch.nn.functional.gelu(up(x.double()))
        expected = norm(down(wide) + residual)
    torch.testing.assert_close(fed.double(), wide @ down.weight.t(), atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(normed.double(), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("activation", ["relu", "quick_gelu", "silu"])
def test_other_activations_take_the_path_of_torch(checkpoints, activation, monkeypatch):
    from transformers.activations import ACT2FN

    backbone = load.backbone(checkpoints("bert"), "classification", ["a", "b"], seed=3)
    for layer in backbone.model.bert.encoder.layer:
        layer.intermediate.intermediate_act_fn = ACT2FN[activation]
    again = type(backbone)(backbone.model)
    monkeypatch.setattr(block, "compiled", lambda: pytest.fail("the kernels know GELU alone"))
    again.model.train()
    stream = tiny.stream([np.arange(5, 12), np.arange(5, 9)])
    again.classify(stream).sum().backward()


def test_frozen_weights_get_no_gradient_and_the_others_the_same_as_before(checkpoints):
    stream, seen = tiny.stream([np.arange(5, 12), np.arange(5, 9)]), []
    for frozen in (False, True):
        backbone = load.backbone(checkpoints("bert"), "classification", ["a", "b"], seed=3)
        layers = backbone.model.bert.encoder.layer
        for part in (layers[1].attention.self.key, layers[1].output.LayerNorm, layers[1].intermediate.dense):
            part.requires_grad_(not frozen)
        backbone.model.train()
        torch.manual_seed(1)
        backbone.classify(stream).sum().backward()
        seen.append({n: p.grad for n, p in backbone.model.named_parameters() if p.requires_grad})
    assert seen[0].keys() > seen[1].keys()
    for name, gradient in seen[1].items():
        torch.testing.assert_close(gradient, seen[0][name], atol=1e-6, rtol=1e-5, msg=name)


def test_draws_keep_the_share_they_should_and_differ_by_row_column_and_seed():
    rows, columns = torch.arange(2000)[:, None], torch.arange(500)
    for p in (0.1, 0.5):
        kept = (draws.mask(Draw(p, 1), rows, columns) > 0).double()
        sigma = math.sqrt(p * (1 - p) / kept.numel())
        assert abs(kept.mean().item() - (1 - p)) < 4 * sigma
        for line in (kept.mean(0), kept.mean(1)):  # the spread between rows, and columns, is that of chance
            expected = p * (1 - p) / (kept.numel() / len(line))
            assert line.var().item() == pytest.approx(expected, rel=0.25)
        other = (draws.mask(Draw(p, 2), rows, columns) > 0).double()
        pairs = [(kept, other), (kept[1:], kept[:-1]), (kept[:, 1:], kept[:, :-1]), (kept[2:], kept[:-2])]
        for one, two in pairs:
            correlation = ((one - (1 - p)) * (two - (1 - p))).mean().item() / (p * (1 - p))
            assert abs(correlation) < 4 / math.sqrt(one.numel())
    scaled = draws.mask(Draw(0.25, 3), rows, columns)
    assert scaled.unique().tolist() == pytest.approx([0.0, 4 / 3])


def test_the_seed_of_torch_decides_the_draws():
    torch.manual_seed(1)
    first = [Draw.of(0.1).seed for _ in range(4)]
    assert len(set(first)) == 4
    torch.manual_seed(1)
    assert [Draw.of(0.1).seed for _ in range(4)] == first


def test_all_is_dropped_at_one():
    assert not draws.mask(Draw(1.0, 3), torch.arange(9)[:, None], torch.arange(9)).any()


def _steps(threads_, monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads_)
    try:
        lengths = [40, 3, 9, 3, 1, 7, 30]
        laid, draw = plan(lengths), Draw(0.1, 8)
        q, k, v, residual, bias, weight, shift = _leaves(*[(sum(lengths), 24)] * 4, (24,), (24,), (24,))
        mixed = fused.Attention.apply(q, k, v, laid, HEADS, 0.3, draw)
        out = fused.AddNorm.apply(mixed, bias, residual, weight, shift, 1e-12, draw)
        out.square().sum().backward()
        return [out] + [leaf.grad for leaf in (q, k, v, residual, bias, weight, shift)]
    finally:
        torch.set_num_threads(before)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    alone = _steps(1, monkeypatch)
    for many in (1, 2, 3, 5):
        assert all(torch.equal(a, b) for a, b in zip(alone, _steps(many, monkeypatch), strict=True))


def test_pieces_of_work_are_each_done_once(monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for costs in ([1], [100, 1], [1, 1, 1, 100], [1] * 17, [50, 1, 1, 50, 3]):
            done: list[int] = []
            threads.share_by(lambda begin, end, done=done: done.extend(range(begin, end)), np.array(costs), 9)
            assert sorted(done) == list(range(len(costs)))
    finally:
        torch.set_num_threads(before)


def test_what_is_not_a_number_stays_so():
    lengths = [5, 20]
    q, k, v = (leaf.detach().clone() for leaf in _leaves(*[(25, 24)] * 3))
    q[3, 0] = float("nan")
    out = fused.Attention.apply(q, k, v, plan(lengths), HEADS, 0.3, Draw(0.0, 0))
    assert out[3, :DEEP].isnan().all()
    assert not out[4:].isnan().any()
    x, bias, residual, weight, shift = _leaves((2, 24), (24,), (2, 24), (24,), (24,))
    with torch.no_grad():
        x[1, 5] = float("inf")
    assert not fused.AddNorm.apply(x, bias, residual, weight, shift, 1e-12, Draw(0.0, 0))[1].isfinite().any()
    wide = torch.full((1, 12), float("nan"))
    ones = torch.ones(20, 12)
    given = (wide, ones, torch.ones(20), ones.t().contiguous())
    assert all(fused.FeedForward.apply(*given, tanh, False).isnan().all() for tanh in CURVES)


@scalars.kernel
def _exp_and_erf(x, exp_out, erf_out):
    for j in range(x.shape[0]):
        exp_out[j], erf_out[j] = scalars.exp(x[j]), scalars.erf(x[j])


def test_exp_and_erf_are_those_of_double_precision():
    x = np.linspace(-86, 10, 200_001, dtype=np.float32)
    found = np.empty((2, len(x)), np.float32)
    _exp_and_erf(x, found[0], found[1])
    np.testing.assert_allclose(found[0], np.exp(x.astype(np.float64)), rtol=3e-7)
    near = x[(x > -6) & (x < 6)]
    exact = torch.erf(torch.from_numpy(near.astype(np.float64))).numpy()
    np.testing.assert_allclose(found[1][(x > -6) & (x < 6)], exact, atol=4e-7)


def test_a_plan_of_another_stream_is_refused_before_compiled_code_reads_beyond_the_end():
    (states,) = _leaves((10, HEADS * DEEP))
    with pytest.raises(AssertionError, match="another stream"):
        fused.Attention.apply(states, states, states, plan([6, 5]), HEADS, 1.0, Draw(0.0, 0))


def test_spans_are_the_sequences_a_plan_asks_about():
    lengths = [5, 3, 9, 3, 1, 7]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    whole, seen = plan(lengths).spans
    assert sorted(map(tuple, whole)) == [(s, n, s, n) for s, n in zip(starts, lengths, strict=True)]
    assert seen.tolist() == np.repeat(lengths, lengths).tolist()
    wanted = np.array([1, 2, 10, 20])
    asked, seen = plan(lengths, wanted).spans
    assert sorted(map(tuple, asked)) == [(0, 2, 0, 5), (2, 1, 8, 9), (3, 1, 20, 1)]
    assert seen.tolist() == [5, 5, 9, 1]
    whole, seen = plan(lengths, sight=Sight(causal=True)).spans
    assert sorted(map(tuple, whole)) == [(s, n, s, n) for s, n in zip(starts, lengths, strict=True)]
    assert seen.tolist() == [place + 1 for n in lengths for place in range(n)]
    asked, seen = plan(lengths, wanted, sight=Sight(causal=True)).spans
    assert sorted(map(tuple, asked)) == [(0, 2, 0, 3), (2, 1, 8, 3), (3, 1, 20, 1)]
    assert seen.tolist() == [2, 3, 3, 1]


def _causal(q, k, v, lengths, wanted, scaling, draw):
    """Attention of each query to itself and what is before it, one query after the other."""
    starts, out = np.cumsum([0, *lengths]), []
    for row, place in enumerate(wanted):
        first = starts[np.searchsorted(starts, place, side="right") - 1]
        keys, values = (states[first : place + 1] for states in (k, v))
        weights = (torch.einsum("hd,nhd->hn", q[row] * scaling, keys)).softmax(-1)
        rows = torch.arange(HEADS)[:, None] + row * HEADS
        weights = weights * draws.mask(draw, rows, torch.arange(len(keys))).to(weights.dtype)
        out.append(torch.einsum("hn,nhd->hd", weights, values))
    return torch.stack(out)


@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("deep", [8, 16, 20])
@pytest.mark.parametrize("wanted", [None, [0], [2, 19, 61], [4, 14, 15, 16, 17, 40, 61]])
def test_causal_attention_and_its_gradients_are_those_of_one_query_after_the_other(wanted, deep, p):
    lengths, draw = [5, 3, 1, 33, 20], Draw(p, 77)
    places = np.arange(62) if wanted is None else np.array(wanted)
    laid = plan(lengths, None if wanted is None else places, sight=Sight(causal=True))
    ours, reference = _twice((len(places), HEADS * deep), *[(62, HEADS * deep)] * 2)
    found = fused.Attention.apply(*ours, laid, HEADS, deep**-0.5, draw)
    split = [leaf.view(-1, HEADS, deep) for leaf in reference]
    expected = _causal(*split, lengths, places, deep**-0.5, draw).flatten(1)
    _compare(found, ours, expected, reference)


def test_what_comes_later_changes_no_bit_of_a_causal_answer():
    q, k, v = (torch.randn(40, 2 * 16, generator=torch.Generator().manual_seed(n)) for n in range(3))
    laid = plan([40], sight=Sight(causal=True))
    before = fused.Attention.apply(q, k, v, laid, 2, 0.25, Draw(0.0, 0))
    k[30:], v[30:] = 1e4, -1e4
    after = fused.Attention.apply(q, k, v, laid, 2, 0.25, Draw(0.0, 0))
    assert torch.equal(before[:30], after[:30])
    assert not torch.equal(before[30:], after[30:])


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama", "bart", "modernbert"])
def test_families_of_other_sights_run_on_the_kernels_and_learn_the_same_without(
    checkpoints, family, drops, monkeypatch
):
    stream, seen, called = tiny.stream([np.arange(5, 5 + length) for length in (9, 4, 4, 12, 1)]), [], []
    real = fused.share_by
    monkeypatch.setattr(fused, "share_by", lambda kernel, *rest: (called.append(kernel), real(kernel, *rest)))
    for parts in (fused, None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        backbone = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3)
        (backbone.model if drops else tiny.without_dropout(backbone.model)).train()
        torch.manual_seed(2)
        logits = backbone.hidden(stream, torch.tensor([8, 11, 20, 29]))
        logits.square().sum().backward()
        seen.append((logits, {n: p.grad for n, p in backbone.model.named_parameters() if p.grad is not None}))
        assert bool(called) is (parts is not None)
        called.clear()
    torch.testing.assert_close(seen[0][0], seen[1][0], atol=1e-6, rtol=1e-5)
    for name, gradient in seen[0][1].items():
        torch.testing.assert_close(
            gradient.to_dense(), seen[1][1][name].to_dense(), atol=1e-5, rtol=1e-4, msg=name
        )


def test_what_is_kept_of_a_compiled_kernel_belongs_to_all_the_sources_it_was_made_of(tmp_path):
    import subprocess
    import sys

    source = Path(fused.__file__).parent
    words = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import kernels.rowwise as r; "
    words += "print(r.gelu.__qualname__)"
    shutil.copytree(source, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / "kernels").glob("*.py"):
        path.write_text(path.read_text(encoding="utf-8").replace("attune.models.kernels", "kernels"), "utf-8")
    names = []
    for changed in (False, False, True):
        if changed:
            with (tmp_path / "kernels" / "scalars.py").open("a", encoding="utf-8") as file:
                file.write("\n# changed\n")
        done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
        names.append(done.stdout)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("family", ["bart", "t5", "mt5"])
def test_encoder_decoders_drop_the_same_with_and_without_the_kernels(checkpoints, family, monkeypatch):
    stream, seen = tiny.stream([np.arange(5, 5 + length) for length in (9, 4, 12, 1)]), []
    for parts in (fused, None):
        monkeypatch.setattr(block, "compiled", lambda parts=parts: parts)
        backbone = load.backbone(checkpoints(family), "classification", ["a", "b"], seed=3)
        backbone.model.train()
        torch.manual_seed(2)
        states = backbone.again(stream, torch.tensor([8, 12, 24, 25]))
        states.square().sum().backward()
        seen.append((states, {n: p.grad for n, p in backbone.model.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(seen[0][0], seen[1][0], atol=1e-6, rtol=1e-5)
    for name, gradient in seen[0][1].items():
        torch.testing.assert_close(
            gradient.to_dense(), seen[1][1][name].to_dense(), atol=1e-5, rtol=1e-4, msg=name
        )
