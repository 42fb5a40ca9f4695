"""All benchmarks from one run: each benchmark in turn, and which bars are reached.

    ./attune bench whole DATA [--seeds 1] [--parts table,answers] [--out benchmarks/results/whole]

DATA is a folder with the data sets that `bench.py` and `plans.py` name (`sst2`, `banking77`, `imdb`, `wnut17`,
`squad`, `mrpc`), each as `attune train` reads it; `sst2` is needed, for most parts measure on it. The parts run one
after the other: the table of trainings beside their peers, methods, time to accuracy, answers, plans, growth, and
each saving on and off. OUT gets the JSON and the output of each, and `whole.md`: the bars, then every table. It is
written anew after each part, and a part that fails does not end the others. About two hours on one core; `--seeds 3`
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


def output_of(words: list[str], log: Path) -> str:
    """Runs a script with its output into a file, and gives what it says but for the progress it reports."""
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, str(HERE / words[0]), *words[1:]]
        subprocess.run(command, check=True, stdout=file, stderr=subprocess.STDOUT)
    lines = log.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("{")).strip()


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
    from attune import machine

    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    found, told, failed = {}, [], []
    for name in given.parts:
        words, result = parts(given.data, given.seeds)[name], given.out / f"{name}.json"
        print(f"{name} ...", flush=True)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                more = answering(given.data, Path(scratch)) if name == "answers" else []
                text = output_of([*words, *more, "--out", str(result)], given.out / f"{name}.log")
        except subprocess.CalledProcessError:
            failed.append(name)
            text = f"**failed**; see {name}.log"
            print(f"{name} failed; see {given.out / name}.log", flush=True)
        else:
            found[name] = json.loads(result.read_text(encoding="utf-8"))
            text += f"\n\n![{name}]({name}.png)" if result.with_suffix(".png").exists() else ""
        told.append(f"# {name}\n\n{text}")
        page = "\n\n".join([bars.table(found), *told])
        start = f"{machine.cpu()}, attune {machine.version()}"
        (given.out / "whole.md").write_text(f"{start}\n\n{page}\n", encoding="utf-8")
    print(f"{bars.table(found)}\n\n{given.out / 'whole.md'}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
