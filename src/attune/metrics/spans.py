"""Scores of entities written as one tag a word; equal to seqeval's `classification_report` on the same tags.

Tags are O, B-TYPE and I-TYPE (IOB2); E- and S- of IOBES are read too. Tags that break the scheme, as models
write them, are read leniently: an I- that continues nothing begins an entity (conlleval.pl, the default of
seqeval). With `strict` it belongs to none (seqeval's mode="strict", scheme=IOB2). The two give different scores.
Letters: N sentences, T types, K = 3 T + 6 sums: entities right, true and predicted of each type, words whose
tag is right, words, entities right by the four schemes of `overlaps`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from attune.metrics import labels
from attune.metrics.labels import Tally
from attune.metrics.overlaps import SCHEMES, Entity, matched

REST = 2 + len(SCHEMES)
Tags = Sequence[Sequence[str]]


def entities(tags: Sequence[str], *, strict: bool = False) -> list[Entity]:
    """The entities of one sentence as (type, first word, last word), in its order."""
    found: list[Entity] = []
    begin, before, kind = -1, "O", ""  # an entity of this kind began there, if begin is not -1
    for place, tag in enumerate([*tags, "O"]):
        mark, of = _parts(tag)
        broken = before in "ESO" or of != kind  # nothing that this tag could continue
        if begin >= 0 and (broken or mark in "BSO"):
            found.append((kind, begin, place - 1))
            begin = -1
        if mark in "BS" or (broken and mark in "IE" and not strict):
            begin = place
        if strict and mark in "ES":
            raise ValueError(f"strict reading knows O, B- and I-; found '{tag}'")
        before, kind = mark, of
    return found


def types_of(*many: Tags, strict: bool = False) -> list[str]:
    """The entity types that occur in any of the tag sequences, sorted."""
    return sorted({kind for tags in many for row in tags for kind, _, _ in entities(row, strict=strict)})


def statistics(gold: Tags, predicted: Tags, types: Sequence[str], *, strict: bool = False) -> np.ndarray:
    """[N, K] what each sentence adds to the sums of which `scores` is a function."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences need as many predictions; found {len(predicted)}")
    place = {kind: number for number, kind in enumerate(types)}
    table = np.zeros((len(gold), 3 * len(types) + REST))
    for row, (truth, said) in enumerate(zip(gold, predicted, strict=True)):
        if len(truth) != len(said):
            raise ValueError(f"sentence {row} has {len(truth)} tags and {len(said)} predicted ones")
        of_truth, of_said = entities(truth, strict=strict), entities(said, strict=strict)
        for part, group in enumerate((set(of_truth) & set(of_said), of_truth, of_said)):
            for kind, count in Counter(kind for kind, _, _ in group).items():
                if kind not in place:
                    raise ValueError(f"'{kind}' in sentence {row} is not one of the types {', '.join(types)}")
                table[row, part * len(types) + place[kind]] = count
        hits = matched(of_truth, of_said)
        right = sum(a == b for a, b in zip(truth, said, strict=True))
        table[row, -REST:] = [right, len(truth), *(hits[scheme] for scheme in SCHEMES)]
    return table


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of sums [..., K], all in [0, 1].

    `overall_` is over all entities (micro), `f1_macro` and the like over the types that occur, `weighted`
    by their true entities; `overall_accuracy` is over words. `type_f1` and the other three are of `overlaps`.
    """
    sums = np.asarray(sums, dtype=np.float64)
    t = _tally(sums)
    right, words, *by_scheme = np.moveaxis(sums[..., -REST:], -1, 0)
    hits, support, guessed = t.hits.sum(-1), t.support.sum(-1), t.guessed.sum(-1)
    found = dict(
        zip(("overall_precision", "overall_recall", "overall_f1"), _of(hits, support, guessed), strict=True)
    )
    found["overall_accuracy"] = labels.share(right, words)
    for name, values in (
        ("precision", labels.precision(t)),
        ("recall", labels.recall(t)),
        ("f1", labels.f1(t)),
    ):
        found[f"{name}_macro"] = labels.macro(values, t)
        found[f"{name}_weighted"] = labels.share((values * t.support).sum(-1), support)
    for scheme, of_scheme in zip(SCHEMES, by_scheme, strict=True):
        names = (f"{scheme}_{measure}" for measure in ("precision", "recall", "f1"))
        found |= zip(names, _of(of_scheme, support, guessed), strict=True)
    return found


def per_type(sums: np.ndarray, types: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of true entities of every type, in the order of the types."""
    return labels.per_class(_tally(np.asarray(sums, dtype=np.float64)), types)


def _parts(tag: str) -> tuple[str, str]:
    """The mark and the type of a tag."""
    if tag[:1] not in tuple("BIESO") or (tag != "O" and tag[1:2] != "-") or tag == tag[:1] + "-":
        raise ValueError(f"a tag of entities is O, B-TYPE or I-TYPE; found '{tag}'")
    return tag[0], tag[2:]


def _tally(sums: np.ndarray) -> Tally:
    hits, support, guessed = np.split(sums[..., :-REST], 3, axis=-1)
    return Tally(hits, support, guessed)


def _of(
    hits: np.ndarray, support: np.ndarray, guessed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of counts [...]."""
    return labels.share(hits, guessed), labels.share(hits, support), labels.share(2 * hits, support + guessed)
