"""The clock of a training: its seconds, and how fast the machine itself was meanwhile.

A virtual core shares its real one with strangers: the same products take 1.6 times as long in one second as in
the next, and no clock of ours tells. So a product of the model's largest layer is timed between steps, about twice a
second and not on the clock: what one training took and what another did can be compared at the pace that each had.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ceiling

EVERY = 0.5  # seconds between two looks at the machine


class Clock:
    """Runs while one side trains, whatever optimizer it steps with.

    Args:
        model: the folder or name of what is trained, whose largest layer's products are timed.
    """

    def __init__(self, model: str) -> None:
        from attune.models import load

        sizes = ceiling.shapes(load.outline(model, "classification", ["a", "b"]).model)
        self.size = max(sizes, key=lambda size: size[0] * size[1])
        self._products = itertools.cycle(ceiling.products(*self.size, ceiling.TOKENS))
        self._spent, self._since, self._rates = [0.0, 0.0], [0.0, 0.0], list[float]()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The time of its body counts."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self._look()
        self._since = _now()
        hook = register_optimizer_step_post_hook(lambda *_: self._stepped())
        try:
            yield
        finally:
            hook.remove()
            self._stop()
            self._look()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The time of its body, within one that runs, does not count."""
        self._stop()
        yield
        self._since = _now()

    def told(self) -> dict[str, float]:
        """Seconds by the clock and of the processor until it last stopped, and products' mean GFLOP/s meanwhile."""
        return {
            "seconds": self._spent[0],
            "cpu_seconds": self._spent[1],
            "gflops": statistics.fmean(self._rates) / 1e9,
        }

    def _stop(self) -> None:
        self._spent = [
            spent + now - since for spent, now, since in zip(self._spent, _now(), self._since, strict=True)
        ]

    def _stepped(self) -> None:
        if time.perf_counter() - self._looked > EVERY:
            with self.stopped():
                self._look()

    def _look(self) -> None:
        operations, product = next(self._products)
        product()  # what training left in the cache is not what is measured
        self._rates.append(operations / ceiling.timed(product))
        self._looked = time.perf_counter()


def paced(result: dict) -> float:
    """The time of a training at the machine's pace: what could have been multiplied meanwhile, in GFLOP."""
    return result["seconds"] * result["gflops"]


def _now() -> list[float]:
    return [time.perf_counter(), time.process_time()]
