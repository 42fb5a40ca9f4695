"""Requests that wait are answered together: while the model computes, the next ones gather.

A request alone is answered at once. Under load the model sees as many inputs at a time as are there, sorted by
length, so that they cost little more than a file of the same texts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from attune.errors import DataError

MOST = 1024  # inputs that the model is given at a time
MOST_WAITING = 8 * MOST

Answer = Callable[[Sequence[Any]], list[Any]]


class Busy(Exception):
    """More inputs wait than will be answered soon."""


@dataclass(eq=False)
class Request:
    """Inputs that are answered together or not at all."""

    inputs: list[Any]
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
    """The requests that wait, and the one thread that answers them."""

    def __init__(self, answer: Answer, *, most: int = MOST, most_waiting: int = MOST_WAITING) -> None:
        self.answer, self.most, self.most_waiting = answer, most, most_waiting
        self.waiting: deque[Request] = deque()
        self.asked = asyncio.Event()
        self.answered = 0  # inputs, since the start

    async def of(self, inputs: list[Any]) -> list[Any]:
        """The answers for these inputs, in their order.

        Raises:
            Busy: when too many wait already.
            DataError: for what is no input of the run's task.
        """
        if sum(len(request.inputs) for request in self.waiting) + len(inputs) > self.most_waiting:
            raise Busy
        request = Request(inputs)
        self.waiting.append(request)
        self.asked.set()
        return await request.answers

    async def run(self) -> None:
        """Answers until it is cancelled; what then waits is left unanswered."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "answers") as thread:
            while True:
                await self.asked.wait()
                taken = self._next()
                found = await loop.run_in_executor(thread, self._answered, taken)
                for request, answers in zip(taken, found, strict=True):
                    request.settle(answers)
                    self.answered += 0 if isinstance(answers, Exception) else len(answers)

    def _next(self) -> list[Request]:
        """As many of the requests as fit, the oldest first; those whose asker has gone are dropped."""
        taken: list[Request] = []
        room = self.most
        while self.waiting and (not taken or len(self.waiting[0].inputs) <= room):
            request = self.waiting.popleft()
            if not request.answers.done():
                taken.append(request)
                room -= len(request.inputs)
        if not self.waiting:
            self.asked.clear()
        return taken

    def _answered(self, requests: Sequence[Request]) -> list[list[Any] | Exception]:
        """The answers of each request, or why it has none: one that is wrong does not spoil the others."""
        try:
            found = self.answer([each for request in requests for each in request.inputs])
        except DataError as error:
            if len(requests) == 1:
                return [error]
            return [self._answered([request])[0] for request in requests]
        except Exception as error:
            return [error] * len(requests)
        ends = iter(found)
        return [[next(ends) for _ in request.inputs] for request in requests]
