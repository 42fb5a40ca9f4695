"""The server: one process, one port, until it is told to stop."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from attune import rounding, rundir
from attune.errors import MachineError, Problem
from attune.predictor import open_run
from attune.serve.app import made

NAMES = ["localhost", "127.0.0.1", "[::1]", "::1"]  # of this machine, to itself
LAST_ANSWERS = 30  # seconds for those who had asked when it was told to stop
OPEN = (
    "Everyone who can reach this machine can ask the model, and texts travel in the clear: put a proxy with "
    "a password and TLS in front of it."
)


def serve(
    name: str, *, host: str, port: int, precision: str, device: str, say: Callable[[str], None]
) -> None:
    """Answers for a finished run until a signal ends it.

    Args:
        name: of the run.
        host: the address that is listened to; 127.0.0.1 is this machine alone.
        port: 0 takes a free one.
        precision: float32, bfloat16 or int8 (`predictor.open_run`).
        device: cpu, cuda, mps or auto.
        say: takes the sentences for whoever started it.

    Raises:
        MachineError: for an address or port that cannot be had.
    """
    listening = bound(host, port)  # before the seconds that a model takes
    with listening:
        run = rundir.find(name)
        predictor = open_run(name, precision=precision, device=device)
        if cost := rounding.told(predictor, say):
            say(cost)
        predictor.predict([dict.fromkeys(predictor.names, "a")])  # kernels are there before someone waits
        ours = alone(host)
        application = made(predictor, run, [*NAMES, host] if ours else ["*"], cost)
        say(f"{run.path} answers at {address(listening)}")
        say("  try it there in a browser, or POST JSON to /predict; Ctrl-C ends it")
        if not ours:
            say(f"  {OPEN}")
        config = uvicorn.Config(application, log_level="warning", access_log=False, server_header=False)
        config.timeout_graceful_shutdown = LAST_ANSWERS
        _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends with what is being computed, and not with all that waits."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Turns away what waits, then ends as uvicorn does."""
        self.config.app.state.batches.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def bound(host: str, port: int) -> socket.socket:
    """A socket that nobody else has.

    Raises:
        MachineError: for an address or port that cannot be had.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise MachineError(
            Problem("--host", "there is no such address here", host, "Use 127.0.0.1")
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(where)
        listening.listen(128)
    except OSError as error:
        listening.close()
        what, fix = "this port cannot be had", "Name another, or 0 for any that is free"
        reason = error.strerror or str(error)
        raise MachineError(Problem("--port", what, f"{host}:{port} ({reason})", fix)) from error
    return listening


def alone(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    if ":" in host:
        host = "localhost" if host == "::" else f"[{host}]"
    return f"http://{'localhost' if host == '0.0.0.0' else host}:{port}/"
