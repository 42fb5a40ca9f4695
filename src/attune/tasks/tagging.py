"""Tagging of words: named entities, parts of speech, slots, chunks.

The head answers at the first piece of each word. Entities are tagged in the scheme IOB2 (`B-PER`, `I-PER`, `O`); an
answer that breaks it is repaired by taking the most probable sequence that does not (Viterbi over the allowed steps).
Characters of an entity always slice to its text. With `crf` a chain over the tags is learned beside the head; the
stored model gives the head's logits, and task.json the chain.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from attune.data.table import Table
from attune.metrics import spans, tags
from attune.models.backbone import Backbone, means
from attune.models.tokens import Encoded, TextEncoder, collected
from attune.tasks import base
from attune.tasks.chains import Chain
from attune.tasks.features import Batch, Features
from attune.tasks.words import (
    OUTSIDE,
    allowed,
    are_entities,
    begins,
    best_path,
    entities,
    first_pieces,
    joined,
    tagged,
    weights,
)

CHAIN = "attune_chain"  # the name of the chain among the model's modules while it is trained


class Options(base.Options):
    """What only tagging knows."""

    consistent: bool = Field(
        True, description="answers keep the scheme of entities: no I-PER that nothing begins"
    )
    crf: bool = Field(False, description="learn which tag follows which, too (conditional random field)")


@dataclass(frozen=True)
class Tagged:
    """The entities of a text (or the tag of each word, where tags are no entities) and all its tags."""

    label: list[Any]  # entities: {"type", "start", "end", "text", "probability"}; else tags
    tags: list[str]


class Tagging(base.Task[Options]):
    """A tag for each word."""

    name = "tagging"
    head = "tagging"
    long_texts = "windows"
    Options = Options

    chain: Chain | None = None  # what is learned of the steps between tags

    @property
    def entities(self) -> bool:
        """Whether the tags mark entities."""
        return are_entities(self.labels)

    @property
    def main_metric(self) -> str:  # type: ignore[override]
        """F1 of whole entities, or the share of right tags where there are none."""
        return "overall_f1" if self.entities else "overall_accuracy"

    @property
    def shown(self) -> tuple[str, ...]:  # type: ignore[override]
        """The metrics that the terminal shows."""
        if not self.entities:
            return ("overall_accuracy", "f1_macro")
        return ("overall_f1", "overall_precision", "overall_recall", "f1_macro", "overall_accuracy")

    def learn(self, rows: Table) -> None:
        """Takes every tag of the rows; an entity that only ever begins gets its inside tag too."""
        names = {tag for row in rows.column("label") for tag in row}
        if are_entities(names):
            names |= {f"I-{name[2:]}" for name in names if name.startswith("B-")} | {OUTSIDE}
        self.labels = tuple(sorted(names, key=lambda name: (name != OUTSIDE, name[2:], name)))
        self.chain = Chain(len(self.labels)) if self.options.crf else None

    def equip(self, model: Backbone) -> None:
        """The chain is trained, stored and resumed with the model."""
        if self.chain is not None:
            model.model.add_module(CHAIN, self.chain)

    def finish(self, model: Backbone) -> None:
        """The stored model is a plain one again."""
        if self.chain is not None:
            delattr(model.model, CHAIN)

    def state(self) -> dict[str, Any]:
        """The labels, and the steps of the chain."""
        steps = {} if self.chain is None else {"steps": self.chain.steps.tolist()}
        return {**super().state(), **steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back labels and steps."""
        super().restore(state)
        if self.options.crf:
            self.chain = Chain(len(self.labels))
            self.chain.load_state_dict({"steps": torch.tensor(state["steps"])})

    def gold(self, rows: Table) -> list[list[str]]:
        """The tags of each row's words."""
        return entities(rows) if self.entities else [list(row) for row in rows.column("label")]

    def counts(self, gold: Sequence[Sequence[str]]) -> dict[str, int]:
        """Entities of each type, or words of each tag."""
        counted: Counter[str] = Counter()
        for row in gold:
            counted.update(row if not self.entities else (kind for kind, _, _ in spans.entities(row)))
        return dict(counted)

    def encode(self, rows: Table, encoder: TextEncoder, gold: Any = None) -> Features:
        """One feature for each text or window of it; each word asks once, at its first piece."""
        index = {name: place for place, name in enumerate(self.labels)}
        made, wanted, units, asked = [], [], [], []
        texts, words = rows.column("text"), rows.column("words")
        for row, (ids, offsets) in enumerate(encoder.with_offsets(texts)):
            firsts = first_pieces(offsets, words[row], texts[row])
            pieces = []
            for part in encoder.parts(len(ids), encoder.room):
                place_of = {int(token): place for place, token in enumerate(part)}
                here = [(place_of[t], word) for word, t in enumerate(firsts) if t in place_of]
                pieces.append(np.concatenate([encoder.prefix, ids[part], encoder.suffix]))
                wanted += [place + len(encoder.prefix) for place, _ in here]
                units += [(row, word) for _, word in here]
                asked.append(len(here))
            kept = len(ids) if encoder.long_texts == "windows" else min(len(ids), encoder.room)
            made.append(Encoded(pieces, len(ids), kept, len(encoder.prefix) + len(encoder.suffix)))
        where = np.asarray(units, np.int64).reshape(-1, 2)
        targets = np.full(len(where), -1, np.int64)
        if gold is not None:
            targets = np.asarray([index.get(gold[row][word], -1) for row, word in where], np.int64)
        sizes = [len(held) for held in words]
        return Features(
            collected(made, unknown=encoder.tokenizer.unk_token_id),
            np.asarray(wanted, np.int64),
            np.concatenate([[0], np.cumsum(asked)]).astype(np.int64),
            targets,
            weights(where, sizes, known=targets >= 0 if gold is not None else None),
            (where, sizes),
        )

    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The token classification head's logits at the words, [U, C]."""
        return model.tag(batch.stream, batch.wanted)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The weighted sum of the cross entropies; tags that train does not have weigh nothing."""
        if self.chain is not None:
            starting = begins(batch).to(logits.device)
            each = self.chain.losses(logits, batch.targets, batch.asked, starting)
            return (each * means(batch.weights[:, None], batch.asked)[:, 0]).sum()
        each = functional.cross_entropy(logits, batch.targets.clamp(min=0), reduction="none")
        return (each * batch.weights).sum()

    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The probabilities [n, C] of each feature's words."""
        if self.chain is not None:
            return [held.numpy() for held in self.chain.marginals(logits, batch.asked, begins(batch))]
        probabilities = logits.double().softmax(dim=-1).numpy()
        return np.split(probabilities, np.cumsum(batch.asked)[:-1])

    def join(self, pieces: Sequence[Any], features: Features) -> list[np.ndarray]:
        """The probabilities [words, C] of each row, means over its windows; words not read are outside."""
        where, sizes = features.private
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        total = np.zeros((int(starts[-1]), len(self.labels)))
        flat = starts[where[:, 0]] + where[:, 1]
        if len(flat):
            np.add.at(total, flat, np.concatenate(pieces))
        read = np.bincount(flat, minlength=len(total))
        total[read == 0, 0] = 1.0
        total /= np.maximum(read, 1)[:, None]
        return [total[begin:end] for begin, end in itertools.pairwise(starts)]

    def tags(self, prediction: np.ndarray) -> list[str]:
        """The most probable tags of a row's words, in the scheme."""
        if len(prediction) == 0:
            return []
        best = prediction.argmax(1)
        if self.options.consistent and self.entities:
            best = best_path(np.log(np.maximum(prediction, 1e-12)), allowed(self.labels))
        return [self.labels[place] for place in best]

    def answer(self, prediction: np.ndarray, row: dict[str, Any]) -> Tagged:
        """The entities with their characters, or the tags."""
        told = self.tags(prediction)
        place = {name: number for number, name in enumerate(self.labels)}
        sure = prediction[np.arange(len(told)), [place[tag] for tag in told]] if told else None
        return Tagged(self._read(told, row, sure), told)

    def told(self, gold: Sequence[str], row: dict[str, Any]) -> list[Any]:
        """The true entities, or the true tags."""
        return self._read(list(gold), row, None)

    def truth(self, record: Mapping[str, Any]) -> list[str]:
        """The tags of the words."""
        return tagged(record["label"], record["words"]) if self.entities else record["label"]

    def _read(self, told: list[str], row: dict[str, Any], sure: np.ndarray | None) -> list[Any]:
        if not self.entities:
            return told
        found = []
        for kind, first, last in spans.entities(told):
            begin, stop = row["words"][first][0], row["words"][last][1]
            entity = {"type": kind, "start": begin, "end": stop, "text": row["text"][begin:stop]}
            if sure is not None:
                entity["probability"] = round(float(sure[first : last + 1].min()), 6)
            found.append(entity)
        return found

    def certain(self, gold: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Probability 1 for these tags; one that train does not have is taken for the first label."""
        index = {name: place for place, name in enumerate(self.labels)}
        hot = np.eye(len(self.labels))
        return [hot[[index.get(tag, 0) for tag in row]].reshape(-1, len(self.labels)) for row in gold]

    def statistics(self, gold: Any, predictions: Any) -> np.ndarray:
        """What `metrics.spans` (or `metrics.tags`) counts of each row."""
        told = [self.tags(prediction) for prediction in predictions]
        if self.entities:
            return spans.statistics(gold, told, self._types(gold))
        return tags.statistics(gold, told, self._names(gold))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Scores of whole entities, or of tags."""
        if self.entities:
            return spans.scores(totals)
        found = tags.scores(totals)
        return {"overall_accuracy": found.pop("accuracy"), **found}

    def _types(self, gold: Any) -> list[str]:
        """The types of entities in train or in these rows."""
        return sorted({name[2:] for name in self.labels if name != OUTSIDE} | set(spans.types_of(gold)))

    def _names(self, gold: Any) -> list[str]:
        """The tags in train or in these rows."""
        return [*self.labels, *sorted({tag for row in gold for tag in row} - set(self.labels))]

    def severity(self, gold: Any, predictions: Any) -> np.ndarray:
        """Entities that are wrong or missing, or words with a wrong tag."""
        told = [self.tags(prediction) for prediction in predictions]
        pairs = list(zip(gold, told, strict=True))
        if self.entities:
            wrong = [len(set(spans.entities(a)) ^ set(spans.entities(b))) for a, b in pairs]
        else:
            wrong = [sum(one != other for one, other in zip(a, b, strict=True)) for a, b in pairs]
        return np.asarray(wrong, np.float64)

    def details(self, gold: Any, predictions: Any) -> dict[str, Any]:
        """Scores of each type (or tag), and of entities found in part."""
        totals = self.statistics(gold, predictions).sum(0)
        if not self.entities:
            return {"per_class": tags.per_tag(totals, self._names(gold))}
        found = spans.scores(totals)
        schemes = ("strict", "exact", "partial", "type")
        matching = {
            scheme: {name: float(found[f"{scheme}_{name}"]) for name in ("precision", "recall", "f1")}
            for scheme in schemes
        }
        return {"per_class": spans.per_type(totals, self._types(gold)), "matching": matching}

    def examples(self) -> dict[str, Any]:
        """Split words, a word without a piece of its own, no words, more words than a short model can read."""
        rows = [
            (["good", "kettle", "works"], ["B-X", "I-X", "O"]),
            (["unbelievable", "kettle"], ["B-Y", "O"]),
            ([], []),
            (["..."], ["O"]),
            (["so", "kettle"] * 20, ["O", "B-X"] * 20),
            (["bad"], ["B-Y"]),
        ]
        return {
            "text": [" ".join(words) for words, _ in rows],
            "words": [joined(words) for words, _ in rows],
            "label": [tags for _, tags in rows],
        }
