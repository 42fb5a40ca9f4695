"""Who is taken for whom, where exactly one label is right: as a heat map, or as the largest pairs."""

from __future__ import annotations

from typing import Any

from attune.report import strips, wording

HEAT_LABELS = 20  # a heat map of more labels cannot be read; its largest cells are listed instead
BESIDE = 5  # so few labels leave room for the map beside the table
SHOWN_PAIRS = 15
DARK_CELL = 0.75  # from this share on, a cell's number is written in light ink


def confusion(labels: list[str], matrix: list[list[int]]) -> dict[str, Any]:
    """The view data of the map or the list; rows of the matrix are true labels."""
    pairs = confused_pairs(labels, matrix)
    return {
        "heat": _heat(labels, matrix) if 0 < len(matrix) <= HEAT_LABELS else None,
        "beside": 0 < len(matrix) <= BESIDE,
        "upright": len(labels) > 6 or any(len(label) > 9 for label in labels),
        "pairs": pairs[:SHOWN_PAIRS],
        "more_pairs": max(0, len(pairs) - SHOWN_PAIRS),
    }


def confused_pairs(labels: list[str], confusion: list[list[int]]) -> list[dict[str, Any]]:
    """Which label is taken for which other one, the most rows first."""
    found: list[dict[str, Any]] = [
        {"true": labels[i], "predicted": labels[j], "n": n, "share": n / sum(row), "support": sum(row)}
        for i, row in enumerate(confusion)
        for j, n in enumerate(row)
        if n and i != j
    ]
    found.sort(key=lambda pair: (-pair["n"], -pair["share"]))
    return [
        {**pair, "percent": wording.percent(pair["share"]), "bar": strips.bar(pair["share"], "b")}
        for pair in found
    ]


def _heat(labels: list[str], confusion: list[list[int]]) -> list[dict[str, Any]]:
    return [
        {
            "label": labels[i],
            "total": wording.count(sum(row)),
            "cells": [_cell(labels, i, j, row) for j in range(len(row))],
        }
        for i, row in enumerate(confusion)
    ]


def _cell(labels: list[str], i: int, j: int, row: list[int]) -> dict[str, Any]:
    share = row[j] / sum(row) if sum(row) else 0.0
    shade = 0.12 + 0.88 * share if row[j] else 0.0  # a single row must be seen
    title = f"{labels[i]} predicted as {labels[j]}: {wording.counted(row[j], 'row')}"
    return {
        "n": wording.count(row[j]) if row[j] else "",
        "shade": f"{shade:.2f}",
        "paint": ("right" if i == j else "wrong") + (" strong" if shade > DARK_CELL else ""),
        "title": f"{title}, {wording.percent(share)}",
    }
