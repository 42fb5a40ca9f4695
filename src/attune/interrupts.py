"""Ctrl-C and SIGTERM ask a run to stop: its events end after the one that is going on, and it saves itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any


def followed(events: Iterator[Any], draw: Callable[[Iterator[Any]], None]) -> bool:
    """Lets `draw` consume the events; whether they were cut off.

    A second signal stops at once, with KeyboardInterrupt.
    """
    stop: list[int] = []

    def asked(number: int, frame: object) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append(number)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        draw(_until(events, stop))
    finally:
        for number, held in before.items():
            signal.signal(number, held)
    return bool(stop)


def _until(events: Iterator[Any], stop: list[int]) -> Iterator[Any]:
    finished = False
    for event in events:
        yield event
        finished = type(event).__name__ == "Finished"
        if stop and not finished:
            break
    if finished:
        stop.clear()
    events.close()  # type: ignore[attr-defined]
