"""A run behind HTTP: what it answers, what it refuses, and how requests that wait are put together."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from attune.data import inputs
from attune.errors import DataError, MachineError, Problem
from attune.rundir import RunDir
from attune.serve import app, listen
from attune.serve.batches import Batches, Busy


@dataclass
class Said:
    label: str


class Echo:
    """A predictor that says what it was asked, and breaks where it is told to."""

    def __init__(self):
        self.names, self.calls, self.precision = {"text": "review"}, [], "float32"
        self.encoder = SimpleNamespace(max_tokens=256, long_texts="truncate")
        self.task = type(
            "Task", (), {"name": "classification", "labels": ("a", "b"), "main_metric": "f1_macro"}
        )

    def predict(self, inputs):
        self.calls.append(list(inputs))
        if "break" in inputs:
            raise RuntimeError("a secret of the model")
        if bad := [at for at, each in enumerate(inputs) if not isinstance(each, str)]:
            raise DataError(Problem(f"input {bad[0]}", "holds no text"))
        return [Said(each) for each in inputs]


@pytest.fixture
def client(tmp_path):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.write("metrics.json", {"test": {"f1_macro": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 50}}})
    made = app.made(Echo(), run, ["testserver"], "int8: 49 of 50 test rows")
    with TestClient(made, raise_server_exceptions=False) as held:
        yield held


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/predict", 405)])
def test_what_is_not_there_is_told_as_json_too(client, method, path, status):
    answer = client.request(method, path)
    (problem,) = answer.json()["problems"]
    assert answer.status_code == status
    assert "/predict" in problem["fix"]
    assert ("allow" in answer.headers) is (status == 405)


def test_inputs_are_answered_in_their_order(client):
    assert client.post("/predict", json={"inputs": ["x", "y"]}).json() == {
        "answers": [{"label": "x"}, {"label": "y"}]
    }
    assert client.post("/predict", json={"inputs": "x"}).json() == {"answers": [{"label": "x"}]}
    assert client.get("/health").json() == {"status": "ok", "waiting": 0, "answered": 3}


def test_what_the_model_is_stands_in_info_and_the_page_needs_nothing_from_elsewhere(client):
    told = client.get("/info").json()
    assert (told["task"], told["metric_name"], told["test"]["value"]) == ("classification", "macro-F1", 0.8)
    assert (told["max_tokens"], told["long_texts"]) == (256, "truncate")
    assert (told["precision"], told["rounding"]) == ("float32", "int8: 49 of 50 test rows")
    for path in ("/", "/page.css", "/page.js"):
        reply = client.get(path)
        assert reply.status_code == 200
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "//" not in reply.text.replace("// ", "")  # no address of another host
        assert "innerHTML" not in reply.text  # texts of answers are never read as HTML


@pytest.mark.parametrize(
    ("status", "what", "how"),
    [
        (415, "has to be JSON", {"content": b'{"inputs": ["x"]}', "headers": {"Content-Type": "text/plain"}}),
        (400, "is no JSON", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        (400, "is no JSON", {"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}),
        (400, "no inputs", {"json": {"input": ["x"]}}),
        (400, "no inputs", {"json": {"inputs": []}}),
        (400, "no inputs", {"json": ["x"]}),
        (400, "nothing but inputs", {"json": {"inputs": ["x"], "precision": "int8"}}),
        (413, "more than 1,024 inputs", {"json": {"inputs": ["x"] * 1025}}),
        (413, "longer than", {"json": {"inputs": ["x" * app.MOST_BYTES]}}),
        (422, "holds no text", {"json": {"inputs": ["x", 5]}}),
        (500, "could not answer", {"json": {"inputs": ["break"]}}),
    ],
)
def test_what_cannot_be_answered_is_a_sentence_and_the_next_request_is_answered(client, status, what, how):
    reply = client.post("/predict", **how)
    assert reply.status_code == status
    (problem,) = reply.json()["problems"]
    assert what in problem["what"]
    assert "secret" not in reply.text
    assert client.post("/predict", json={"inputs": ["x"]}).json() == {"answers": [{"label": "x"}]}


def test_another_name_that_points_here_is_refused(client):
    assert client.get("/info", headers={"Host": "evil.example"}).status_code == 400


def _asked(requests, *, answer, **limits):
    """What came of requests that all wait when the first is taken."""

    async def main():
        batches = Batches(answer, **limits)
        work = asyncio.create_task(batches.run())
        found = await asyncio.gather(*(batches.of(each) for each in requests), return_exceptions=True)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return found

    return asyncio.run(main())


def test_requests_that_wait_are_answered_together_and_as_many_as_fit():
    echo = Echo()
    found = _asked([["a"], ["b", "c"], ["d"]], answer=echo.predict, most=3)
    assert [[said.label for said in each] for each in found] == [["a"], ["b", "c"], ["d"]]
    assert echo.calls == [["a", "b", "c"], ["d"]]


def test_a_wrong_request_does_not_spoil_those_beside_it():
    echo = Echo()
    asked = [["a"], [5], *([f"{n}"] for n in range(60)), ["break"]]
    found = _asked(asked, answer=echo.predict)
    assert type(found[1]) is DataError
    assert "input 0" in str(found[1])  # as it was counted by the one who asked
    assert type(found[-1]) is RuntimeError
    assert all(type(each) is list for each in (found[0], *found[2:-1]))
    assert len(echo.calls) < 30  # halved, not taken one by one


def test_what_would_wait_too_long_is_turned_away():
    found = _asked([["a"], ["b"], ["c"]], answer=Echo().predict, most_waiting=2)
    assert [type(each) for each in found] == [list, list, Busy]


def test_a_request_whose_asker_has_gone_costs_nothing():
    echo = Echo()

    async def main():
        batches = Batches(echo.predict)
        gone = asyncio.create_task(batches.of(["gone"]))
        await asyncio.sleep(0)
        gone.cancel()
        work = asyncio.create_task(batches.run())
        await batches.of(["here"])
        work.cancel()

    asyncio.run(main())
    assert echo.calls == [["here"]]


def test_what_waits_when_the_server_ends_is_turned_away():
    async def main():
        batches = Batches(Echo().predict)
        waits = asyncio.create_task(batches.of(["a"]))
        await asyncio.sleep(0)
        batches.close()
        return await asyncio.gather(waits, batches.of(["b"]), return_exceptions=True)

    assert [type(each) for each in asyncio.run(main())] == [Busy, Busy]


def test_bytes_that_wait_are_bounded_too():
    async def main():
        batches = Batches(Echo().predict)
        many = [asyncio.create_task(batches.of(["a"], size=2**20)) for _ in range(40)]
        await asyncio.sleep(0)
        waited = len(batches.waiting)
        batches.close()
        await asyncio.gather(*many, return_exceptions=True)
        return waited

    assert asyncio.run(main()) == 32


def test_a_client_that_leaves_gives_its_place_up(tmp_path):
    """The request is cancelled while it waits, as a connection that closes does to it."""
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    echo = Echo()
    made = app.made(echo, run, ["*"])

    async def main():
        body = [{"type": "http.request", "body": b'{"inputs": ["x"]}'}, {"type": "http.disconnect"}]
        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": [
            (b"content-type", b"application/json"), (b"host", b"x")]}  # fmt: skip
        sent = []

        async def receive():
            return body.pop(0)

        async def send(message):
            sent.append(message)

        await made(scope, receive, send)  # nobody answers: the lifespan has not begun
        return sent[0]["status"], made.state.batches._next()

    assert asyncio.run(main()) == (499, [])
    assert echo.calls == []


@pytest.mark.parametrize(
    "given",
    [
        ["a", 3],
        [["a"]],
        {"text": "a b", "words": 5},
        {"text": "a b", "words": [[0, 99]]},
        {"text": "a b", "words": "x"},
    ],
)
def test_words_that_are_none_are_refused_before_a_model_sees_them(given):
    with pytest.raises(DataError, match="holds no text"):
        inputs.of_program([given], "tagging")


def test_a_port_that_is_taken_and_an_address_that_is_not_here_are_told():
    with listen.bound("127.0.0.1", 0) as held:
        assert listen.address(held).startswith("http://127.0.0.1:")
        with pytest.raises(MachineError, match="cannot be had"):
            listen.bound("127.0.0.1", held.getsockname()[1])
    with pytest.raises(MachineError):
        listen.bound("203.0.113.7", 0)


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_only_this_machine_reaches_the_loop(host, alone):
    assert listen.alone(host) is alone


@pytest.mark.slow
def test_the_command_serves_a_run_and_ends_when_it_is_told(checkpoints, tmp_path, reviews, monkeypatch):
    import httpx2

    import attune

    monkeypatch.undo()  # this test opens a connection to this machine
    run = attune.train(reviews, "train.epochs=1", out=tmp_path / "run", model=checkpoints("bert"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "attune.cli", "serve", str(run.path), "--port", str(port)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as server:
        for _ in range(200):
            if "answers at" in server.stderr.readline():
                break
        url, asked = f"http://127.0.0.1:{port}", ["good kettle", "bad kettle"]
        for _ in range(100):
            try:
                reply = httpx2.post(f"{url}/predict", json={"inputs": asked}, trust_env=False)
                break
            except httpx2.TransportError:
                time.sleep(0.1)
        told = reply.json()["answers"]
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    own = attune.load(run.path).predict(asked)
    assert [each["label"] for each in told] == [each.label for each in own]
    assert [each["probability"] for each in told] == pytest.approx(
        [each.probability for each in own], abs=1e-5
    )
