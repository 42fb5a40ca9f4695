"""The HTTP face of a run.

    GET  /         a page to try the model on
    GET  /info     what the model is, what it reads, how good it was on its test rows
    GET  /health   whether it answers, and how much waits
    POST /predict  {"inputs": [...]} -> {"answers": [...]}, each as `attune predict` writes it

Texts are neither stored nor logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attune import machine
from attune.data.inputs import ROLES
from attune.errors import AttuneError, DataError, Problem
from attune.metrics.scales import scale
from attune.predictor import Predictor
from attune.rundir import RunDir
from attune.serve.batches import MOST, MOST_BYTES, Batches, Busy

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
GUARDS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not answered: the status and the problem."""

    def __init__(self, status: int, what: str, found: str = "", fix: str = "") -> None:
        self.status, self.problem = status, Problem("request", what, found, fix)


def made(predictor: Predictor, run: RunDir, hosts: list[str], rounding: str = "") -> Starlette:
    """The application; `hosts` are the names under which it may be asked (`*`: any), `rounding` what precision costs.

    The names matter on a laptop: a page of the web could otherwise ask it, under a name of its own that points here.
    `state.batches` is what waits; whoever ends the server closes it first.
    """
    batches = Batches(predictor.predict)
    known = {*ROLES, *predictor.names.values()}

    @contextlib.asynccontextmanager
    async def answering(_: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(batches.run())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def predict(request: Request) -> Response:
        body, size = await body_of(request)
        inputs = [_only(each, known) for each in inputs_of(body)]
        answers = await _while_there(request, batches.of(inputs, size))
        return _json({"answers": [asdict(answer) for answer in answers]})

    async def health(_: Request) -> Response:
        waiting = sum(len(each.inputs) for each in batches.waiting)
        return _json({"status": "ok", "waiting": waiting, "answered": batches.answered})

    told = {**info(predictor, run), "rounding": rounding}

    async def tell(_: Request) -> Response:
        return _json(told)

    application = Starlette(
        routes=[
            *(Route(path, _file(*held)) for path, held in PAGE.items()),
            Route("/info", tell),
            Route("/health", health),
            Route("/predict", predict, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers=HANDLERS,
        lifespan=answering,
    )
    application.state.batches = batches
    return application


async def _while_there(request: Request, answers: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    """The answers; given up when the one who asked goes away.

    Raises:
        Refused: then; nobody reads it.
    """
    asked, gone = asyncio.ensure_future(answers), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise Refused(499, "whoever asked has gone")
        return asked.result()
    finally:
        asked.cancel()
        gone.cancel()


def _only(given: Any, known: set[str]) -> Any:
    """An input without the cells that no task reads, so that they take no memory while it waits.

    One that has no other is left as it is: it will be refused, and shown.
    """
    if not isinstance(given, dict) or known.isdisjoint(given):
        return given
    return {name: given[name] for name in known if name in given}


async def body_of(request: Request) -> tuple[Any, int]:
    """The JSON of a request, and its size in bytes.

    Raises:
        Refused: for a body that is too long, or none of JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        found = request.headers.get("content-type", "none")
        raise Refused(415, "the body has to be JSON", found, "Send Content-Type: application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            what = f"the body is longer than {MOST_BYTES:,} bytes"
            raise Refused(413, what, fix="Send fewer inputs at a time, or use `attune predict` for a file")
    try:
        return json.loads(body), len(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is no JSON", str(error)[:80], 'Send {"inputs": ["a text"]}') from error


def inputs_of(body: Any) -> list[Any]:
    """The inputs of a request: a list of them, or a single one.

    Raises:
        Refused: for a body without inputs, or with too many.
    """
    if isinstance(body, dict) and "inputs" in body and (other := [name for name in body if name != "inputs"]):
        fix = "Leave it out: what was chosen when it was started holds"
        raise Refused(400, "the server takes nothing but inputs", ", ".join(map(ascii, other))[:60], fix)
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if isinstance(inputs, str | dict):
        inputs = [inputs]
    if not isinstance(inputs, list) or not inputs:
        found = ", ".join(map(ascii, body))[:60] if isinstance(body, dict) else type(body).__name__
        raise Refused(400, "there are no inputs", found, 'Send {"inputs": ["a text", "another"]}')
    if len(inputs) > MOST:
        what = f"more than {MOST:,} inputs at a time"
        raise Refused(413, what, f"{len(inputs):,}", "Send them in several requests")
    return inputs


def info(predictor: Predictor, run: RunDir) -> dict[str, Any]:
    """What the model is, as JSON."""
    task = predictor.task
    metrics, data = run.read("metrics.json", {}), run.read("data.json", {})
    return {
        "run": run.path.name,
        "attune": machine.version(),
        "task": task.name,
        "precision": predictor.precision,
        "reads": predictor.names,
        "max_tokens": predictor.encoder.max_tokens,
        "long_texts": predictor.encoder.long_texts,
        "labels": list(task.labels),
        "metric": task.main_metric,
        "metric_name": scale(task.main_metric).words,
        "test": metrics.get("test", {}).get(task.main_metric),
        "train_rows": data.get("splits", {}).get("train", {}).get("rows"),
    }


def _file(name: str, kind: str) -> Any:
    content = (files("attune.serve") / name).read_bytes()
    if kind == "text/css":
        content = (files("attune") / "palette.css").read_bytes() + content

    async def send(_: Request) -> Response:
        return Response(content, media_type=kind, headers=GUARDS)

    return send


def _json(value: Any, status: int = 200, **headers: str) -> Response:
    return JSONResponse(value, status, headers={**GUARDS, **headers})


async def _mistaken(_: Request, error: Exception) -> Response:
    assert isinstance(error, AttuneError)
    status = 422 if isinstance(error, DataError) else 500
    return _json({"problems": [problem.as_dict() for problem in error.problems]}, status)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json({"problems": [error.problem.as_dict()]}, error.status)


async def _elsewhere(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    fix = 'GET /, /info or /health, or POST {"inputs": [...]} to /predict'
    problem = Problem("request", str(error.detail).lower(), fix=fix)
    return _json({"problems": [problem.as_dict()]}, error.status_code, **dict(error.headers or {}))


async def _busy(_: Request, error: Exception) -> Response:
    what = "too many inputs are waiting, or the server is ending"
    problem = Problem("request", what, fix="Ask again in a second")
    return _json({"problems": [problem.as_dict()]}, 503, **{"Retry-After": "1"})


async def _failed(_: Request, error: Exception) -> Response:
    problem = Problem(
        "server", "the model could not answer", type(error).__name__, "Look at the server's terminal"
    )
    return _json({"problems": [problem.as_dict()]}, 500)


HANDLERS: dict[Any, Any] = {
    AttuneError: _mistaken,
    Refused: _refused,
    Busy: _busy,
    HTTPException: _elsewhere,
    Exception: _failed,
}
