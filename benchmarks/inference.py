"""How fast a finished run answers texts, beside transformers' own pipeline on the same stored model.

    python benchmarks/inference.py RUN TEXTS.csv --texts 1000 --rounds 3

TEXTS is any file that attune reads; its text column is the run's, else --text. Systems answer the same texts in one
process, in turn: attune, attune in bfloat16 and int8 where the processor has them, `pipeline(batch_size=32)` with the
texts as they come, and the same with the texts sorted by length beforehand, which few users do. What is made once
(imports, model, compiled kernels) is not counted. With `--label COLUMN` the file also says what is right (rows that
the run did not learn from, then), and the accuracy of each system stands beside attune's in float32. Seconds of the
clock, and the processor's seconds of all threads, which other work on the machine distorts less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import pipeline

import attune
from attune import files, machine, rundir
from attune.data import read

BATCH = 32
WARM = 64  # texts that are answered before anything is counted
Answer = Callable[[list[str]], list[str]]  # texts to their labels


def rows_of(given: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The first texts of the file, and what is right of them, where a column is named for it."""
    column = given.text or rundir.find(given.run).read("data.json")["roles"]["text"]
    table = read.read(given.source)
    texts, right = (
        [str(cell) for cell in table.column(name)[: given.texts]] if name else []
        for name in (column, given.label)
    )
    return texts, right


def systems(run: str) -> dict[str, Answer]:
    """Who answers."""
    predictor = attune.load(run)
    has = {"bfloat16": machine.bfloat16(), "int8": machine.int8()}
    short = {name: attune.load(run, precision=name) for name, here in has.items() if here}
    theirs: Any = pipeline("text-classification", model=str(rundir.find(run).model), dtype=torch.float32)

    def as_they_come(texts: list[str]) -> list[str]:
        return [found["label"] for found in theirs(texts, batch_size=BATCH, truncation=True)]

    def sorted_by_length(texts: list[str]) -> list[str]:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = dict(zip(order, as_they_come([texts[place] for place in order]), strict=True))
        return [found[place] for place in range(len(texts))]

    ours = {"attune": predictor, **{f"attune, {name}": held for name, held in short.items()}}
    return {
        **{name: partial(labels, held) for name, held in ours.items()},
        "pipeline": as_they_come,
        "pipeline, sorted": sorted_by_length,
    }


def labels(predictor: attune.Predictor, texts: list[str]) -> list[str]:
    """attune's answers."""
    return [answer.label for answer in predictor.predict(texts)]


def measure(answering: dict[str, Answer], texts: list[str], rounds: int) -> list[dict[str, Any]]:
    """One entry for each system and round."""
    for answer in answering.values():
        answer(texts[:WARM])
    results = []
    for turn in range(rounds):
        for name, answer in answering.items():
            clock, cpu = time.perf_counter(), time.process_time()
            labels = answer(texts)
            spent = {"clock_s": time.perf_counter() - clock, "cpu_s": time.process_time() - cpu}
            results.append({"system": name, "turn": turn, **spent, "labels": labels})
            print(f"{name:18} {spent['clock_s']:8.2f} s, {spent['cpu_s']:8.2f} s of CPU", flush=True)
    return results


def summary(results: Sequence[dict[str, Any]], count: int, right: list[str]) -> dict[str, dict[str, Any]]:
    """Of each system: texts a second, how many times as fast attune is turn by turn, labels that are attune's."""
    by = {name: [r for r in results if r["system"] == name] for name in {r["system"]: 0 for r in results}}
    ours = by["attune"]
    found = {}
    for name, theirs in by.items():
        pairs = list(zip(ours, theirs, strict=True))
        same = sum(a == b for a, b in zip(ours[0]["labels"], theirs[0]["labels"], strict=True))
        found[name] = {
            "texts_per_s": count / statistics.median(r["clock_s"] for r in theirs),
            "texts_per_cpu_s": count / statistics.median(r["cpu_s"] for r in theirs),
            "attune_faster_clock": statistics.median(b["clock_s"] / a["clock_s"] for a, b in pairs),
            "attune_faster_cpu": statistics.median(b["cpu_s"] / a["cpu_s"] for a, b in pairs),
            "same_labels": same / count,
            **(accuracy(theirs[0]["labels"], ours[0]["labels"], right) if right else {}),
        }
    return found


def accuracy(labels: list[str], others: list[str], right: list[str]) -> dict[str, Any]:
    """The share that is right, and its difference to that of others on the same texts, with a 95 % interval.

    Half a pair is added to each cell, so that no difference among few texts is no proof of none: Agresti and Min,
    Simple improved confidence intervals for comparing matched proportions, Statistics in Medicine 24, 2005.
    """
    pairs = list(zip(labels, others, right, strict=True))
    more, less = (0.5 + sum(a == true != b for a, b, true in each) for each in (pairs, _turned(pairs)))
    n = len(pairs) + 2
    error = (more + less - (more - less) ** 2 / n) ** 0.5 / n
    middle = (more - less) / n
    return {
        "accuracy": sum(a == true for a, _, true in pairs) / len(pairs),
        "gap": [(more - less) / len(pairs), middle - 1.96 * error, middle + 1.96 * error],
    }


def _turned(pairs: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [(b, a, true) for a, b, true in pairs]


def table(found: dict[str, dict[str, Any]]) -> str:
    """The summary for people."""
    right = any("gap" in of for of in found.values())
    lines = ["| system | texts/s | texts per CPU second | attune is, by CPU | by clock | same labels |"]
    lines[0] += " accuracy, difference to attune's |" if right else ""
    lines.append("|---" * (7 if right else 6) + "|")
    for name, of in found.items():
        speeds = f"{of['texts_per_s']:,.0f} | {of['texts_per_cpu_s']:,.0f}"
        ratios = f"{of['attune_faster_cpu']:.2f} x | {of['attune_faster_clock']:.2f} x"
        told = f"| {name} | {speeds} | {ratios} | {of['same_labels']:.2%} |"
        if "gap" in of:
            gap, low, high = (100 * value for value in of["gap"])
            told += f" {of['accuracy']:.2%}, {gap:+.2f} points [{low:+.2f}, {high:+.2f}] |"
        lines.append(told)
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table and writes everything as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("source", metavar="TEXTS")
    parser.add_argument("--text", default="", help="the column with the text")
    parser.add_argument("--label", default="", help="the column that says what is right")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default="benchmarks/results/inference.json")
    given = parser.parse_args()
    texts, right = rows_of(given)
    load = os.getloadavg()[0]
    results = measure(systems(given.run), texts, given.rounds)
    found = summary(results, len(texts), right)
    spent = [{name: value for name, value in result.items() if name != "labels"} for result in results]
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)
    knobs = {**vars(given), "texts": len(texts), "load_before": load}
    of = {"knobs": knobs, "environment": machine.environment(0), "summary": found, "turns": spent}
    files.write_json(Path(given.out), of)
    print(f"\n{table(found)}\n\n{given.out}")


if __name__ == "__main__":
    main()
