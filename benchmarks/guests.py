"""Whole jobs of systems that need environments of their own, beside attune's: from the file to the test rows' labels.

    python benchmarks/guests.py FOLDER ENVIRONMENTS [--only flair,setfit] [--rows 3000] [--seeds 1]

FOLDER has train.* and test.* with texts and labels. ENVIRONMENTS is a folder for one virtual environment a guest,
made when it is not there (a gigabyte each). Everybody gets the same rows, model (`starter/bert`), epochs, batch and
rate, and one process in turn; counted is all that it takes, imports and reading too, by the clock and by processor
seconds, and the accuracy of the test rows. attune stands there twice: the plain command, with validation, baselines,
intervals, explanations, parity check and report, which no guest does; and its training alone, as `peers.py` has it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sides.job import PROTOCOL, Job, prepared

HERE = Path(__file__).resolve().parent
CONSTRAINTS = (HERE.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
TORCH = next(line for line in CONSTRAINTS if line.startswith("torch=="))
# what pip installs for each; of their pins only those of SetFit admit transformers 5
GUESTS = {
    "flair": [TORCH, "flair==0.15.1"],
    "setfit": [TORCH, "setfit==1.2.0"],
    "simpletransformers": [TORCH, "simpletransformers==0.70.8", "transformers<5"],
    "spacy": [TORCH, "spacy-transformers==1.4.0"],
}
ATTUNE = ("attune, the whole command", "attune, training alone")


def environment(name: str, folder: Path) -> Path:
    """The Python of a guest's environment, made when it is not there."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *GUESTS[name]], check=True)
    return python


def counted(words: list[str], **variables: str) -> tuple[dict, str]:
    """What a process took, and what it printed."""
    before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **quiet, **variables}
    )
    if done.returncode:
        sys.exit(f"{' '.join(words[:2])} failed:\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - clock, "cpu_seconds": cpu}, done.stdout


def written(job: Job, folder: Path) -> dict[str, str]:
    """The rows of the job as CSV, for everybody."""
    rows, paths = prepared(job).rows, {}
    for split in ("train", "test"):
        paths[split] = str(folder / f"{split}.csv")
        with Path(paths[split]).open("w", encoding="utf-8", newline="") as file:
            cells = (rows.tables[split].column(name) for name in ("text", "label"))
            csv.writer(file).writerows([("text", "label"), *zip(*cells, strict=True)])
    return paths


def by_attune(name: str, job: Job, paths: dict[str, str], folder: Path) -> dict:
    """attune's whole command, or its training alone."""
    if name == ATTUNE[0]:
        out = folder / f"run{job.seed}"
        knobs = {
            "epochs": job.epochs,
            "lr": job.lr,
            "batch": PROTOCOL["batch"],
            "seed": job.seed,
            "warmup": 0,
        }
        words = [
            "-m",
            "attune.cli",
            "train",
            paths["train"],
            "--test",
            paths["test"],
            "--out",
            str(out),
            "-q",
        ]
        words += [f"train.{knob}={value}" for knob, value in knobs.items()]
        found, _ = counted([sys.executable, *words])
        metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        return {**found, "accuracy": metrics["test"]["accuracy"]["value"]}
    words = [str(HERE / "peers.py"), job.folder, "--system", "attune", "--seed", str(job.seed)]
    words += ["--rows", str(job.rows), "--epochs", str(job.epochs), "--lr", str(job.lr), "--model", job.model]
    found, said = counted([sys.executable, *words])
    return {**found, "accuracy": json.loads(said.strip().splitlines()[-1])["score"]}


def by_guest(name: str, job: Job, paths: dict[str, str], python: Path) -> dict:
    """One guest's job in its own environment."""
    from attune.models import load

    how = {"model": load.locate(job.model), "epochs": job.epochs, "lr": job.lr, "seed": job.seed}
    words = json.dumps({**paths, **how, "batch": PROTOCOL["batch"], "max_tokens": PROTOCOL["max_tokens"]})
    found, said = counted([str(python), str(HERE / "guests" / f"{name}_side.py"), words], PYTHONPATH="")
    return {**found, **json.loads(said.strip().splitlines()[-1])}


def table(results: list[dict]) -> str:
    """A line for each result."""
    lines = ["| system | seed | seconds | processor seconds | accuracy |", "|---|---|---|---|---|"]
    for each in results:
        took = f"{each['seconds']:,.0f} | {each['cpu_seconds']:,.0f}"
        lines.append(f"| {each['system']} | {each['seed']} | {took} | {each['accuracy']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Makes the environments, then takes the systems in turn, seed by seed; writes after each."""
    from attune import files, machine

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("environments")
    parser.add_argument("--only", default=",".join(GUESTS), help="guests, by commas")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--out", default="benchmarks/results/guests.json")
    given = parser.parse_args()
    chosen = [name for name in given.only.split(",") if name]
    if unknown := set(chosen) - set(GUESTS):
        parser.error(f"--only: {', '.join(sorted(unknown))}; there are {', '.join(GUESTS)}")
    pythons = {name: environment(name, Path(given.environments)) for name in chosen}
    out, results = Path(given.out), []
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(given.seeds):
            job = Job(given.folder, given.model, given.epochs, given.lr, seed, given.rows)
            paths = written(job, Path(scratch))
            for name in (*ATTUNE, *chosen):
                if name in ATTUNE:
                    found = by_attune(name, job, paths, Path(scratch))
                else:
                    found = by_guest(name, job, paths, pythons[name])
                results.append({"system": name, "seed": seed, **found})
                print(results[-1], flush=True)
                files.write_json(out, {"environment": machine.environment(0), "results": results})
    print(table(results))


if __name__ == "__main__":
    main()
