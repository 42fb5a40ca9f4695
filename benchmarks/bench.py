"""The table of training speeds: attune beside its peers on several jobs, from one run, in turn.

    ./attune bench [DATA] [--only sst2,imdb] [--seeds 1] [--systems attune,trainer,trainer_tuned]

DATA is a folder with a folder for each data set (`sst2`, `banking77`, `imdb`, `wnut17`, `squad`), each with train.*
and test.* as `attune train` reads them; without it, the bundled reviews are the only job. `sst2-SIZE` are jobs on the
rows of sst2 with models of other sizes and families from random weights (`sizes.py`). The JSON is written after each
turn, the table at the end. Before a job attune trains on a few rows, so that no turn that counts compiles kernels.
The ceiling is the rate of the model's largest products on this machine, looked at while each training ran
(`sides/clock.py`); a share is what real tokens come to of it. Needs the extra `bench`, which `./attune bench`
installs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import ceiling
import comparison
import sizes
from peers import SYSTEMS
from sides.clock import paced
from sides.job import PROTOCOL, Job, turn

PEERS = Path(__file__).with_name("peers.py")
BUNDLED = "reviews"
COMPILES = 64  # rows of a turn that only compiles
SMALL = {"gpt2-small": 1200, "t5-small": 600}  # rows of models that would be done before a clock could tell


@dataclass(frozen=True)
class Work:
    """A job of the table: how many training rows, how often, how fast, and how long its sequences are about."""

    rows: int
    epochs: int = 1
    lr: float = 1e-4
    only: tuple[str, ...] = ()  # systems that can do it; empty: all
    size: str = ""  # a model of `sizes.py`; empty: the one that is given
    tests: int = 0  # test rows: the peers answer one at a time; 0: all
    seeds: int = 0  # no more than so many; 0: as many as asked for


USUAL = tuple(name for name in SYSTEMS if not name.endswith("_bf16"))  # what every processor can do
TOKENS = (
    "attune",
    "attune_start",
    "trainer",
    "trainer_tuned",
    "lightning",
)  # what can learn more than one label a text
TRAINERS = ("attune", "trainer", "trainer_tuned")
WORKS = {
    "sst2": Work(3000),
    "banking77": Work(3000, lr=2e-4),
    "imdb": Work(360, lr=2e-4, only=("attune_start", *TRAINERS), tests=1000),
    "wnut17": Work(1200, lr=3e-4, only=TOKENS),
    "squad": Work(600, lr=2e-4, only=TRAINERS, tests=300),
    BUNDLED: Work(0),
    **{
        f"sst2-{name}": Work(SMALL.get(name, 300), only=TRAINERS, size=name, tests=100, seeds=1)
        for name in sizes.SIZES
    },
}


def jobs(data: str, only: list[str], scratch: Path) -> dict[str, str]:
    """The folders of the jobs that are there, by name."""
    if not data:
        return {BUNDLED: str(bundled(scratch))}
    paths = {name: Path(data) / name.partition("-")[0] for name in WORKS}
    found = {name: str(path) for name, path in paths.items() if path.is_dir()}
    return {name: path for name, path in found.items() if not only or name in only}


def bundled(scratch: Path) -> Path:
    """The bundled reviews, a fifth of them as test rows."""
    import csv
    from importlib.resources import files

    lines = list(csv.reader((files("attune") / "samples" / "reviews.csv").read_text("utf-8").splitlines()))
    folder = scratch / BUNDLED
    folder.mkdir()
    kept = [line for line in lines[1:] if line[0].strip()]
    for split, rows in (("train", [r for n, r in enumerate(kept) if n % 5]), ("test", kept[::5])):
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([lines[0], *rows])
    return folder


def systems_of(work: Work, given: argparse.Namespace) -> list[str]:
    """The systems that were asked for and can do it."""
    return [system for system in given.systems.split(",") if not work.only or system in work.only]


def measured(name: str, folder: str, model: str, given: argparse.Namespace, keep) -> list[dict]:
    """The results of one job: the systems in turn, seed by seed."""
    work, results = WORKS[name], []
    systems = systems_of(work, given)
    if "attune" in systems:  # compiles what this family needs, once on a machine
        with tempfile.TemporaryDirectory() as scratch:
            some = str(bundled(Path(scratch)))
            turn(str(PEERS), "attune", Job(some, model, 1, work.lr, 0, COMPILES, COMPILES))
    for seed in range(min(given.seeds, work.seeds or given.seeds)):
        for system in systems:
            job = Job(folder, model, work.epochs, work.lr, seed, given.rows or work.rows, work.tests)
            results.append({"job": name, **turn(str(PEERS), system, job)})
            print(results[-1], flush=True)
            keep(results[-1])
    return results


def shares(results: list[dict], model) -> dict[str, float]:
    """What each system's real tokens come to of the ceiling; the median of its turns."""
    found = {}
    for system in comparison.systems_of(results):
        own = [result for result in results if result["system"] == system]
        each = statistics.median(result["tokens"] / paced(result) for result in own)
        found[system] = each * ceiling.flops(model, own[0]["length"]) / 1e9
    return found


def told(name: str, results: list[dict], of: dict[str, float]) -> list[str]:
    """The lines of one job: speeds, scores where they mean something, shares of the ceiling."""
    lines = [f"\n## {name} ({asdict(WORKS[name])})\n", comparison.speeds(results), ""]
    if not WORKS[name].size:
        lines.append(comparison.sentences(comparison.paired(results)))
    rates = [result["gflops"] for result in results]
    lines.append(f"ceiling: {min(rates):.0f} to {max(rates):.0f} GFLOP/s")
    return [*lines, *(f"{system}: {share:.2f} of the ceiling" for system, share in of.items())]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", default="")
    parser.add_argument("--only", default="", help="jobs, by commas")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=0, help="training rows of every job; 0: each job's own")
    parser.add_argument("--model", default="starter/bert")
    parser.add_argument("--systems", default=",".join(USUAL), help="by commas")
    parser.add_argument("--out", default="benchmarks/results/bench.json")
    given = parser.parse_args()
    unknown = set(given.systems.split(",")) - set(SYSTEMS)
    if unknown:
        parser.error(f"--systems: {', '.join(sorted(unknown))}; there are {', '.join(SYSTEMS)}")
    return given


def main() -> None:
    """Measures job after job; prints and writes the tables."""
    from attune import files, machine
    from attune.models import load

    given = arguments()
    out = Path(given.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "environment": machine.environment(0),
        "protocol": PROTOCOL,
        "shares": {},
        "results": [],
    }
    text = []

    def keep(result: dict) -> None:
        found["results"].append(result)
        files.write_json(out, found)

    with tempfile.TemporaryDirectory() as scratch:
        there = jobs(given.data, [name for name in given.only.split(",") if name], Path(scratch))
        if not there:
            sys.exit(
                f"{given.data}: none of the jobs {', '.join(WORKS)} has a folder there, nor is it the name of a "
                "script of benchmarks/"
            )
        for name, folder in there.items():
            if not systems_of(WORKS[name], given):
                print(f"{name}: none of {given.systems} can do it")
                continue
            size = WORKS[name].size
            path = sizes.written(size, Path(scratch)) if size else given.model
            model = load.outline(path, "classification", ["a", "b"]).model
            results = measured(name, folder, path, given, keep)
            found["shares"][name] = shares(results, model)
            text += told(name, results, found["shares"][name])
            files.write_json(out, found)
    out.with_suffix(".md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
