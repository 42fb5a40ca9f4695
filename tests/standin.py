"""A device that is not the CPU, where there is no other one: it computes on the CPU and tells on those who cheat.

A tensor on it holds a CPU tensor. An operation on tensors of two devices fails as it would on a GPU, and each time
the host has to wait for a value is written down. What torch has for CUDA alone is done here: FlashAttention over
sequences of any length from its definition, and autocast as far as our models meet it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from attune.models.kernels import ragged

MOVES = ("aten._to_copy.", "aten.copy_.", "aten.to.")
WAITS: list[str] = []  # of the host


DEVICE = torch.device(
    "meta"
)  # the only other one whose gradients a torch that is built for CPUs alone can compute


class OnDevice(torch.Tensor):
    """A tensor of the device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=DEVICE,
        )  # fmt: skip
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sends what makes tensors on the device there, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


LOWER = (functional.linear, torch.matmul, torch.Tensor.matmul, torch.addmm)
FULL = (
    functional.layer_norm,
    functional.softmax,
    torch.softmax,
    torch.Tensor.softmax,
    torch.rsqrt,
    torch.pow,
)


class Autocast(TorchFunctionMode):
    """Products in bfloat16, sums of many terms in float32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        dtype = torch.bfloat16 if func in LOWER else torch.float32 if func in FULL else None
        if dtype is not None:
            args, kwargs = tree_map(lambda leaf: _to(leaf, dtype), (args, kwargs))
        return func(*args, **kwargs)


def _to(leaf, dtype):
    return leaf.to(dtype) if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf


@contextmanager
def device():
    """The device, while it is there."""
    WAITS.clear()
    with _Mode():
        yield DEVICE


def _run(func, args, kwargs):
    name, leaves = str(func), tree_leaves((args, kwargs))
    here = [leaf for leaf in leaves if isinstance(leaf, OnDevice)]
    stays = bool(here)
    if kwargs.get("device") is not None:
        stays = torch.device(kwargs["device"]).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif name == "aten.copy_.default":
        stays = isinstance(args[0], OnDevice)
    if not here and not stays:
        return func(*args, **kwargs)
    if not name.startswith(MOVES):
        others = [
            leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice)
        ]
        assert not any(other.ndim for other in others), f"{name} of tensors on two devices"
    if name in ("aten._local_scalar_dense.default", "aten.nonzero.default") or (
        name.startswith(MOVES) and here and not stays
    ):
        WAITS.append(name)
    if name == "aten._fused_sdp_choice.default":
        return 0  # products and a softmax
    call = FLASH.get(name, func)
    found = call(*tree_map(_held, args), **tree_map(_held, kwargs))
    if not stays:
        return found
    known = {id(leaf.held): leaf for leaf in here}  # what was changed in place stays the same tensor
    return tree_map(lambda made: known.get(id(made), made) if id(made) in known else _put(made), found)


def _put(made):
    return OnDevice(made) if isinstance(made, torch.Tensor) else made


def _held(leaf):
    return leaf.held if isinstance(leaf, OnDevice) else leaf


def _parts(q, k, v, lie, p, causal, scale, window):
    """Of each sequence: where it lies, its states, its attention weights and what dropout leaves of them."""
    queries, keys = (edges.tolist() for edges in lie)
    shared = q.shape[1] // k.shape[1]
    for number in range(len(queries) - 1):
        mine = slice(queries[number], queries[number + 1])
        theirs = slice(keys[number], keys[number + 1])
        query = q[mine].float()
        key, value = (states[theirs].float().repeat_interleave(shared, 1) for states in (k, v))
        scores = torch.einsum("qhd,khd->hqk", query, key) * scale
        size, seen = scores.shape[1:]
        ahead = torch.arange(seen)[None, :] - (
            torch.arange(size)[:, None] + seen - size
        )  # the last ones meet
        left = window[0] if window[0] >= 0 else seen
        right = 0 if causal else window[1] if window[1] >= 0 else seen
        weights = scores.masked_fill((ahead > right) | (-ahead > left), float("-inf")).softmax(-1)
        kept = torch.empty_like(weights).bernoulli_(1 - p) / (1 - p)
        yield mine, theirs, (query, key, value), weights, kept


def _forward(
    q, k, v, at_q, at_k, max_q, max_k, p, causal, debug, *, scale, window_size_left, window_size_right
):
    assert q.dtype == ragged.PRECISION and q.shape[-1] % 8 == 0, "what the kernel takes"
    assert int(at_q.diff().max()) <= max_q and int(at_k.diff().max()) <= max_k
    assert at_q[-1] == len(q) and at_k[-1] == len(k)
    seed = torch.randint(2**31, (1,))
    torch.manual_seed(int(seed))
    parts = _parts(q, k, v, (at_q, at_k), p, causal, scale, (window_size_left, window_size_right))
    out = torch.cat([torch.einsum("hqk,khd->qhd", w * kept, value) for _, _, (_, _, value), w, kept in parts])
    return out.to(q.dtype), torch.zeros(q.shape[1], len(q)), seed, torch.zeros(0), torch.zeros(0)


def _backward(grad, q, k, v, out, sums, at_q, at_k, max_q, max_k, p, causal, seed, unused, *, scale,
              window_size_left, window_size_right):  # fmt: skip
    torch.manual_seed(int(seed))
    found = [torch.zeros(states.shape) for states in (q, k, v)]
    parts = _parts(q, k, v, (at_q, at_k), p, causal, scale, (window_size_left, window_size_right))
    for mine, theirs, (query, key, value), weights, kept in parts:
        given = grad[mine].float()
        apart = torch.einsum("qhd,khd->hqk", given, value) * kept
        apart = weights * (apart - (apart * weights).sum(-1, keepdim=True)) * scale
        found[0][mine] += torch.einsum("hqk,khd->qhd", apart, key)
        for place, each in ((1, torch.einsum("hqk,qhd->khd", apart, query)),
                            (2, torch.einsum("hqk,qhd->khd", weights * kept, given))):  # fmt: skip
            found[place][theirs] += each.unflatten(1, (k.shape[1], -1)).sum(2)
    return tuple(each.to(q.dtype) for each in found)


FLASH = {
    "aten._flash_attention_forward.default": _forward,
    "aten._flash_attention_backward.default": _backward,
}


def recorder(monkeypatch):
    """As CUDA graphs: what is asked of the device is written down, and asked again of the same memory.

    What the host knew while it was written down is part of it for good, as there.
    """

    def record(work):
        calls = []

        def watched(func, args, kwargs):
            made = ask(func, args, kwargs)
            calls.append((func, args, kwargs, made))
            return made

        ask = _run
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules[__name__], "_run", watched)
            loss = work()
        fresh = [True]

        def play():
            if fresh:
                fresh.clear()  # here the work was done while it was written down, a graph has yet to begin
                return
            for func, args, kwargs, made in calls:
                for old, new in zip(tree_leaves(made), tree_leaves(ask(func, args, kwargs)), strict=True):
                    if isinstance(old, OnDevice) and old.held.data_ptr() != new.held.data_ptr():
                        old.held.copy_(new.held)

        return play, loss

    return record
