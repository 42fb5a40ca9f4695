"""The results of a comparison as tables and sentences."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable

from sides.clock import paced

Spent = Callable[[dict], float]  # what a training took
by_clock, by_processor = operator.itemgetter("seconds"), operator.itemgetter("cpu_seconds")


def speeds(results: list[dict]) -> str:
    """Median speed, its ratio to the reference seed by seed, score and memory of each system."""
    reference = reference_of(results)
    lines = [
        f"| system | real tokens/s | x {reference} by processor seconds, median (range) | the same at one pace "
        f"| {results[0]['metric']} (each seed) | peak memory MiB |",
        "|---|---|---|---|---|---|",
    ]
    for system in systems_of(results):
        own = [result for result in results if result["system"] == system]
        score = ", ".join(f"{result['score']:.4f}" for result in own)
        lines.append(
            f"| {system} | {statistics.median(_speeds(own, by_clock).values()):,.0f} "
            f"| {_ratios(results, system, reference, by_processor)} "
            f"| {_ratios(results, system, reference, paced)} | {score} "
            f"| {max(result['peak_memory_mib'] for result in own):,.0f} |"
        )
    return "\n".join(lines)


def _speeds(results: list[dict], spent: Spent) -> dict[int, float]:
    return {result["seed"]: result["tokens"] / spent(result) for result in results}


def _ratios(results: list[dict], system: str, reference: str, spent: Spent) -> str:
    ours, theirs = (
        _speeds([result for result in results if result["system"] == name], spent)
        for name in (system, reference)
    )
    ratios = [speed / theirs[seed] for seed, speed in ours.items() if seed in theirs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"


def paired(results: list[dict]) -> list[dict]:
    """The mean difference in score to the reference over the seeds, with its 95 % t interval."""
    from scipy import stats

    reference, found = reference_of(results), []
    held = {(r["system"], r["seed"]): r["score"] for r in results}
    for system in systems_of(results):
        gaps = [held[system, seed] - held[reference, seed] for name, seed in held if name == system]
        if system == reference:
            continue
        mean, half = statistics.fmean(gaps), float("nan")
        if len(gaps) > 1:
            error = statistics.stdev(gaps) / len(gaps) ** 0.5
            half = float(stats.t.ppf(0.975, len(gaps) - 1)) * error
        found.append(
            {"system": system, "reference": reference, "difference": mean, "half": half, "n": len(gaps)}
        )
    return found


def sentences(gaps: list[dict]) -> str:
    """The paired differences, one a line."""
    lines = []
    for gap in gaps:
        start = f"score of {gap['system']} - {gap['reference']}: {gap['difference']:+.4f}"
        low, high = gap["difference"] - gap["half"], gap["difference"] + gap["half"]
        lines.append(
            f"{start} [{low:+.4f}, {high:+.4f}], 95 % t interval over {gap['n']} seeds"
            if gap["n"] > 1
            else f"{start}, one seed: no interval"
        )
    return "\n".join(lines)


def systems_of(results: list[dict]) -> list[str]:
    """The systems that ran, in the order of their first turn."""
    return list(dict.fromkeys(result["system"] for result in results))


def reference_of(results: list[dict]) -> str:
    """What the others are compared with: the Trainer as it comes, if it ran."""
    ran = systems_of(results)
    return "trainer" if "trainer" in ran else ran[0]
