"""What attune set out to reach, and whether the results of `whole.py` do: one line for each bar and job.

Ratios are medians over the turns, with their range; those of trainings and plans are taken at the pace that the
machine gave each of them (`sides/clock.py`), those of answers by the processor's seconds. A bar counts as reached
when the median does; one that is missed says why, as far as it is known, and what was tried (`README.md` has the
measurements).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from sides.clock import paced

SHORT, LONG = ("sst2", "banking77"), ("imdb",)
FLAT = 1.1  # what a thousand times the rows may add to the memory, as a ratio

GROUPED = (
    "seven tenths of a step are products at the machine's own rate, and half of the grouped Trainer's: twice as fast "
    "is all there is; tried: one function for queries, keys and values (3 to 4 %, kept), one for each half of a "
    "layer, wider registers, norms and sums by BLAS, biases after the products (nothing)"
)
CEILING = (
    "the rest are passes between products that have no compiled kernel in this family (norms, biased attention), "
    "and many small calls; tried: dropout on a kernel (6 to 9 % of a step, kept)"
)
LUCK = (
    "872 rows do not tell a point of accuracy from luck; tried: five epochs planned, other rates and batches, "
    "the Trainer's own recipe, a head that begins at a regression (none is better on all seeds)"
)
QUIET = "a plan is a few steps by the clock, and no better than the moment of the machine in which it is made"
ROWS = (
    "some 100 bytes a row are held for good (places, lengths, labels); tried: rows, tokens and kept states in files, "
    "what reading left free given back to the system (116 MiB of a million rows)"
)


@dataclass(frozen=True)
class Bar:
    """A limit and what was measured, one value for each turn; `most`: no more than the limit, else no less.

    Without values it was not measured, and `why` says why.
    """

    what: str
    limit: float
    values: tuple[float, ...]
    most: bool = False
    why: str = ""  # it is missed, where it is

    @property
    def reached(self) -> bool:
        """Whether the median is on the right side."""
        middle = statistics.median(self.values)
        return middle <= self.limit if self.most else middle >= self.limit

    def line(self) -> str:
        """A row of the table."""
        if not self.values:
            return (
                f"| {self.what} | {'<=' if self.most else '>='} {self.limit:g} | not measured | {self.why} |"
            )
        middle, sign = statistics.median(self.values), "<=" if self.most else ">="
        spread = f" ({min(self.values):.2f} to {max(self.values):.2f})" if len(self.values) > 1 else ""
        told = "reached" if self.reached else "**missed**" + (f": {self.why}" if self.why else "")
        return f"| {self.what} | {sign} {self.limit:g} | {middle:.2f}{spread} | {told} |"


def table(found: dict[str, dict]) -> str:
    """All bars whose part ran, by the parts' names."""
    judges = {
        "table": trainings,
        "methods": methods,
        "accuracy": accuracy,
        "answers": answers,
        "plans": plans,
        "growth": growth,
    }
    bars = [bar for name, judge in judges.items() if name in found for bar in judge(found[name])]
    return "\n".join(["| what | bar | measured | |", "|---|---|---|---|", *(bar.line() for bar in bars)])


def trainings(found: dict) -> Iterator[Bar]:
    """Of `bench.py`: speed beside the Trainer, share of the ceiling, memory."""
    held = {(r["job"], r["system"], r["seed"]): r for r in found["results"]}
    for job in dict.fromkeys(r["job"] for r in found["results"]):
        own = {seed: r for (of, system, seed), r in held.items() if (of, system) == (job, "attune")}

        def beside(system: str, job: str = job, own: dict = own) -> tuple[float, ...]:
            return tuple(
                paced(held[job, system, seed]) / paced(r) * r["tokens"] / held[job, system, seed]["tokens"]
                for seed, r in own.items()
                if (job, system, seed) in held
            )

        if job in SHORT:
            yield from _if(f"{job}: times the Trainer as it comes", 3.0, beside("trainer"))
            yield from _if(
                f"{job}: times the Trainer grouped by length", 1.5, beside("trainer_tuned"), GROUPED
            )
        if job in LONG:
            yield from _if(f"{job}: times the Trainer grouped by length", 1.6, beside("trainer_tuned"))
        if own:
            yield Bar(f"{job}: share of the ceiling", 0.55, (found["shares"][job]["attune"],), why=CEILING)
        memory = [
            max(r["peak_memory_mib"] for (of, system, _), r in held.items() if (of, system) == (job, name))
            for name in ("attune", "trainer")
            if any((of, system) == (job, name) for of, system, _ in held)
        ]
        if len(memory) > 1:
            yield Bar(f"{job}: peak memory beside the Trainer's", 1.0, (memory[0] / memory[1],), most=True)


def _if(what: str, limit: float, values: tuple[float, ...], why: str = "") -> Iterator[Bar]:
    """The bar, where anything was measured."""
    if values:
        yield Bar(what, limit, values, why=why)


def methods(found: dict) -> Iterator[Bar]:
    """Of `methods.py`: LoRA beside PEFT, the last layers beside freezing."""
    held = {(r["system"], r["seed"]): paced(r) for r in found["results"]}
    for name, limit, what in (
        ("lora", 2.0, "LoRA, times PEFT"),
        ("last", 5.0, "last two layers, times freezing"),
    ):
        pairs = [
            (spent, held.get((f"trainer:{name}", seed)))
            for (of, seed), spent in held.items()
            if of == f"attune:{name}"
        ]
        yield from _if(
            f"{what} with the Trainer", limit, tuple(theirs / own for own, theirs in pairs if theirs)
        )


def accuracy(found: dict) -> Iterator[Bar]:
    """Of `time_to_accuracy.py`: each seed for itself, for one that never gets there has no time."""
    for r in found["results"]:
        share = paced(r["attune"]) / paced(r["trainer"]) if r["attune"]["reached"] else float("inf")
        what = f"seed {r['seed']}: share of the Trainer's time until its accuracy"
        yield Bar(what, 0.33, (share,), most=True, why=LUCK)


def answers(found: dict) -> Iterator[Bar]:
    """Of `inference.py`: texts a second beside the pipeline."""
    by = found["summary"]
    for name, limit in (("attune", 3.0), ("attune, int8", 5.0)):
        if name in by:
            ratio = by[name]["texts_per_cpu_s"] / by["pipeline"]["texts_per_cpu_s"]
            yield Bar(f"{name}: times pipeline(batch_size=32) in answering", limit, (ratio,))
        else:
            why = "this processor has no such products, or they are not exact on it"
            yield Bar(f"{name}: times pipeline(batch_size=32) in answering", limit, (), why=why)
    if gap := by.get("attune, int8", {}).get("gap"):
        lost = -100 * gap[1]  # the end of the interval where int8 is worse
        yield Bar("int8: points of accuracy that it may cost, by the 95 % interval", 0.5, (lost,), most=True)


def plans(found: dict) -> Iterator[Bar]:
    """Of `plans.py`: how far the time was from what was planned."""
    for r in found["results"]:
        yield Bar(f"{r['job']}: planned time, off by", 0.15, (abs(r["paced"] - 1),), most=True, why=QUIET)


def growth(found: dict) -> Iterator[Bar]:
    """Of `growth.py`: memory of the most rows beside that of the fewest, and steps that take no longer."""
    first, last = (found["results"][place] for place in (0, -1))
    rows = f"{first['rows']:,} to {last['rows']:,} rows"
    memory = last["training"]["peak_memory_mib"] / first["training"]["peak_memory_mib"]
    token = [each["training"]["cpu_seconds"] / each["tokens"] for each in (first, last)]
    yield Bar(f"{rows}: peak memory grows to", FLAT, (memory,), most=True, why=ROWS)
    yield Bar(f"{rows}: a token of a step takes", FLAT, (token[1] / token[0],), most=True)
