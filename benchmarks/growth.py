"""How time and memory grow with the rows: each size in a process of its own, phase by phase, and a plot.

    python benchmarks/growth.py FILE [--text sentence] [--label label] [--sizes 1000,10000,100000,1000000]
        [--steps 20] [--joined 1] [--out benchmarks/results/growth.json]

FILE is a labelled file of real texts, each with six other words of the file at its end. Larger sizes repeat them with
others, so that the repeats are no duplicates; rows of all sizes are as long, and so are the batches. A process reads,
checks and splits the rows, encodes them, and takes `--steps` optimizer steps; of each phase the JSON holds the
seconds (by the clock and of the processor), and the peak of the memory that was resident until its end. The training
steps are as many at every size: that their time and the memory they add do not grow is the claim, that the rest
grows in line with the rows is the other. A PNG of both lies beside the JSON. With `--joined` each row is so many
texts; with `--steps 0` the rows are only read, checked and split. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDED = 6  # words at the end of each row
PHASES = ("reading", "encoding", "training")


def write_rows(source: str, size: int, path: Path, given: argparse.Namespace) -> None:
    """A CSV of so many rows: the file's own, again and again with other words at the end."""
    from attune.data.read import read

    table = read(source)
    texts, labels = list(table.column(given.text)), list(table.column(given.label))
    words, draw = " ".join(texts[:5000]).split(), random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for row in range(size):
            own = texts[row % len(texts)]
            held = " ".join([own, *(draw.choice(texts) for _ in range(given.joined - 1))])
            more = " ".join(draw.choice(words) for _ in range(ADDED))
            writer.writerow([f"{held} {more}", labels[row % len(labels)]])


def one(path: str, model: str, steps: int) -> dict:
    """The seconds and peak MiB of each phase, in this process."""
    from attune import machine, prepare, recipe_file, run
    from attune.training import loop
    from attune.training.checkpoint import Store

    found: dict = {}

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        found[name] = {
            "seconds": time.perf_counter() - clock,
            "cpu_seconds": time.process_time() - cpu,
            "peak_memory_mib": machine.peak_memory_mib(),
        }

    with phase("imports"):
        import transformers  # noqa: F401 - what it takes belongs to no row
        from transformers import BertForSequenceClassification  # noqa: F401
    with phase("reading"):
        rows = prepare.rows(recipe_file.load(path, [], {"model.base": model}))
    if not steps:
        return found
    with phase("encoding"):
        ready = prepare.prepare(rows)
    with tempfile.TemporaryDirectory() as scratch:
        trial = run.fitting(ready, Store(Path(scratch)))
        parts = trial.steps(0)[: steps + 1]
        loop.step_of(trial, parts[0], 1, total=len(parts), epoch=0.0)  # kernels are made, caches filled
        with phase("training"):
            for number, part in enumerate(parts[1:], 2):
                loop.step_of(trial, part, number, total=len(parts), epoch=0.0)
    found["tokens"] = int(sum(ready.features["train"].sequences.lengths[part].sum() for part in parts[1:]))
    return found


def measured(given: argparse.Namespace) -> list[dict]:
    """The results of all sizes, each from a process of its own."""
    results = []
    for size in map(int, given.sizes.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "rows.csv"
            write_rows(given.file, size, path, given)
            words = [sys.executable, __file__, str(path), "--one", "--model", given.model]
            done = subprocess.run(
                [*words, "--steps", str(given.steps)], capture_output=True, text=True, check=False
            )
        if done.returncode:
            sys.exit(f"{size} rows failed:\n{done.stderr[-2000:]}")
        results.append(
            {"rows": size, "joined": given.joined, **json.loads(done.stdout.strip().splitlines()[-1])}
        )
        print(results[-1], flush=True)
    return results


def table(results: list[dict]) -> str:
    """Seconds of each phase, memory at its end, and what a row adds to the memory."""
    lines = [
        "| rows | reading s | encoding s | training s | imports MiB | peak MiB |",
        "|---|---|---|---|---|---|",
    ]
    for found in results:
        seconds = " | ".join(
            f"{found[phase]['cpu_seconds']:,.1f}" if phase in found else "" for phase in PHASES
        )
        peak = max(found[phase]["peak_memory_mib"] for phase in PHASES if phase in found)
        lines.append(
            f"| {found['rows']:,} | {seconds} | {found['imports']['peak_memory_mib']:,.0f} | {peak:,.0f} |"
        )
    return "\n".join(lines)


def plot(results: list[dict], path: Path) -> None:
    """Seconds of each phase and peak memory over rows, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [found["rows"] for found in results]
    for phase in PHASES:
        left.plot(sizes, [found[phase]["cpu_seconds"] for found in results], marker="o", label=phase)
    left.set(title="processor seconds", xscale="log", yscale="log", xlabel="rows")
    left.legend()
    right.plot(sizes, [found["training"]["peak_memory_mib"] for found in results], marker="o")
    right.set(title="peak memory, MiB", xscale="log", xlabel="rows", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measures every size; writes JSON and plot, prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--text", default="sentence")
    parser.add_argument("--label", default="label")
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--joined", type=int, default=1, help="texts of a row")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--out", default="benchmarks/results/growth.json")
    parser.add_argument("--one", action="store_true", help="only this file, in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.file, given.model, given.steps)))
        return
    from attune import files, machine

    out = Path(given.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    results = measured(given)
    files.write_json(out, {"environment": machine.environment(0), "steps": given.steps, "results": results})
    if given.steps:
        plot(results, out.with_suffix(".png"))
    print(table(results))


if __name__ == "__main__":
    main()
