"""The command line: arguments become a recipe and a verb; nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from attune import machine
from attune.errors import AttuneError, command
from attune.options import (
    Answers,
    AtLeast,
    Budget,
    Device,
    DryRun,
    Encoding,
    Host,
    Json,
    LabelColumn,
    Model,
    Out,
    Overrides,
    PairColumn,
    Port,
    Precision,
    PrintRecipe,
    Quiet,
    RunName,
    Source,
    Task,
    TestFile,
    TextColumn,
    ValidFile,
    WithKnobs,
)

if TYPE_CHECKING:
    from attune.terminal import Screen

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
INTERRUPTED = 130


def _told_version(asked: bool) -> None:
    if asked:
        typer.echo(f"attune {machine.version()}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_told_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Fine-tune pre-trained language models: from a data file to a measured, reported model."""


@app.command(cls=WithKnobs)
def train(
    source: Source,
    overrides: Overrides = None,
    text: TextColumn = "",
    pair: PairColumn = "",
    label: LabelColumn = "",
    task: Task = "",
    model: Model = "",
    valid: ValidFile = "",
    test: TestFile = "",
    out: Out = "",
    budget: Budget = "",
    at_least: AtLeast = None,
    print_recipe: PrintRecipe = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model on labelled rows; leaves a run folder.

    In it are the model, metrics with intervals against baselines, predictions and a report.
    """
    from attune import recipe_file

    knobs = _short(text=text, pair=pair, label=label, task=task, model=model, valid=valid, test=test)
    with _spoken(quiet and not dry_run, as_json) as screen:
        recipe = recipe_file.load(source, overrides or [], knobs)
        from attune import forecast, run, rundir

        rundir.refuse_existing(out)  # said before minutes of reading, not after
        seconds = forecast.seconds_of(budget) if budget else float("inf")
        if not print_recipe:
            screen.begin(f"train {source}", recipe.data.train)
        ready = run.plan(recipe)
        if print_recipe:
            sys.stdout.write(recipe_file.dump(ready.recipe, ready.task.Options))
            return
        screen.plan(ready)
        if budget:
            fitting, told = forecast.within(ready, seconds)
            screen.within(fitting, told, "" if fitting is ready else budget)
            ready = fitting
        if dry_run:
            screen.say(f"  Nothing was trained or written (--dry-run); the time it takes: {command('plan')}")
            return
        _trained(screen, ready, out, at_least)


@app.command(cls=WithKnobs)
def plan(
    source: Source,
    overrides: Overrides = None,
    text: TextColumn = "",
    pair: PairColumn = "",
    label: LabelColumn = "",
    task: Task = "",
    model: Model = "",
    valid: ValidFile = "",
    test: TestFile = "",
    budget: Budget = "",
    methods: Annotated[
        bool, typer.Option("--methods", help="Try each way to train fewer weights, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try a few steps and tell what a training will take: time, memory, energy. Trains nothing that stays."""
    from attune import recipe_file

    given = {"text": text, "pair": pair, "label": label, "task": task}
    given |= {"model": model, "valid": valid, "test": test}
    with _spoken(quiet=False, as_json=as_json) as screen:
        recipe = recipe_file.load(source, overrides or [], _short(**given))
        from attune import forecast, run

        seconds = forecast.seconds_of(budget) if budget else float("inf")
        screen.begin(f"plan {source}", recipe.data.train)
        ready = run.plan(recipe)
        screen.plan(ready)
        others = forecast.by_method(ready) if methods else {}
        fitting, told = forecast.within(ready, seconds, others.get(ready.recipe.method.name))
        options = [word for name, value in given.items() if value for word in (f"--{name}", value)]
        words = [source, *(overrides or []), *options]
        if fitting is not ready:
            words.append(f"train.epochs={fitting.recipe.train.epochs:g}")
        screen.forecast(told, shlex.join(words), budget)
        if methods:
            screen.methods(others)


def _trained(screen: Screen, ready: Any, out: str, at_least: float | None) -> None:
    """Trains what was planned and shows what came of it."""
    from attune import run

    folder = run.start(ready, out)
    screen.say(f"  run       {folder.path}\n")
    _follow(screen, run.train(ready, folder), str(folder.path), ready.task.shown)
    screen.results(folder)
    if at_least is not None:
        run.demand(folder, at_least)


def _short(**given: str) -> dict[str, str]:
    """The knobs of the options that were given."""
    from attune import recipe_file

    return {recipe_file.SHORT[name]: value for name, value in given.items() if value}


@app.command()
def resume(name: RunName, quiet: Quiet = False, as_json: Json = False) -> None:
    """Go on with a run that was stopped or killed, to the same result."""
    with _spoken(quiet, as_json) as screen:
        from attune import run

        ready, folder = run.reopen(name)
        screen.say(f"{command(f'resume {folder.path}')}: {run.whence(folder)}")
        if told := run.hold_threads(folder):
            screen.say(f"  {told}")
        _follow(screen, run.train(ready, folder), str(folder.path), ready.task.shown)
        screen.results(folder)


@app.command()
def predict(
    name: RunName,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A data file, or - for a text or a JSON object a line.")
    ],
    text: TextColumn = "",
    pair: PairColumn = "",
    out: Answers = "",
    encoding: Encoding = "auto",
    precision: Precision = "float32",
    device: Device = "auto",
) -> None:
    """Label new texts with a finished run."""
    with _spoken(quiet=False, as_json=False) as screen:
        from attune import answers

        how = {"encoding": encoding, "precision": precision, "device": device}
        answers.write(name, source, columns={"text": text, "pair": pair}, out=out, say=screen.say, **how)


@app.command()
def report(name: RunName) -> None:
    """Write a run's report again and print where it is."""
    with _spoken(quiet=False, as_json=False):
        from attune import report as reports
        from attune import rundir

        typer.echo(reports.write(rundir.find(name).path))


@app.command()
def serve(
    name: RunName,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    precision: Precision = "float32",
    device: Device = "auto",
) -> None:
    """Answer over HTTP with a finished run: a page to try it on, JSON for programs."""
    with _spoken(quiet=False, as_json=False) as screen:
        from attune.serve import listen

        listen.serve(name, host=host, port=port, precision=precision, device=device, say=screen.say)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell whether this machine is fit, and what to install."""
    with _spoken(quiet=False, as_json=as_json) as screen:
        from attune import diagnosis

        findings = diagnosis.examine()
        screen.examined(findings)
        if not all(finding.ok for finding in findings):
            raise typer.Exit(3)


@app.command()
def demo() -> None:
    """Train the starter model on the bundled reviews; needs no network."""
    from importlib.resources import files

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    train(str(files("attune") / "samples" / "reviews.csv"))


def _follow(screen: Screen, events: Iterator[Any], name: str, shown: Sequence[str]) -> None:
    """Draws the run until it ends or is asked to stop."""
    from attune import interrupts

    if interrupts.followed(events, lambda held: screen.follow(held, shown)):
        screen.say(f"\nsaved; go on with: {command(f'resume {name}')}")
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _spoken(quiet: bool, as_json: bool) -> Iterator[Screen]:
    """Turns errors into sentences and exit codes."""
    from attune.terminal import Screen

    screen = Screen(quiet=quiet, as_json=as_json)
    try:
        yield screen
    except AttuneError as error:
        screen.problems(error)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError:
        # the reader has gone; say nothing more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """The `attune` command."""
    # Threads that spin while they wait starve any other process: two trainings at once would both crawl.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # not as torch counts, nor by a trial: it decides the last bits of sums (decision 008)
    os.environ.setdefault("OMP_NUM_THREADS", str(machine.cores()))
    os.environ.setdefault("ATTUNE_DENORMALS", "0")  # the process is ours, see run.fitting
    app()
    raise AssertionError("typer always exits")


if __name__ == "__main__":
    main()
