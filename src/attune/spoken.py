"""What the terminal says of a plan, a forecast, a step and an evaluation, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attune.report.wording import counted, metric_name

if TYPE_CHECKING:
    from attune.forecast import Forecast
    from attune.prepare import Prepared

TOLD = (
    "task",
    "text",
    "pair",
    "label",
)  # what a reason may be about; any other word before a colon is its own


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
        f"about {clock(told.total_seconds)}: {_before(told)}{counted(told.steps, 'step')} {clock(told.step_seconds)} "
        f"({told.tokens_per_s:,.0f} tokens/s), {counted(told.evaluations, 'evaluation')} "
        f"{clock(told.evaluation_seconds)}, "
        f"the test rows {clock(told.measuring_seconds)}; then baselines and checks"
    )


def _before(told: Forecast) -> str:
    """What is done before the first step."""
    parts = (("the start of the head", told.start_seconds), ("the frozen layers", told.kept_seconds))
    return "".join(f"{name} {clock(seconds)}, " for name, seconds in parts if seconds >= 0.5)


def clock(seconds: float) -> str:
    """`1:05` or `2:03:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def planned(ready: Prepared) -> Iterator[tuple[str, str]]:
    """The plan as pairs of a word and a sentence."""
    found, recipe = ready.rows, ready.recipe
    yield "task", recipe.task.name
    yield from map(told, (*found.roles.reasons, *found.notes, *ready.offers))
    sizes = {part: len(table) for part, table in found.tables.items()}
    shown = " / ".join(f"{sizes[part]:,}" for part in ("train", "valid", "test"))
    yield "rows", f"{shown} (train / valid / test), {_held_out(found.tables)}"
    yield "length", _length(ready)
    many = len(ready.task.labels)
    head = "its own head" if ready.own_head else "a new head"
    head += f" for {many} labels" if many > 1 else ""
    head += ", begun at a logistic regression if that tells them" if ready.starts else ""
    head = "compared by its vectors, without a head" if ready.task.head == "similarity" else head
    yield "model", f"{recipe.model.base} ({ready.model_type}), {head}"
    once = "; what leaves the frozen layers is computed once and kept" if ready.keeps else ""
    yield "method", f"{ready.trained.sentence}{once}"
    knobs = recipe.train
    epochs = "1 epoch" if knobs.epochs == 1 else f"{knobs.epochs:g} epochs"
    usual = (knobs.device, knobs.precision) == ("cpu", "float32")
    where = "" if usual else f", on {knobs.device} in {knobs.precision}"
    yield (
        "train",
        f"{epochs}, about {ready.steps:,} steps of {knobs.batch} {knobs.batch_by}, "
        f"learning rate {knobs.lr:g}, seed {knobs.seed}{where}",
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
