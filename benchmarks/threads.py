"""What waiting threads cost: a training's tokens a second, alone and beside a busy process, in turn.

    python benchmarks/threads.py [--seconds 10] [--turns 2] [--busy 1] [--out threads.json]

OpenMP's threads may spin while they wait (the default) or sleep (OMP_WAIT_POLICY=PASSIVE). Each turn is a process
of its own with one of the two policies; it trains `starter/bert` on the bundled reviews, batch 32, first alone
and then beside `--busy` processes that each keep a core busy. Turns alternate: passive, default, passive, default.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

POLICIES = ("passive", "default")
SITUATIONS = ("alone", "beside")
WARM_STEPS = 2  # not measured: the first steps allocate


def learner_and_rows():
    """What learns, and the features it learns from."""
    from attune.data import read, roles
    from attune.data import rows as by_role
    from attune.models import load
    from attune.models.tokens import TextEncoder
    from attune.tasks.classification import Classification, Options
    from attune.training import optim, update

    table = read.read(str(files("attune") / "samples" / "reviews.csv"))
    rows = by_role.canonical(table, roles.infer(table))
    task = Classification(Options())
    task.learn(rows)
    encoder = TextEncoder(load.tokenizer("starter/bert"), max_tokens=256)
    features = task.encode(rows, encoder, task.gold(rows))
    model = load.backbone("starter/bert", "classification", task.labels, seed=0)
    return update.Learner(task, model, optim.adamw(model.model, weight_decay=0.01), 1.0, str), features


def steps(learner, features) -> Iterator[int]:
    """Takes one optimizer step after the other, without an end; yields the tokens of each."""
    from itertools import count

    from attune.tasks.features import batch_of
    from attune.training import batches, update

    for epoch in count():
        for part in batches.steps_of(features, batch=32, by="rows", seed=0, epoch=epoch):
            micro = (
                batch_of(features, chosen) for chosen in batches.micro_batches(features, part, tokens=16384)
            )
            yield update.update(learner, micro, count=features.count(part), lr=1e-5).tokens


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def speed(taken: Iterator[int], seconds: float) -> float:
    """Tokens a second over whole steps, for `seconds` at least."""
    began, tokens = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        tokens += next(taken)
    return tokens / (time.perf_counter() - began)


def one(seconds: float, processes: int) -> dict[str, float]:
    """Both situations, measured in this process under the policy of its environment."""
    taken = steps(*learner_and_rows())
    for _ in range(WARM_STEPS):
        next(taken)
    load = os.getloadavg()[0]
    found = {"alone": speed(taken, seconds)}
    with busy(processes):
        found["beside"] = speed(taken, seconds)
    return {**found, "load_before": load}


def turn(policy: str, given: argparse.Namespace) -> dict[str, object]:
    """One turn in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if policy == "passive":
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    words = [sys.executable, str(Path(__file__).resolve()), "--one"]
    words += ["--seconds", str(given.seconds), "--busy", str(given.busy)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"the turn {policy!r} failed:\n{done.stderr[-2000:]}")
    return {"policy": policy, **json.loads(done.stdout.strip().splitlines()[-1])}


def table(results: list[dict]) -> str:
    """Tokens a second of each turn, how many times as fast PASSIVE is by the means, and the machine's load.

    A load of 0 before a turn says that "alone" was alone.
    """
    lines = [
        "| tokens/s | PASSIVE, each turn | default, each turn | PASSIVE / default |",
        "|---|---|---|---|",
    ]
    for situation in SITUATIONS:
        held = {policy: [r[situation] for r in results if r["policy"] == policy] for policy in POLICIES}
        each = [", ".join(f"{value:,.0f}" for value in held[policy]) for policy in POLICIES]
        ratio = statistics.fmean(held["passive"]) / statistics.fmean(held["default"])
        lines.append(f"| {situation} | {each[0]} | {each[1]} | {ratio:.2f} |")
    before = {
        policy: ", ".join(f"{r['load_before']:.1f}" for r in results if r["policy"] == policy)
        for policy in POLICIES
    }
    lines.append(f"| (load of the machine before) | {before['passive']} | {before['default']} | |")
    return "\n".join(lines)


def main() -> None:
    """Takes the turns, prints the table, writes the JSON."""
    from attune import files as written
    from attune import machine

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement, at least")
    parser.add_argument("--turns", type=int, default=2, help="of each policy")
    parser.add_argument("--busy", type=int, default=1, help="processes that keep a core busy")
    parser.add_argument("--out", default=str(Path(tempfile.gettempdir()) / "threads.json"))
    parser.add_argument("--one", action="store_true", help="only measure, under this environment")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.seconds, given.busy)))
        return
    results: list[dict] = []
    for policy in POLICIES * given.turns:
        results.append(turn(policy, given))
        print(results[-1], flush=True)
    knobs = {"seconds": given.seconds, "busy": given.busy}
    found = {"knobs": knobs, "environment": machine.environment(0), "results": results}
    written.write_json(Path(given.out), found)
    print(f"\n{table(results)}\n\n{given.out}")


if __name__ == "__main__":
    main()
