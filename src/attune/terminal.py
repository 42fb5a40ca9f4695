"""What the terminal shows: progress to stderr, results to stdout, problems as sentences."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from attune.errors import AttuneError, command
from attune.report.wording import began, metric_name
from attune.spoken import clock, evaluated, planned, stepped, taken

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from attune.diagnosis import Finding
    from attune.forecast import Forecast
    from attune.prepare import Prepared
    from attune.rundir import RunDir
    from attune.training.events import Event

HANG = 12  # columns before the second line of a sentence that is wrapped
MANY = 4_000_000  # bytes of rows that take more than some seconds to read
PLAIN_EVERY = 20.0  # seconds between two progress lines where no line can be redrawn


class Screen:
    """One command's way of speaking: for people, quietly, or as JSON lines."""

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet, self.as_json = quiet, as_json
        self.shown: Sequence[str] = ()
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        self.out = Console(highlight=False, soft_wrap=True)

    def problems(self, error: AttuneError) -> None:
        """Why a command stopped."""
        if self.as_json:
            problems = [problem.as_dict() for problem in error.problems]
            self.json({"error": type(error).__name__, "exit_code": error.exit_code, "problems": problems})
        else:
            self.err.print(f"attune: {error}", style="red", markup=False)

    def examined(self, findings: Sequence[Finding]) -> None:
        """What the doctor found."""
        for finding in findings:
            if self.as_json:
                self.json(finding.as_dict())
                continue
            self.out.print(
                f"  {'ok ' if finding.ok else 'BAD'} {finding.name:<14} {finding.found}", markup=False
            )
            if not finding.ok:
                self.out.print(f"      {finding.fix}", markup=False)

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line for people."""
        if not self.quiet and not self.as_json:
            self.err.print(text, style=style, markup=False)

    def begin(self, words: str, source: str) -> None:
        """What was understood, and why nothing is said for a while where the rows are many."""
        self.say(command(words))
        file = Path(source)
        size = file.stat().st_size if file.is_file() else 0
        if size > MANY:
            self.say(f"  reads, compares and encodes {size / 1e6:,.0f} MB of rows first", style="dim")

    def fitted(self, text: str) -> None:
        """A line for people, wrapped between words where a terminal would cut one."""
        if not self.err.is_terminal:
            self.say(text)
            return
        lines = textwrap.wrap(
            text,
            max(self.err.width, 2 * HANG),
            subsequent_indent=" " * HANG,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines:
            self.say(line)

    def json(self, value: dict[str, Any]) -> None:
        """A line for machines."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def plan(self, ready: Prepared) -> None:
        """What was inferred, and how to say otherwise."""
        if self.as_json:
            told = [{"about": label, "says": text} for label, text in planned(ready)]
            findings = [finding.as_dict() for finding in ready.rows.findings]
            self.json({"event": "plan", "plan": told, "findings": findings})
            return
        for label, text in planned(ready):
            self.fitted(f"  {label:<9} {text}")
        for finding in ready.rows.findings:
            self.fitted(f"  {'!' if finding.level == 'warning' else '·'} {finding.sentence}")
            if finding.rows:
                self.fitted(f"      {', '.join(finding.rows[:5])}{' ...' if len(finding.rows) > 5 else ''}")
        self.fitted(
            "  Say otherwise: --task --text --label --model --valid --test, or train.lr=...; plan only: --dry-run"
        )

    def forecast(self, told: Forecast, words: str, budget: str) -> None:
        """What a training will take, and the command for it."""
        if self.as_json:
            self.json({**told.as_dict(), "train": words})
            return
        memory = f"{told.peak_memory_mib:,.0f} MiB at the peak, of {told.free_memory_mib:,.0f} that are free"
        short = told.peak_memory_mib > told.free_memory_mib
        self.taken(told)
        self.fitted(f"  memory    {memory}{'; lower train.micro_tokens' if short else ''}")
        energy = "no counter of the processor's energy can be read here"
        if told.watt_hours is not None:
            energy = f"about {told.watt_hours:.2g} Wh of the processor, {told.watts:.0f} W while it trains"
        self.fitted(f"  energy    {energy}")
        self.fitted(f"  {f'in {budget}' if budget else 'start':<9} {command(f'train {words}')}")

    def methods(self, found: dict[str, tuple[Prepared, Forecast] | AttuneError]) -> None:
        """What each method will take, a line each."""
        self.say("\n  method.name=       time   peak memory")
        for name, held in found.items():
            if isinstance(held, AttuneError):
                self.say(f"  {name:<12} {'':>24}  {held.problems[0].what}")
                if self.as_json:
                    self.json({"event": "method", "name": name, "problem": held.problems[0].what})
                continue
            ready, told = held
            time, memory = clock(told.total_seconds), f"{told.peak_memory_mib:,.0f} MiB"
            self.say(f"  {name:<12} {time:>10} {memory:>13}  {ready.trained.sentence}")
            if self.as_json:
                self.json({**told.as_dict(), "event": "method", "name": name})

    def within(self, ready: Prepared, told: Forecast, budget: str) -> None:
        """What a training will take, and the epochs that a budget leaves of it where it cuts some."""
        if budget:
            epochs = ready.recipe.train.epochs
            self.fitted(f"  budget    {budget}: train.epochs={epochs:g} is what fits")
            if isinstance(epochs, float) and epochs < 1:
                self.fitted(
                    "  ! Less than one pass over the rows: give more time, or train fewer weights (method.name=last)"
                )
        self.taken(told)

    def taken(self, told: Forecast) -> None:
        """How long a training will take."""
        self.fitted(f"  time      {taken(told)}")

    def follow(self, events: Iterator[Event], shown: Sequence[str] = ()) -> None:
        """Draws a run while it runs; of an evaluation the metrics that are `shown`."""
        self.shown = shown
        if self.as_json:
            for event in events:
                self.json(event.as_dict())
        elif self.quiet:
            for _ in events:
                pass
        elif self.err.is_terminal:
            self._live(events)
        else:
            self._lines(events)

    def _live(self, events: Iterator[Event]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        bar = TextColumn("{task.fields[text]}")
        with Progress(BarColumn(16), bar, console=self.err, transient=True, refresh_per_second=5) as progress:
            task = progress.add_task("", total=1.0, text="preparing")
            for event in events:
                self._draw(event, progress, task)

    def _draw(self, event: Event, progress: Progress, task: TaskID) -> None:
        from attune.training.events import (
            Evaluated,
            Evaluating,
            Finished,
            Keeping,
            Measuring,
            Started,
            Starting,
            Stepped,
        )

        if isinstance(event, Stepped):
            done = event.seconds / max(event.seconds + event.left_s, 1e-9)
            progress.update(task, completed=done, text=stepped(event))
        elif isinstance(event, Starting):
            progress.update(task, completed=0.0, text=f"reading rows for the new head {event.done:.0%}")
        elif isinstance(event, Started):
            progress.console.print(began(event.as_dict()), markup=False)
        elif isinstance(event, Keeping):
            progress.update(task, completed=0.0, text=f"computing the frozen layers {event.done:.0%}")
        elif isinstance(event, Evaluating):
            progress.update(task, text=f"step {event.step}: evaluating {event.done:.0%}")
        elif isinstance(event, Evaluated):
            progress.console.print(evaluated(event, self.shown), markup=False)
        elif isinstance(event, Measuring):
            progress.update(task, completed=1.0, text=event.what)
        elif isinstance(event, Finished):
            progress.update(task, completed=1.0, text="done")

    def _lines(self, events: Iterator[Event]) -> None:
        from attune.training.events import Evaluated, Measuring, Started, Stepped

        last = 0.0
        for event in events:
            if isinstance(event, Stepped) and event.seconds - last > PLAIN_EVERY:
                last = event.seconds
                self.say(stepped(event))
            elif isinstance(event, Evaluated):
                self.say(evaluated(event, self.shown))
            elif isinstance(event, Started):
                self.say(began(event.as_dict()))
            elif isinstance(event, Measuring):
                self.say(event.what)

    def results(self, run: RunDir) -> None:
        """The final table, the verdict, the paths."""
        metrics, state = run.read("metrics.json"), run.read("run.json")
        if self.as_json:
            self.json({"event": "result", "run": str(run.path), "metrics": metrics})
            return
        self.say(f"\n{state['reason']}; best at step {state['best_step']}, {clock(state['seconds'])}")
        self.out.print(_table(metrics, run.read("details.json")["shown"]))
        for comparison in metrics["comparisons"]:
            if comparison["metric"] == metrics["comparisons"][0]["metric"]:
                self.out.print(
                    f"  {comparison['sentence']}", markup=False, soft_wrap=not self.out.is_terminal
                )
        self.out.print(f"  model   {run.model}", markup=False)
        self.out.print(f"  report  {run.path / 'report.html'}", markup=False)
        asked = command(f"predict {run.path}")
        paired = run.read("data.json")["roles"]["pair"]
        given = """'{"text": "...", "pair": "..."}'""" if paired else "text"
        self.say(f"  try     {asked} FILE, or: echo {given} | {asked} -")
        self.say(f"  serve   {command(f'serve {run.path}')}")


def _table(metrics: dict[str, Any], shown: Sequence[str]) -> Table:
    """The test scores beside those of the baselines."""
    told = [name for name in shown if name in metrics["test"]] or list(metrics["test"])[:5]
    table = Table(title=f"test, {metrics['test'][told[0]]['n']:,} rows", title_justify="left")
    table.add_column("")
    table.add_column("attune [95 %]", justify="right", no_wrap=True)
    for name in metrics["baselines"]:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for key in told:
        held = metrics["test"][key]
        others = [
            f"{scores[key]['value']:.3f}" if key in scores else "" for scores in metrics["baselines"].values()
        ]
        own = f"{held['value']:.3f} [{held['low']:.3f}, {held['high']:.3f}]"
        table.add_row(metric_name(key), own, *others)
    return table
