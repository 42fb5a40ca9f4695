"""The composition root: a recipe becomes objects, a run becomes results. `train` is the whole walk."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attune import description, files, machine, parity, prepare, recipe_file, rundir
from attune.errors import AttuneError, DataError, Problem, QualityError, RecipeError, command
from attune.prepare import Prepared
from attune.recipe import Recipe
from attune.rundir import RunDir

if TYPE_CHECKING:
    from attune.training.events import Event
    from attune.training.loop import Fit


def plan(recipe: Recipe) -> Prepared:
    """Everything before training: rows read and split, texts encoded, nothing left open; writes nothing."""
    return prepare.prepare(prepare.rows(recipe))


def start(ready: Prepared, out: str = "") -> RunDir:
    """A new run folder for what was planned."""
    recipe = ready.recipe
    run = rundir.create(out, recipe.data.train, recipe.model.base)
    files.write_text(run.path / "recipe.yaml", recipe_file.dump(recipe_file.anchored(recipe)))
    run.write("environment.json", machine.environment(recipe.train.seed, recipe.train.device))
    run.write("data.json", description.of(ready))
    run.write("findings.json", [finding.as_dict() for finding in ready.rows.findings])
    digest = files.sha256(run.path / "recipe.yaml")
    words = [command(), *sys.argv[1:]]
    run.status("running", started=_now(), command=words, version=machine.version(), recipe=digest)
    return run


def reopen(name: str) -> tuple[Prepared, RunDir]:
    """A stopped or killed run, planned again exactly as it was.

    Raises:
        RecipeError: for a run that is finished or still going on, and when its recipe is not what it was.
        DataError: when a data file is not what it was.
    """
    run = rundir.find(name)
    held = run.read("run.json")
    if held["status"] == "finished":
        raise RecipeError(Problem(name, "the run is finished", fix="Train anew with another --out"))
    if machine.at_work(held):
        raise RecipeError(Problem(name, "the run is still going on", f"process {held['pid']}"))
    recipe = run.path / "recipe.yaml"
    if held.get("recipe", "") != files.sha256(recipe):
        fix = f"Restore it; or train anew from it: {command(f'train {recipe}')}"
        raise RecipeError(Problem(str(recipe), "the recipe is not what it was when the run began", fix=fix))
    ready = plan(recipe_file.load(str(recipe)))
    before, now = run.read("data.json")["files"], description.of(ready)["files"]
    # one file may hold all the parts
    changed = {now[part]["path"] for part in before if before[part]["sha256"] != now[part]["sha256"]}
    if changed:
        what, fix = "the file is not what it was when the run began", "Restore it, or train anew"
        raise DataError(*(Problem(path, what, fix=fix) for path in sorted(changed)))
    return ready, run


def fitting(ready: Prepared, store: Any) -> Fit:
    """The model with what trains it, and the rows it learns from; its checkpoints go to `store`."""
    import torch

    from attune.models import load, methods
    from attune.models.place import Place
    from attune.training.graphs import Graphs, cuda_recorder
    from attune.training.kept import Kept
    from attune.training.loop import Fit
    from attune.training.optim import adamw
    from attune.training.start import HeadStart
    from attune.training.update import Learner

    if os.environ.get("ATTUNE_DENORMALS") == "0":
        # Products of numbers below 1e-38 take some processors a hundred times as long, and nothing that is learned
        # hangs on them. It holds for the threads that torch makes from now on, so it comes before all products.
        torch.set_flush_denormal(True)
    machine.give_memory_back()  # that of reading, before the model takes its own
    recipe, task, features = ready.recipe, ready.task, ready.features
    knobs = recipe.train
    model = load.backbone(recipe.model.base, task.head, task.labels, seed=knobs.seed, problem=task.problem)
    torch.manual_seed(knobs.seed)  # of what the method adds
    model = methods.build(**recipe.method.model_dump()).applied(model)
    task.equip(model)
    model.move(replace(Place.of(knobs.device, knobs.precision), regional=knobs.compile))
    optimizer = adamw(model.model, weight_decay=knobs.weight_decay, average=knobs.average)
    recorded = Graphs(cuda_recorder()) if knobs.graphs else None
    learner = Learner(task, model, optimizer, knobs.clip, ready.where, recorded)
    kept = Kept(task, model, store.folder) if ready.keeps else None
    begins = HeadStart(task, model) if ready.starts else None
    return Fit(learner, features["train"], features["valid"], ready.gold["valid"], knobs, store, kept, begins)


def whence(run: RunDir) -> str:
    """Where a run that was stopped or killed goes on."""
    from attune.training.checkpoint import Store

    step = Store(run.checkpoints).newest_step()
    return f"goes on after step {step:,}" if step else "no step was saved, training begins anew"


def hold_threads(run: RunDir) -> str:
    """Takes as many threads as the run began with, which its last bits depend on; a sentence where it cannot."""
    import torch

    before, now = run.read("environment.json")["threads"], torch.get_num_threads()
    if before == now:
        return ""
    if before > machine.cores():
        return f"the run began with {before} threads and goes on with {now}: its weights may differ in the last bits"
    torch.set_num_threads(before)
    return f"{before} threads, as when the run began"


def train(ready: Prepared, run: RunDir) -> Iterator[Event]:
    """Trains, measures once on the test rows, stores, checks and reports; yields what happens.

    Leaving it saves a checkpoint and marks the run as stopped.

    Raises:
        RecipeError: while another process trains this run.
    """
    with run.claimed():
        yield from _train(ready, run)


def _train(ready: Prepared, run: RunDir) -> Iterator[Event]:
    from attune.training.checkpoint import Store
    from attune.training.events import Evaluating, Finished, Keeping, Measuring, Starting
    from attune.training.loop import fit

    trial = fitting(ready, Store(run.checkpoints))
    run.status("running", host=machine.host(), born=machine.born())
    run.forget_events_after(trial.store.newest_step())
    events = fit(trial)
    try:
        for event in events:
            if not isinstance(event, Evaluating | Keeping | Starting):
                run.append_event(event.as_dict())
            if isinstance(event, Finished):
                for what in _finish(ready, run, trial, event):
                    yield Measuring(event.step, what)
            yield event
    except GeneratorExit:
        _leave(run, events)
        raise
    except AttuneError as error:
        run.status("failed", reason=str(error), finished=_now())
        raise


def _leave(run: RunDir, events: Generator[Event]) -> None:
    """Lets the loop save what it reached, and only then says that the run is stopped."""
    try:
        events.close()
    except AttuneError as error:
        run.status("failed", reason=str(error), finished=_now())
        raise
    run.status("stopped", reason="stopped by the user", finished=_now())


def _finish(ready: Prepared, run: RunDir, trained: Fit, event: Any) -> Iterator[str]:
    """Measures, stores, checks, reports; yields what it does next."""
    from attune import evaluate, report
    from attune.models import load, methods
    from attune.models.place import Place

    model, state = trained.learner.model, trained.state
    peak = model.place.peak_memory_mib()  # of training: baselines of many labels may take more
    yield from evaluate.measure(ready, model, run)
    details = run.read("details.json")
    details["cost"] = {
        "train_seconds": event.seconds,
        "tokens": state.tokens,
        "tokens_per_s": state.tokens / max(event.seconds, 1e-9),
        "peak_memory_mib": peak,
        "place": str(model.place),
    }
    details["method"] = ready.trained.as_dict()
    run.write("details.json", details)
    model.move(Place())  # what is stored is checked on a CPU, as others will read it
    ready.task.finish(model)
    model = methods.build(**ready.recipe.method.model_dump()).settled(model, run.path)
    run.write("task.json", ready.task.state())
    parity.keep(run, ready.task, model, ready.encoder, ready.rows.tables["test"])
    with files.whole_folder(run.model) as folder:
        longest = ready.recipe.model.max_tokens
        assert isinstance(longest, int)
        load.store(model, ready.tokenizer, folder, max_tokens=longest)
        ready.task.ship(folder, longest)
    yield "checking the stored model in a process of its own"
    parity.check(run)
    run.status(
        "finished",
        finished=_now(),
        seconds=event.seconds,
        best_step=event.best_step,
        main_metric=ready.task.main_metric,
        stopped_early=event.reason.startswith("stopped early"),
        reason=event.reason,
    )
    trained.store.forget()
    report.write(run.path)


def demand(run: RunDir, least: float) -> None:
    """Raises a QualityError for a finished run whose main metric of the test rows is not as good as that."""
    from attune.metrics.scales import scale

    metric = run.read("run.json")["main_metric"]
    found = run.read("metrics.json")["test"][metric]
    below = found["value"] > least if scale(metric).lower_is_better else found["value"] < least
    if below:
        shown = f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"
        what = f"{metric} of the test rows is not the {least:g} that was asked for"
        raise QualityError(
            Problem(str(run.path), what, shown, "The run is whole; its report tells where it fails")
        )


def drained(events: Iterator[Event]) -> None:
    """Lets a run go to its end."""
    for _ in events:
        pass


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
