"""Parameter groups and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from attune.models.block import compiled

BLOCK = 1024  # weights; more than any processor takes in one turn of a loop


class Numbers(NamedTuple):
    """What one step does to every weight of a group, as float32."""

    factor: np.float32  # on the gradient: clipping
    decay: np.float32  # on the weight
    rest_1: np.float32  # 1 - beta 1: the gradient's share in the first moment
    beta_2: np.float32  # the second moment's own share
    rest_2: np.float32  # 1 - beta 2; as a difference of float32 it would be off by 5e-5
    rate: np.float32  # learning rate, corrected for the first moment's start at zero
    root: np.float32  # the same correction of the second moment, its square root
    epsilon: np.float32


@cache
def _kernels() -> ModuleType | None:
    if compiled() is None:
        return None
    from attune.models.kernels import adam

    return adam


class AdamW(torch.optim.Optimizer):
    """torch's AdamW to rounding, with clipping folded in, and exact for gradients that are rows of a table.

    A table's row that never had a gradient has zero moments and only decays; one that had is moved at every step.
    The weights are therefore right after every step, and the moments are all the state there is.

    With `average`, a running mean of the weights is kept beside them, of which each step is that share of the one
    before (Polyak and Juditsky 1992); it follows faster in the first steps, so that it forgets where they began.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, average: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0})
        self.average = average
        self._followed = 0  # steps that the means have followed
        self._touched: dict[Tensor, tuple[Tensor, np.ndarray]] = {}  # the moments it was read from, [V] bool
        # where the weights, their moments and their count lie, and the arrays there
        self._flat: dict[Tensor, tuple[list[int], list[np.ndarray]]] = {}

    @torch.no_grad()
    def step(self, closure: None = None, *, scale: float = 1.0) -> None:  # type: ignore[override]
        """Moves the weights against `scale` times their gradients."""
        flat: list[tuple[Any, ...]] = []
        for group in self.param_groups:
            moved = [(held, self._state(held)) for held in group["params"] if held.grad is not None]
            _by_torch([each for each in moved if not _fits(each[0])], group, scale)
            numbers: dict[float, Numbers] = {}  # of each count of steps
            for parameter, state in filter(lambda each: _fits(each[0]), moved):
                count, *arrays = self._arrays(parameter, state)
                count[0] += 1
                step = float(count[0])
                if step not in numbers:
                    numbers[step] = _numbers(group, step, scale)
                if parameter.grad.is_sparse:
                    self._move_rows(parameter, state, numbers[step])
                else:
                    gradient = parameter.grad.contiguous().view(-1).numpy()
                    flat.append((gradient, *arrays, numbers[step]))
        _move(flat)
        if self.average:
            self._follow()

    def _arrays(self, parameter: Tensor, state: dict[str, Tensor]) -> list[np.ndarray]:
        """The count of steps [1], the weights and their moments, flat.

        They are kept, for making them takes longer than moving a bias.
        """
        tensors = (state["step"], parameter, state["exp_avg"], state["exp_avg_sq"])
        where = [tensor.data_ptr() for tensor in tensors]
        held = self._flat.get(parameter)
        if held is None or held[0] != where:
            arrays = [tensor.detach().view(-1).numpy() for tensor in tensors]
            held = self._flat[parameter] = (where, arrays)
        return held[1]

    def _follow(self) -> None:
        """Moves the running means towards the weights."""
        moved = [(parameter, state) for parameter, state in self.state.items() if "step" in state]
        if not moved:
            return
        if self._followed == 0:  # the first time here, perhaps with the states of a checkpoint
            self._followed = int(max(float(state["step"]) for _, state in moved)) - 1
        self._followed += 1
        for parameter, state in moved:
            if "average" not in state:
                state["average"] = parameter.detach().clone()
        share = min(self.average, (1 + self._followed) / (10 + self._followed))
        means, weights = [state["average"] for _, state in moved], [held.detach() for held, _ in moved]
        torch._foreach_lerp_(means, weights, 1 - share)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The running means in the place of the weights, where there are any; nothing may be trained meanwhile."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for parameter, state in self.state.items():
            if "average" in state:
                parameter.data, state["average"] = state["average"], parameter.data

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = _zeros_like(parameter), _zeros_like(parameter)
        return state

    def _move_rows(self, parameter: Tensor, state: dict[str, Tensor], numbers: Numbers) -> None:
        from attune.models.kernels import adam
        from attune.models.kernels.threads import share_by

        assert parameter.grad is not None
        gradient = parameter.grad.coalesce()
        index, values = gradient.indices()[0].numpy(), gradient.values()
        if len(index) == 0:
            index, values = np.zeros(0, np.int64), values.new_zeros(1, parameter.shape[1])
        touched = self._rows_touched(parameter, state)
        touched[index] = True
        place = np.where(touched, adam.WITHOUT, adam.UNTOUCHED)
        place[index] = np.arange(len(index))
        costs = np.where(touched, 8, 1 if numbers.decay == 1.0 else 3)
        arrays = (parameter.detach().numpy(), values.numpy(), place)
        moments = (state["exp_avg"].numpy(), state["exp_avg_sq"].numpy())
        share_by(adam.rows, costs, parameter.numel(), *arrays, *moments, numbers)

    def _rows_touched(self, parameter: Tensor, state: dict[str, Tensor]) -> np.ndarray:
        """Which rows had a gradient; read from the moments when these come from a checkpoint."""
        moments = state["exp_avg"]
        if parameter not in self._touched or self._touched[parameter][0] is not moments:
            touched = np.asarray(moments.numpy().any(1) | state["exp_avg_sq"].numpy().any(1))
            self._touched[parameter] = (moments, touched)
        return self._touched[parameter][1]


def _fits(parameter: Tensor) -> bool:
    """True where the compiled kernels can take it."""
    plain = parameter.device.type == "cpu" and parameter.dtype == torch.float32 and parameter.is_contiguous()
    return plain and _kernels() is not None


def _zeros_like(parameter: Tensor) -> Tensor:
    """Zeros that take no memory until they are written, where the system can do that."""
    if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
        return torch.zeros_like(parameter, memory_format=torch.preserve_format)
    return torch.from_numpy(np.zeros(tuple(parameter.shape), np.float32))


def _numbers(group: dict[str, Any], step: float, scale: float) -> Numbers:
    (beta_1, beta_2), lr = group["betas"], group["lr"]
    rate, root = lr / (1 - beta_1**step), math.sqrt(1 - beta_2**step)
    decay = 1 - lr * group["weight_decay"]
    values = (scale, decay, 1 - beta_1, beta_2, 1 - beta_2, rate, root, group["eps"])
    return Numbers(*(np.float32(value) for value in values))


def _move(flat: list[tuple[Any, ...]]) -> None:
    """One pass over all parameters as if they were one, in about equal shares.

    Shares are cut between blocks: a loop over vectors and the one over what is left behind them may round otherwise,
    and which element is in which must not hang on the number of threads.
    """
    if not flat:
        return
    from attune.models.kernels import adam
    from attune.models.kernels.threads import share

    ends = np.cumsum([len(arrays[0]) for arrays in flat]).tolist()

    def work(begin: int, end: int) -> None:
        for arrays, last in zip(flat, ends, strict=True):
            start = last - len(arrays[0])
            if start < end and begin < last:
                first = max(begin - start, 0) // BLOCK * BLOCK
                stop = last - start if last <= end else (end - start) // BLOCK * BLOCK
                adam.dense(first, stop, *arrays)

    share(work, ends[-1], ends[-1])


def _by_torch(held: list[tuple[Tensor, dict[str, Tensor]]], group: dict[str, Any], scale: float) -> None:
    """All these parameters with their states in one call, which is one pass on a GPU."""
    if not held:
        return
    gradients = [parameter.grad.to_dense() for parameter, _ in held if parameter.grad is not None]
    # torch divides by it within the same pass
    inverse = None if scale == 1.0 else torch.full((), 1.0 / scale, device=held[0][0].device)
    first, second, steps = ([state[name] for _, state in held] for name in ("exp_avg", "exp_avg_sq", "step"))
    torch._foreach_add_(steps, 1)
    torch._fused_adamw_(
        [parameter for parameter, _ in held], gradients, first, second, [], steps,
        amsgrad=False, lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1],
        weight_decay=group["weight_decay"], eps=group["eps"], maximize=False, grad_scale=inverse,
    )  # fmt: skip


def adamw(model: nn.Module, *, weight_decay: float, average: float = 0.0) -> AdamW:
    """AdamW with decay on matrices, none on biases and norms; the loop sets the learning rate before each step.

    The table of word vectors is asked for its gradient by rows: a batch reads a few hundred of its tens of thousands.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.LayerNorm)
        for parameter in module.parameters(recurse=False)
    }
    for parameter in model.parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim < 2 or id(parameter) in norms else decayed).append(parameter)
    words: Callable[[], Any] | None = getattr(model, "get_input_embeddings", None)
    table = words() if words is not None else None
    if isinstance(table, nn.Embedding) and _fits(table.weight):
        table.sparse = True
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return AdamW(groups, lr=0.0, average=average)
