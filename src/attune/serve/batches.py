"""Requests that wait are answered together: while the model computes, the next ones gather.

A request alone is answered at once. Under load the model sees as many inputs at a time as are there, sorted by
length, so that they cost little more than a file of the same texts.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

MOST = 1024  # inputs that the model is given at a time
MOST_BYTES = 2**20  # of them together, as they came
MOST_WAITING = 8 * MOST
MOST_BYTES_WAITING = 32 * MOST_BYTES

Answer = Callable[[Sequence[Any]], list[Any]]
Found = list[list[Any] | Exception]  # what came of each request


class Busy(Exception):
    """More inputs wait than will be answered soon, or the server is ending."""


@dataclass(eq=False)
class Request:
    """Inputs that are answered together or not at all."""

    inputs: list[Any]
    size: int  # bytes, as they came
    answers: asyncio.Future[list[Any]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, found: list[Any] | Exception) -> None:
        """Hands the answers over, unless the one who asked has gone."""
        if self.answers.done():
            return
        if isinstance(found, Exception):
            self.answers.set_exception(found)
        else:
            self.answers.set_result(found)


class Batches:
    """The requests that wait, and the one thread that answers them.

    Nobody waits for the thread: what it computes when the process ends is lost, and the end is not put off.
    """

    def __init__(self, answer: Answer, *, most: int = MOST, most_waiting: int = MOST_WAITING) -> None:
        self.answer, self.most, self.most_waiting = answer, most, most_waiting
        self.waiting: deque[Request] = deque()
        self.asked = asyncio.Event()
        self.closed = False
        self.answered = 0  # inputs, since the start
        self.jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._work, name="answers", daemon=True).start()

    async def of(self, inputs: list[Any], size: int = 0) -> list[Any]:
        """The answers for these inputs, in their order; `size` is that of the request in bytes.

        Raises:
            Busy: when too many wait already, or the server is ending.
            DataError: for what is no input of the run's task.
        """
        inputs_waiting = sum(len(request.inputs) for request in self.waiting) + len(inputs)
        bytes_waiting = sum(request.size for request in self.waiting) + size
        if self.closed or inputs_waiting > self.most_waiting or bytes_waiting > MOST_BYTES_WAITING:
            raise Busy
        request = Request(inputs, size)
        self.waiting.append(request)
        self.asked.set()
        return await request.answers

    async def run(self) -> None:
        """Answers until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self.asked.wait()
            if taken := self._next():
                done: asyncio.Future[Found] = loop.create_future()
                self.jobs.put(partial(self._compute, taken, done, loop))
                for request, answers in zip(taken, await done, strict=True):
                    request.settle(answers)
                    self.answered += 0 if isinstance(answers, Exception) else len(answers)

    def close(self) -> None:
        """Turns away what waits and what comes; what is being computed is still answered."""
        self.closed = True
        while self.waiting:
            self.waiting.popleft().settle(Busy())

    def _next(self) -> list[Request]:
        """As many of the requests as fit, the oldest first; those whose asker has gone are dropped."""
        taken: list[Request] = []
        room, space = self.most, MOST_BYTES
        while self.waiting:
            first = self.waiting[0]
            if not first.answers.done():
                if taken and (len(first.inputs) > room or first.size > space):
                    break
                taken.append(first)
                room, space = room - len(first.inputs), space - first.size
            self.waiting.popleft()
        if not self.waiting:
            self.asked.clear()
        return taken

    def _work(self) -> None:
        while True:
            self.jobs.get()()

    def _compute(
        self, taken: list[Request], done: asyncio.Future[Found], loop: asyncio.AbstractEventLoop
    ) -> None:
        """In the thread: answers, and hands what came of it to the loop, if there still is one."""
        found = self._answered(taken)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, done, found)

    def _answered(self, requests: Sequence[Request]) -> Found:
        """The answers of each request, or why it has none: one that is wrong does not spoil the others."""
        try:
            found = self.answer([each for request in requests for each in request.inputs])
        except Exception as error:
            if len(requests) == 1:
                return [error]
            middle = len(requests) // 2
            return [*self._answered(requests[:middle]), *self._answered(requests[middle:])]
        ends = iter(found)
        return [[next(ends) for _ in request.inputs] for request in requests]


def _settle(done: asyncio.Future[Found], found: Found) -> None:
    if not done.done():
        done.set_result(found)
