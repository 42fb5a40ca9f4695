"""How often the intervals of attune.metrics hold the truth, on simulated rows whose truth is known.

    python benchmarks/interval_coverage.py --out results.json [--trials 400] [--only NAME …]

A case draws fresh rows again and again from one population; its truth is the score of the population (computed
where that is possible, else of two million rows). Out come, for every case, the share of the trials in which
the interval of nominal 95 % holds the truth, the shares in which it lies too high or too low, and its mean width.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from attune.metrics import calibration, intervals, labels, numbers, spans

MANY = 2_000_000
Case = tuple[float, Callable[[np.random.Generator, int], intervals.Interval]]


def macro(classes: int, rows: int, right: float, metric: str = "f1_macro") -> Case:
    """Classes of unequal difficulty, with a mean share of right answers and `rows` rows each on average."""
    rng = np.random.default_rng(classes)
    diagonal = np.clip(right + 0.15 * rng.normal(size=classes), 0.05, 0.99)
    population = np.zeros((classes, classes))
    for one, share in enumerate(diagonal):
        others = rng.dirichlet(np.full(classes - 1, 0.3)) * (1 - share)
        population[one] = np.insert(others, one, share) / classes

    def draw(rng: np.random.Generator, seed: int) -> intervals.Interval:
        cells = rng.choice(classes**2, size=classes * rows, p=population.reshape(-1))
        gold, said = cells // classes, cells % classes
        return intervals.bootstrap(gold, np.eye(classes)[said], classes, samples=500, seed=seed)[metric]

    return float(labels.COUNTED[metric](population)), draw


def binary(metric: str, rows: int, sharp: float = 1.5) -> Case:
    """Two classes whose logits are normal around the truth."""

    def rows_of(rng: np.random.Generator, n: int):
        gold = rng.integers(2, size=n)
        logit = rng.normal(size=n) * 1.5 + sharp * (2 * gold - 1)
        sure = 1 / (1 + np.exp(-logit))
        return gold, np.stack([1 - sure, sure], axis=1)

    def draw(rng: np.random.Generator, seed: int) -> intervals.Interval:
        return intervals.bootstrap(*rows_of(rng, rows), 2, samples=500, seed=seed)[metric]

    return labels.score(*rows_of(np.random.default_rng(7), MANY), 2)[metric], draw


def ece(rows: int, right: Callable[[np.ndarray], np.ndarray], lowest: float = 0.5) -> Case:
    """A model whose confidence is spread above `lowest` and whose share of right answers is right(confidence)."""

    def confidence(rng: np.random.Generator, n: int) -> np.ndarray:
        return lowest + (1 - lowest) * rng.beta(4, 1.5, size=n)

    sure = confidence(np.random.default_rng(7), MANY)
    gaps = np.bincount(calibration.binned(np.ones(MANY, int), _two(sure))[0], right(sure) - sure)

    def draw(rng: np.random.Generator, seed: int) -> intervals.Interval:
        sure = confidence(rng, rows)
        gold = (rng.random(rows) < right(sure)).astype(int)
        return intervals.bootstrap(gold, _two(sure), 2, samples=1, seed=seed)["ece"]

    return float(np.abs(gaps).sum() / MANY), draw


def _two(sure: np.ndarray) -> np.ndarray:
    return np.stack([1 - sure, sure], axis=1)


def entities(rows: int) -> Case:
    """Sentences of 12 words with PER and LOC, of which models miss some, cut some and confuse some."""
    types = ["LOC", "PER"]

    def sentence(rng: np.random.Generator):
        gold, said = [], []
        while len(gold) < 12:
            if rng.random() < 0.7:
                gold.append("O")
                said.append("B-PER" if rng.random() < 0.03 else "O")
                continue
            kind, other = types if rng.random() < 0.5 else types[::-1]
            taken = other if rng.random() < 0.08 else kind
            whole = [f"B-{taken}", f"I-{taken}" if rng.random() < 0.9 else "O"]
            gold += [f"B-{kind}", f"I-{kind}"]
            said += whole if rng.random() < 0.92 else ["O", "O"]
        return gold, said

    def statistics(rng: np.random.Generator, n: int) -> np.ndarray:
        return spans.statistics(*zip(*(sentence(rng) for _ in range(n)), strict=True), types)

    def draw(rng: np.random.Generator, seed: int) -> intervals.Interval:
        return intervals.of_sums(statistics(rng, rows), spans.scores, samples=500, seed=seed)["overall_f1"]

    return float(spans.scores(statistics(np.random.default_rng(7), 50_000).sum(0))["overall_f1"]), draw


def correlation(metric: str, rows: int, rho: float) -> Case:
    """Normal numbers with a correlation of rho; Spearman's is then known (Pearson 1907)."""

    def draw(rng: np.random.Generator, seed: int) -> intervals.Interval:
        gold, noise = rng.normal(size=(2, rows))
        table = numbers.statistics(gold, rho * gold + np.sqrt(1 - rho**2) * noise)
        return intervals.of_sums(table, numbers.scores, samples=500, seed=seed)[metric]

    return rho if metric == "pearson" else float(6 / np.pi * np.arcsin(rho / 2)), draw


CASES: dict[str, Callable[[], Case]] = {
    "accuracy, 100 rows, about 0.80": lambda: macro(4, 25, 0.8, "accuracy"),
    "accuracy, 100 rows, about 0.99": lambda: macro(2, 50, 1.2, "accuracy"),
    "macro-F1, 3 classes x 30": lambda: macro(3, 30, 0.8),
    "macro-F1, 20 classes x 20": lambda: macro(20, 20, 0.8),
    "macro-F1, 77 classes x 10": lambda: macro(77, 10, 0.85),
    "macro-F1, 77 classes x 10, poor model": lambda: macro(77, 10, 0.6),
    "macro-F1, 150 classes x 5": lambda: macro(150, 5, 0.8),
    "log loss, 50 rows": lambda: binary("log_loss", 50),
    "log loss, 25 rows": lambda: binary("log_loss", 25),
    "log loss, 50 rows, few large losses": lambda: binary("log_loss", 50, sharp=3.0),
    "log loss, 150 rows": lambda: binary("log_loss", 150),
    "log loss, 150 rows, few large losses": lambda: binary("log_loss", 150, sharp=3.0),
    "ROC AUC, 150 rows": lambda: binary("roc_auc", 150),
    "average precision, 150 rows": lambda: binary("average_precision", 150),
    "ECE, calibrated, 100 rows": lambda: ece(100, lambda sure: sure),
    "ECE, calibrated, 1,000 rows": lambda: ece(1000, lambda sure: sure),
    "ECE, nearly calibrated, 1,000 rows": lambda: ece(1000, lambda sure: sure - 0.01),
    "ECE, 0.08 too sure, 100 rows": lambda: ece(100, lambda sure: sure - 0.08),
    "ECE, 0.08 too sure, 1,000 rows": lambda: ece(1000, lambda sure: sure - 0.08),
    "ECE, too sure and too unsure, 400 rows": lambda: ece(
        400, lambda s: np.clip(s + 0.1 * np.sin(12 * s), 0, 1)
    ),
    "ECE, nearly always right, 100 rows": lambda: ece(100, lambda sure: sure - 0.04, lowest=0.98),
    "ECE, nearly always right, 400 rows": lambda: ece(400, lambda sure: sure - 0.04, lowest=0.98),
    "entity F1, 40 sentences": lambda: entities(40),
    "entity F1, 200 sentences": lambda: entities(200),
    "Spearman 0.48, 50 rows": lambda: correlation("spearmanr", 50, 0.5),
    "Spearman 0.84, 100 rows": lambda: correlation("spearmanr", 100, 0.85),
    "Spearman 0.95, 30 rows": lambda: correlation("spearmanr", 30, 0.95),
    "Pearson 0.85, 100 rows": lambda: correlation("pearson", 100, 0.85),
}


def coverage(case: Case, trials: int) -> dict[str, float]:
    """The shares of trials in which the interval holds the truth, lies above and below it; truth and width."""
    truth, draw = case
    rng = np.random.default_rng(1)
    found = [draw(rng, seed) for seed in range(trials)]
    low, high = (np.array([getattr(interval, end) for interval in found]) for end in ("low", "high"))
    return {
        "coverage": float(((low <= truth) & (truth <= high)).mean()),
        "too_high": float((low > truth).mean()),
        "too_low": float((high < truth).mean()),
        "width": float((high - low).mean()),
        "noted": float(np.mean([bool(interval.note) for interval in found])),
        "truth": truth,
        "trials": trials,
    }


def main() -> None:
    """Writes the coverage of every case, after each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    given = parser.parse_args()
    results = {}
    for name in given.only:
        results[name] = coverage(CASES[name](), given.trials)
        given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
        print(f"{name:42s} {results[name]['coverage']:.3f}", flush=True)


if __name__ == "__main__":
    main()
