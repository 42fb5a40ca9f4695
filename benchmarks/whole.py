"""All benchmarks from one run: each benchmark in turn, and which bars are reached.

    ./attune bench whole DATA [--seeds 1] [--parts table,answers] [--out benchmarks/results/whole]

DATA is a folder with the data sets that `bench.py` and `plans.py` name (`sst2`, `banking77`, `imdb`, `wnut17`,
`squad`, `mrpc`), each as `attune train` reads it; `sst2` is needed, for most parts measure on it. The parts run one
after the other: the table of trainings beside their peers, methods, time to accuracy, answers, plans, growth, and
each saving on and off. OUT gets the JSON and the output of each, and `whole.md`: the bars, then every table. It is
written anew after each part; a part that fails does not end the others, and what OUT has of others from an earlier
call stays on the page. About two hours on one core; `--seeds 3`
takes the table and the time to accuracy three times. For processor seconds that can be compared, give it a core of
its own: `OMP_NUM_THREADS=1 taskset -c 0`. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import bars

HERE = Path(__file__).parent
LEARN, ANSWER = (
    6000,
    20_000,
)  # rows of sst2 that the answering run learns from, and other ones that are answered


def parts(data: Path, seeds: int) -> dict[str, list[str]]:
    """The script and the words of each part, by its name."""
    sst2, turns = str(data / "sst2"), ["--seeds", str(seeds)]
    return {
        "table": ["bench.py", str(data), *turns],
        "methods": [
            "methods.py",
            sst2,
            "--rows",
            "1000",
            "--epochs",
            "4",
            "--methods",
            "lora,last",
            "--seeds",
            "1",
        ],
        "accuracy": ["time_to_accuracy.py", sst2, *turns],
        "answers": ["inference.py"],
        "plans": ["plans.py", str(data)],
        "growth": ["growth.py", str(train_file(data))],
        "ablation": ["ablation.py", sst2],
    }


def train_file(data: Path) -> Path:
    """The training rows of SST-2."""
    return next(iter(sorted((data / "sst2").glob("train.*"))))


def answering(data: Path, scratch: Path) -> list[str]:
    """A run on some rows of SST-2, and what `inference.py` is told to answer: rows that it did not learn from."""
    from attune.data.read import read

    table = read(str(train_file(data)))
    names = [name for name in table.columns if name in ("sentence", "text", "label")]
    rows = list(zip(*(table.column(name)[: LEARN + ANSWER] for name in names), strict=True))
    for path, own in (("train.csv", rows[:LEARN]), ("other.csv", rows[LEARN:])):
        with (scratch / path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *own])
    run = scratch / "run"
    words = ["train", str(scratch / "train.csv"), "train.epochs=1", "--out", str(run)]
    subprocess.run([sys.executable, "-m", "attune.cli", *words], check=True, stdout=subprocess.DEVNULL)
    return [str(run), str(scratch / "other.csv"), "--label", "label", "--texts", str(ANSWER), "--rounds", "1"]


def run_of(words: list[str], log: Path) -> bool:
    """Whether a script ran through, with all that it says in a file."""
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, str(HERE / words[0]), *words[1:]]
        done = subprocess.run(command, check=False, stdout=file, stderr=subprocess.STDOUT)
    return done.returncode == 0


def clear(out: Path, name: str) -> None:
    """Takes away what an earlier call left of a part, so that it is never shown as new."""
    for suffix in (".json", ".png"):
        (out / f"{name}{suffix}").unlink(missing_ok=True)


def page(out: Path, names: list[str], failed: list[str]) -> str:
    """The bars, then what each part said but for the progress it reported; parts of earlier calls stay on it."""
    found, told = {}, []
    for name in names:
        result, log = out / f"{name}.json", out / f"{name}.log"
        if name in failed or (log.exists() and not result.exists()):
            told.append(f"# {name}\n\n**failed**; see {log.name}")
        elif result.exists() and log.exists():
            found[name] = json.loads(result.read_text(encoding="utf-8"))
            lines = log.read_text(encoding="utf-8").splitlines()
            text = "\n".join(line for line in lines if not line.startswith("{")).strip()
            plot = f"\n\n![{name}]({name}.png)" if result.with_suffix(".png").exists() else ""
            where = found[name]["environment"]
            told.append(f"# {name} ({where['cpu']}, attune {where['attune']})\n\n{text}{plot}")
    return "\n\n".join([bars.table(found), *told]) + "\n"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--parts", default="", help="by commas; all without it")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/whole"))
    given = parser.parse_args()
    if not list((given.data / "sst2").glob("train.*")):
        parser.error(f"{given.data}: there is no sst2/train.* in it")
    known = parts(given.data, given.seeds)
    given.parts = [name for name in given.parts.split(",") if name] or list(known)
    if unknown := set(given.parts) - set(known):
        parser.error(f"--parts: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return given


def main() -> None:
    """Runs part after part; after each one the page of all that ran is written."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for name in given.parts:
        words = [*parts(given.data, given.seeds)[name], "--out", str(given.out / f"{name}.json")]
        print(f"{name} ...", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            words += answering(given.data, Path(scratch)) if name == "answers" else []
            clear(given.out, name)
            if not run_of(words, given.out / f"{name}.log"):
                failed.append(name)
                clear(given.out, name)  # half of it
                print(f"{name} failed; see {given.out / name}.log", flush=True)
        made = page(given.out, list(parts(given.data, given.seeds)), failed)
        (given.out / "whole.md").write_text(made, encoding="utf-8")
    table, _ = made.split("\n\n", maxsplit=1)
    print(f"{table}\n\n{given.out / 'whole.md'}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
