"""The training section: curves, the best step, time, speed and memory."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from attune.report import charts, scores, wording
from attune.report.folder import Folder, finite
from attune.report.verdict import main_metric

LOSS = "log_loss"  # the metric of the validation rows that the training loss is comparable with


def learning(folder: Folder) -> dict[str, Any]:
    """The view data of the section."""
    metric = main_metric(folder)
    best = best_step(folder)
    last = folder.steps[-1]["step"] if folder.steps else None
    stopped = last if folder.run.get("stopped_early") else None
    train = charts.Line("training loss", "a", series(folder.steps, "loss"))
    valid = charts.Line("validation loss", "b", evaluated(folder, LOSS), dots=True)
    scored = charts.Line(
        f"validation {wording.metric_name(metric)}", "b", evaluated(folder, metric), dots=True
    )
    return {
        "sentences": _sentences(folder, metric, best),
        "loss": charts.curves([train, valid], "loss", best, stopped),
        "has_valid_loss": bool(valid.points),
        "score": charts.curves([scored], wording.metric_name(metric), best, stopped),
        "score_name": scored.name,
        "stopped": stopped is not None and stopped != best,
        "evaluations": _table(folder, metric, best),
        "facts": _facts(folder),
    }


def best_step(folder: Folder) -> int | None:
    """The step whose weights were kept, or None."""
    marked = [event["step"] for event in folder.evaluations if event.get("best")]
    found: Any = folder.run.get("best_step", marked[-1] if marked else None)
    return int(found) if finite(found) else None


def series(events: list[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """The finite values of one field over the steps."""
    return [(event["step"], event[key]) for event in events if finite(event.get(key))]


def evaluated(folder: Folder, metric: str) -> list[tuple[float, float]]:
    """A metric of the validation rows over the steps."""
    scored = [{**(event.get("metrics") or {}), "step": event["step"]} for event in folder.evaluations]
    return series(scored, metric)


def _passes(epochs: float) -> str:
    return f"{epochs:.1f} passes" if epochs >= 0.1 else "less than a tenth of a pass"


def _sentences(folder: Folder, metric: str, best: int | None) -> list[str]:
    if not folder.steps:
        return ["No step was taken."]
    last = folder.steps[-1]
    sentences = [wording.began(folder.start)] if folder.start else []
    sentences.append(
        f"{wording.counted(last['step'], 'step')} ({_passes(last.get('epoch', 0))} over the rows)."
    )
    if best is not None:
        name = wording.metric_name(metric)
        sentences.append(
            f"The weights of step {wording.count(best)}, the best by validation {name}, were kept."
        )
    if folder.run.get("stopped_early"):
        reason = str(folder.run.get("reason") or "the score no longer rose").removeprefix("stopped early: ")
        sentences.append(f"Training stopped early: {reason}.")
    losses = dict(evaluated(folder, LOSS))
    after = [loss for step, loss in losses.items() if best is not None and step > best]
    if best in losses and after and after[-1] > 1.03 * losses[best]:
        sentences.append(
            f"After the best step, validation loss rose from {wording.score(losses[best])} to "
            f"{wording.score(after[-1])}: the model began to learn the training rows by heart."
        )
    return sentences


def _table(folder: Folder, metric: str, best: int | None) -> list[dict[str, Any]]:
    train = dict(series(folder.steps, "loss"))
    return [
        {
            "step": wording.count(event["step"]),
            "epoch": wording.score(event.get("epoch"), 1),
            "train": wording.score(train.get(event["step"])),
            "loss": wording.score((event.get("metrics") or {}).get(LOSS)),
            "score": scores.written(metric, (event.get("metrics") or {}).get(metric)),
            "best": event["step"] == best,
        }
        for event in folder.evaluations
    ]


def _facts(folder: Folder) -> list[dict[str, Any]]:
    cost = folder.details.get("cost") or {}
    facts = [
        ("Start", _start(folder.knob("model", "base")), ""),
        ("Trained", (folder.details.get("method") or {}).get("sentence"), ""),
        ("Time", _known(cost.get("train_seconds", folder.run.get("seconds")), wording.duration), ""),
        (
            "Speed",
            _known(
                cost.get("tokens_per_s"),
                lambda value: f"{wording.count(value)} tokens/s, evaluations included",
            ),
            "tokens_per_s",
        ),
        ("Tokens read", _known(cost.get("tokens"), wording.count), ""),
        ("Peak memory", _known(cost.get("peak_memory_mib"), wording.memory), ""),
        ("Learning rate", _rate(folder.knob("train", "lr")), "lr"),
        ("Gradient norm", _last(folder, "grad_norm"), "grad_norm"),
        ("Batch", _batch(folder), ""),
    ]
    return [
        {
            "name": name,
            "value": value,
            "spark": charts.sparkline(_values(folder, key), f"{name} over the steps"),
        }
        for name, value, key in facts
        if value not in (None, "")
    ]


def _start(base: Any) -> Any:
    # the recipe of a run holds whole paths; who reads the report wants the name
    return PurePath(base).name if isinstance(base, str) and PurePath(base).is_absolute() else base


def _values(folder: Folder, key: str) -> list[float]:
    return [value for _, value in series(folder.steps, key)] if key else []


def _known(value: Any, write: Any) -> str | None:
    return str(write(value)) if finite(value) else None


def _rate(value: Any) -> str | None:
    # PyYAML takes 1e-4 for a word
    return f"{wording.small(float(value))} at its peak" if _is_number(value) else None


def _is_number(value: Any) -> bool:
    try:
        return finite(float(value))
    except (TypeError, ValueError):
        return False


def _last(folder: Folder, key: str) -> str | None:
    values = _values(folder, key)
    return f"{wording.small(values[-1])} at the end" if values else None


def _batch(folder: Folder) -> str | None:
    batch = folder.knob("train", "batch")
    return (
        f"{wording.count(batch)} {folder.knob('train', 'batch_by') or 'rows'} a step"
        if finite(batch)
        else None
    )
