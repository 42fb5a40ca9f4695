"""How near `attune plan` comes to what a training then takes: seconds and peak memory, on several jobs.

    python benchmarks/plans.py DATA [--only sst2,wnut17] [--rounds 1] [--out benchmarks/results/plans.json]

DATA is a folder with a folder for each data set, as `bench.py` takes it. Each job is planned and then trained, in
processes of their own, one after the other; early stopping is off, so that all that was planned happens. Compared are
the seconds of training (steps, evaluations, checkpoints) and the most memory that the process held until the test
rows were measured. The seconds are compared by the clock, and at the pace that the machine gave the steps of each
(`sides/clock.py`): a plan cannot know that the next minute is another one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sides.clock import Clock, paced

MODEL = "starter/bert"  # attune's own choice
FEW = ("data.valid_share=0.01", "train.epochs=0.04")
JOBS = {
    "sst2": ("sst2", *FEW),
    "sst2-lora": ("sst2", *FEW, "method.name=lora"),
    "sst2-last": ("sst2", *FEW, "method.name=last"),
    "banking77": ("banking77", "data.valid_share=0.05", "train.epochs=0.3"),
    "imdb": ("imdb", "data.valid_share=0.02", "train.epochs=0.06"),
    "wnut17": ("wnut17", "train.epochs=0.5"),
    "squad": ("squad", "train.epochs=0.1"),
    "mrpc": ("mrpc", "train.epochs=0.5"),
}


def watched(words: list[str]) -> None:
    """A command of attune in this process; the machine's pace during its steps is one event more."""
    from attune import cli

    clock = Clock(MODEL)
    sys.argv = ["attune", *words]
    try:
        with clock.running():
            cli.main()
    finally:
        print(json.dumps({"event": "pace", **clock.told()}))


def attune(*words: str) -> tuple[list[dict], float]:
    """The events that a command of attune prints, and the GFLOP/s of products during its steps."""
    command = [sys.executable, __file__, "--watched", *words]
    surroundings = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    if done.returncode:
        sys.exit(f"attune {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    *events, pace = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return events, pace["gflops"]


def compared(name: str, data: Path) -> dict:
    """What was planned of a job beside what it took."""
    folder, *knobs = JOBS[name]
    words = (str(data / folder), *knobs, "train.patience=0", "--json")
    said, pace = attune("plan", *words)
    told = next(event for event in said if event["event"] == "forecast")
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        _, pace_then = attune("train", *words, "--out", str(run))
        cost = json.loads((run / "details.json").read_text(encoding="utf-8"))["cost"]
        events = [
            json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
        ]
    between = sum(event["seconds"] for event in events if event["event"] in ("evaluated", "saved"))
    return {
        "job": name,
        "planned_s": told["seconds"],
        "took_s": cost["train_seconds"],
        "planned_between_s": told["evaluation_seconds"],  # steps: evaluations and checkpoints
        "took_between_s": between,
        "gflops": [pace, pace_then],
        "time": told["seconds"] / cost["train_seconds"],
        "paced": paced({"seconds": told["seconds"], "gflops": pace})
        / paced({"seconds": cost["train_seconds"], "gflops": pace_then}),
        "planned_mib": told["peak_memory_mib"],
        "took_mib": cost["peak_memory_mib"],
        "memory": told["peak_memory_mib"] / cost["peak_memory_mib"],
    }


def table(results: list[dict]) -> str:
    """A line for each job and round."""
    lines = [
        "| job | planned s | took s | planned / took | at one pace | planned MiB | took MiB | planned / took |",
        "|---" * 8 + "|",
    ]
    for each in results:
        time = f"{each['planned_s']:.1f} | {each['took_s']:.1f} | {each['time']:.2f} | {each['paced']:.2f}"
        memory = f"{each['planned_mib']:,.0f} | {each['took_mib']:,.0f} | {each['memory']:.2f}"
        lines.append(f"| {each['job']} | {time} | {memory} |")
    return "\n".join(lines)


def main() -> None:
    """Plans and trains job after job; the JSON is written after each, the table printed at the end."""
    if sys.argv[1:2] == ["--watched"]:
        watched(sys.argv[2:])
        return
    from attune import files, machine

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--only", default="", help="jobs, by commas")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", default="benchmarks/results/plans.json")
    given = parser.parse_args()
    chosen = [name for name in given.only.split(",") if name] or list(JOBS)
    if unknown := set(chosen) - set(JOBS):
        parser.error(f"--only: {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    if not any((Path(given.data) / JOBS[name][0]).is_dir() for name in chosen):
        parser.error(f"{given.data}: there is no folder of a job in it: {', '.join(JOBS)}")
    out, results = Path(given.out), []
    out.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(given.rounds):
        for name in chosen:
            if (Path(given.data) / JOBS[name][0]).is_dir():
                results.append(compared(name, Path(given.data)))
                print(results[-1], flush=True)
                files.write_json(out, {"environment": machine.environment(0), "results": results})
    print(table(results))


if __name__ == "__main__":
    main()
