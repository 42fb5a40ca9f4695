"""What the terminal shows: progress to stderr, results to stdout, problems as sentences."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from attune.errors import AttuneError, command
from attune.report.wording import metric_name

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from attune.forecast import Forecast
    from attune.prepare import Prepared
    from attune.rundir import RunDir
    from attune.training.events import Event

TOLD = (
    "task",
    "text",
    "pair",
    "label",
)  # what a reason may be about; any other word before a colon is its own
HANG = 12  # columns before the second line of a sentence that is wrapped
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

    def say(self, text: str = "", style: str | None = None) -> None:
        """A line for people."""
        if not self.quiet and not self.as_json:
            self.err.print(text, style=style, markup=False)

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
        from attune.training.events import Evaluated, Evaluating, Finished, Keeping, Measuring, Stepped

        if isinstance(event, Stepped):
            done = event.seconds / max(event.seconds + event.left_s, 1e-9)
            progress.update(task, completed=done, text=stepped(event))
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
        from attune.training.events import Evaluated, Measuring, Stepped

        last = 0.0
        for event in events:
            if isinstance(event, Stepped) and event.seconds - last > PLAIN_EVERY:
                last = event.seconds
                self.say(stepped(event))
            elif isinstance(event, Evaluated):
                self.say(evaluated(event, self.shown))
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
        self.say(f"  try     {asked} FILE, or: echo text | {asked} -")


def stepped(event: Any) -> str:
    """A training step in one line."""
    # what matters most comes first: a narrow terminal cuts the end
    return (
        f"{clock(event.left_s)} left  step {event.step}  loss {event.loss:.3f}  "
        f"{event.tokens_per_s:,.0f} tokens/s  epoch {event.epoch:.2f}"
    )


def evaluated(event: Any, shown: Sequence[str]) -> str:
    """An evaluation in one line: the first two of the metrics that are shown, and the loss."""
    told = [name for name in shown if name in event.metrics][:2] or list(event.metrics)[:2]
    told += [name for name in ("log_loss",) if name in event.metrics and name not in told]
    scores = "  ".join(f"{metric_name(name)} {event.metrics[name]:.3f}" for name in told)
    return f"epoch {event.epoch:5.2f}  step {event.step:>6}  valid {scores}{'  best' if event.best else ''}"


def taken(told: Forecast) -> str:
    """The time that a training will take, in words."""
    return (
        f"about {clock(told.total_seconds)}: {told.steps:,} steps {clock(told.step_seconds)} "
        f"({told.tokens_per_s:,.0f} tokens/s), {told.evaluations} evaluations {clock(told.evaluation_seconds)}, "
        f"the test rows {clock(told.measuring_seconds)}; then baselines and checks"
    )


def clock(seconds: float) -> str:
    """`1:05` or `2:03:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def planned(ready: Prepared) -> Iterator[tuple[str, str]]:
    """The plan as pairs of a word and a sentence."""
    found, recipe = ready.rows, ready.recipe
    yield "task", recipe.task.name
    yield from map(told, (*found.roles.reasons, *found.notes))
    sizes = {part: len(table) for part, table in found.tables.items()}
    shown = " / ".join(f"{sizes[part]:,}" for part in ("train", "valid", "test"))
    yield "rows", f"{shown} (train / valid / test), {_held_out(found.tables)}"
    yield "length", _length(ready)
    many = len(ready.task.labels)
    head = "its own head" if ready.own_head else "a new head"
    head += f" for {many} labels" if many > 1 else ""
    yield "model", f"{recipe.model.base} ({ready.model_type}), {head}"
    once = "; what leaves the frozen layers is computed once and kept" if ready.keeps else ""
    yield "method", f"{ready.trained.sentence}{once}"
    knobs = recipe.train
    epochs = "1 epoch" if knobs.epochs == 1 else f"{knobs.epochs:g} epochs"
    yield (
        "train",
        f"{epochs}, about {ready.steps:,} steps of {knobs.batch} {knobs.batch_by}, "
        f"learning rate {knobs.lr:g}, seed {knobs.seed}",
    )


def told(reason: str) -> tuple[str, str]:
    """What a reason is about, and the rest of it: `text: 'review' (mean 12 words)`."""
    word, colon, rest = reason.partition(": ")
    return (word, rest) if colon and word in TOLD else ("note", reason)


def _held_out(tables: dict[str, Any]) -> str:
    """Which splits were given, and how the others were made."""
    train = tables["train"]
    made = [part for part in ("valid", "test") if tables[part].sha256 == train.sha256]
    how = "stratified, near-duplicates kept together"
    if len(made) == 2:
        return how
    return f"{made[0]} held out of train: {how}" if made else "split as given"


def _length(ready: Prepared) -> str:
    """How long texts are treated, and what of the training rows is not read."""
    knobs, sequences = ready.recipe.model, ready.features["train"].sequences
    verb = {"truncate": "cut after", "head_tail": "kept at both ends of", "windows": "read by windows of"}
    start = f"texts are {verb[knobs.long_texts]} {knobs.max_tokens} tokens"
    if not sequences.cut_rows:
        return f"{start}; every training text is read whole"
    rows, tokens = _percent(sequences.cut_rows), _percent(sequences.cut_tokens)
    return f"{start}; {rows} of the rows and {tokens} of the tokens are not read"


def _percent(share: float) -> str:
    return "<0.1%" if share < 0.001 else f"{share:.1%}"


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
