"""What the rows are, for data.json: the report and whoever reads a run later see the data through this."""

from __future__ import annotations

from typing import Any

import numpy as np

from attune.data import profile, tags
from attune.data.table import Table
from attune.prepare import Prepared


def of(ready: Prepared) -> dict[str, Any]:
    """Files, roles, splits, lengths, what is cut."""
    found, parts = ready.rows, {}
    lengths = {part: features.sequences.whole for part, features in ready.features.items()}
    bars = profile.histogram(np.concatenate(list(lengths.values())))
    for part, table in found.tables.items():
        whole, sequences = lengths[part], ready.features[part].sequences
        parts[part] = {
            **profile.profile(found.texts(part), ready.task.counts(ready.gold[part])),
            "tokens": {
                "median": float(np.median(whole)),
                "p95": float(np.quantile(whole, 0.95)),
                "max": int(whole.max()),
                "total": int(whole.sum()),
            },
            "groups": len(set(table.column("group"))) if "group" in table.columns else None,
            "cut_rows": sequences.cut_rows,
            "cut_tokens": sequences.cut_tokens,
            "unknown_tokens": sequences.unknown / max(1, int(whole.sum())),
        }
    return {
        "files": {
            part: {"path": t.path, "sha256": t.sha256, "rows": len(t)} for part, t in found.tables.items()
        },
        "roles": {
            "task": found.roles.task,
            "text": found.roles.text,
            "pair": found.roles.pair,
            "label": found.roles.knobs["label"],
            "reasons": list(found.roles.reasons),
            "whole": _whole(found.tables["train"]),
        },
        "labels": list(ready.task.counts(ready.gold["train"])),
        "splits": parts,
        "notes": list(found.notes),
        "lengths": {
            "edges": bars["edges"],
            "counts": {
                part: np.histogram(whole, bars["edges"])[0].tolist() for part, whole in lengths.items()
            },
        },
    }


def _whole(train: Table) -> bool:
    """Whether words come as tokens that a plain text would be cut otherwise into (tagging)."""
    if "words" not in train.columns:
        return False
    rows = zip(train.column("text"), train.column("words"), strict=True)
    return any(list(words) != tags.words(text) for text, words in rows)
