"""The data section: which files, how split, which labels, how long, what the checks found."""

from __future__ import annotations

from typing import Any

from attune.report import charts, strips, wording
from attune.report.folder import Folder
from attune.report.kinds import Kind, kind_of

SPLITS = ("train", "valid", "test")
SHOWN_LABELS = 12
LONG_NAME = 24  # characters; longer labels need the whole width
SHOWN_PLACES = 10
LEVELS = {
    "error": ("\N{HEAVY MULTIPLICATION X}", "error"),
    "warning": ("!", "warning"),
    "note": ("i", "note"),
}


def rows(folder: Folder) -> dict[str, Any]:
    """The view data of the section."""
    data, kind = folder.data, kind_of(folder)
    shapes = data.get("splits") or {}
    splits = [name for name in SPLITS if name in shapes]
    counted = _counted(data, splits, kind)
    labels = _labels(counted, data, kind)
    return {
        "sentences": _sentences(folder, splits),
        "reasons": (data.get("roles") or {}).get("reasons") or [],
        "notes": data.get("notes") or [],
        "files": [_file(name, each) for name, each in (data.get("files") or {}).items()],
        "splits": [_split(name, shapes[name]) for name in splits],
        "split_names": list(counted),
        "heading": kind.labels,
        "label": "range" if kind.name == "regression" else kind.label if kind.name != "qa" else "question",
        "labels": labels if len(labels) > 1 else [],
        "shown_labels": SHOWN_LABELS,
        "beside": len(labels) <= SHOWN_LABELS and all(len(each["name"]) <= LONG_NAME for each in labels),
        "lengths": _lengths(folder),
        "findings": sorted(
            map(_finding, folder.findings), key=lambda each: list(LEVELS).index(each["level"])
        ),
        "checked": bool(folder.findings) or (folder.path / "findings.json").is_file(),
    }


def _sentences(folder: Folder, splits: list[str]) -> list[str]:
    data, shapes = folder.data, folder.data.get("splits") or {}
    sentences = []
    total = sum(shapes[name].get("rows") or 0 for name in splits)
    if splits:
        parts = [f"{wording.count(shapes[name].get('rows'))} for {wording.SPLITS[name]}" for name in splits]
        sentences.append(f"{wording.counted(total, 'row')}: {wording.listed(parts)}.")
    roles = data.get("roles") or {}
    if roles.get("text"):
        sentences.append(_reading(roles, kind_of(folder)))
    cut = [(shapes[name].get("cut_rows") or 0) * (shapes[name].get("rows") or 0) for name in splits]
    limit = folder.knob("model", "max_tokens")
    if sum(cut) > 0 and total:
        where = f"longer than {wording.count(limit)} tokens" if limit else "too long for the model"
        sentences.append(f"{wording.percent(sum(cut) / total)} of the texts are {where}.")
    elif cut and folder.knob("model", "long_texts") == "windows":
        sentences.append(
            f"Texts of more than {wording.count(limit)} tokens are read by windows: nothing is cut."
        )
    elif cut:
        sentences.append("Every text fits into the model as a whole.")
    return sentences


def _file(split: str, entry: dict[str, Any]) -> dict[str, Any]:
    sha = str(entry.get("sha256") or "")
    return {
        "split": wording.SPLITS.get(split, split),
        "path": str(entry.get("path") or ""),
        "rows": wording.count(entry.get("rows")),
        "sha256": sha,
        "short": sha[:12],
    }


def _split(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    words, tokens = shape.get("words") or {}, shape.get("tokens") or {}
    return {
        "name": wording.SPLITS[name],
        "rows": wording.count(shape.get("rows")),
        "words": [wording.count(words.get(key)) for key in ("median", "p95", "max")],
        "tokens": [wording.count(tokens.get(key)) for key in ("median", "p95", "max")],
        "total": wording.count(tokens.get("total")),
        "cut_rows": wording.percent(shape.get("cut_rows")),
        "cut_tokens": wording.percent(shape.get("cut_tokens")),
    }


def _reading(roles: dict[str, Any], kind: Kind) -> str:
    """Which columns the model reads and what it learns of them."""
    columns = [f"\u201c{roles[role]}\u201d" for role in ("text", "pair") if roles.get(role)]
    label = roles.get("label") or ""
    name = wording.listed(list(map(str, label))) if isinstance(label, list | tuple) else str(label)
    learns = kind.learns.format(name) if name else kind.learns.partition(" \u201c")[0].removesuffix(", as in")
    return f"The model reads {wording.listed(columns)} and {learns.removesuffix(' of')}."


def _counted(data: dict[str, Any], splits: list[str], kind: Kind) -> dict[str, dict[str, int]]:
    """How often each label stands in each split; ranges of numbers that differ between splits stand alone."""
    shapes = data.get("splits") or {}
    counts = {name: shapes[name].get("labels") or {} for name in splits}
    if kind.name == "regression" and len({tuple(each) for each in counts.values()}) > 1:
        return dict(list(counts.items())[:1])
    return counts


def _labels(counts: dict[str, dict[str, int]], data: dict[str, Any], kind: Kind) -> list[dict[str, Any]]:
    names = [str(name) for name in data.get("labels") or []]
    names += sorted({name for each in counts.values() for name in each} - set(names))
    totals = {name: sum(each.get(name, 0) for each in counts.values()) for name in names}
    whole, most = sum(totals.values()) or 1, max(totals.values(), default=0) or 1
    if kind.name == "multilabel":  # a row counts for each of its labels, or for none
        whole = sum((data["splits"][name].get("rows") or 0) for name in counts) or 1
    if len(names) > SHOWN_LABELS:
        names = sorted(names, key=lambda name: -totals[name])
    return [
        {
            "name": name,
            "share": wording.percent(totals[name] / whole),
            "bar": strips.bar(totals[name] / most),
            "counts": [wording.count(each.get(name, 0)) for each in counts.values()],
        }
        for name in names
    ]


def _lengths(folder: Folder) -> str:
    lengths = folder.data.get("lengths") or {}
    by_split = [each for each in (lengths.get("counts") or {}).values() if each]
    summed = [sum(column) for column in zip(*by_split, strict=False)]
    limit = folder.knob("model", "max_tokens")
    edges = lengths.get("edges") or []
    # a cut far beyond the longest text would squeeze the bars together
    cut = limit if limit and edges and limit <= 1.5 * edges[-1] else None
    return charts.histogram(edges, summed, cut, lost=folder.knob("model", "long_texts") != "windows")


def _finding(entry: dict[str, Any]) -> dict[str, Any]:
    level = entry.get("level") if entry.get("level") in LEVELS else "note"
    places = [str(place) for place in entry.get("rows") or []]
    return {
        "level": level,
        "icon": LEVELS[str(level)][0],
        "check": str(entry.get("check", "")).replace("_", " "),
        "sentence": entry.get("sentence", ""),
        "places": places[:SHOWN_PLACES],
        "more": f"{SHOWN_PLACES} of {wording.count(len(places))} rows are shown; all are in findings.json"
        if len(places) > SHOWN_PLACES
        else "",
    }
