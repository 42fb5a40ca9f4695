"""Similarity of texts: vectors whose cosine says how near two texts are.

Scored pairs learn by CoSENT (Su 2022): a pair with a higher score must have the higher cosine. Pairs and
triplets without scores learn by in-batch negatives (Henderson et al. 2017; InfoNCE): each text must be nearer
to its own partner than to those of the other rows. Both compare the rows of a step with each other, so a step
is never cut.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from attune.data.duplicates import numbered
from attune.data.table import Table
from attune.errors import Problem, RecipeError
from attune.metrics import numbers, retrieval
from attune.models.backbone import Backbone
from attune.models.place import there
from attune.models.tokens import Sequences, TextEncoder
from attune.tasks import base
from attune.tasks.features import Batch, Features, one_each

PARTS = ("text", "pair", "negative")


class Options(base.Options):
    """What only similarity knows."""

    scale: float = Field(20.0, gt=0, description="factor on the cosines in the loss (1 / temperature)")


@dataclass(frozen=True)
class Compared:
    """How near the two texts of a row are, in [-1, 1]."""

    label: float


@dataclass(frozen=True)
class Vectors:
    """The unit vectors of rows: [N, H] of each part; of one row when indexed."""

    text: np.ndarray
    pair: np.ndarray
    negative: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.text.shape[0])

    def __getitem__(self, row: int) -> Vectors:
        negative = None if self.negative is None else self.negative[[row]]
        return Vectors(self.text[[row]], self.pair[[row]], negative)

    @property
    def cosines(self) -> np.ndarray:
        """[N] of text and pair."""
        return np.asarray((self.text * self.pair).sum(axis=1), np.float64)


class Similarity(base.Task[Options]):
    """Vectors of texts, learned from pairs."""

    name = "similarity"
    head = "similarity"
    untrained = True
    whole_step = True
    Options = Options

    scored = True  # whether the pairs have scores

    @property
    def main_metric(self) -> str:  # type: ignore[override]
        """The rank correlation with the scores, or the mean reciprocal rank of the partner."""
        return "spearmanr" if self.scored else "mrr"

    @property
    def shown(self) -> tuple[str, ...]:  # type: ignore[override]
        """The metrics that the terminal shows."""
        return ("spearmanr", "pearson") if self.scored else ("mrr", "recall@1", "recall@5", "recall@10")

    def learn(self, rows: Table) -> None:
        """Whether pairs have scores."""
        self.scored = "label" in rows.columns and all(score is not None for score in rows.column("label"))

    def gold(self, rows: Table) -> np.ndarray:
        """The scores, [N]; where there are only pairs, the numbers of the two texts among all, [N, 2]."""
        if self.scored:
            return np.asarray(rows.column("label"), np.float64)
        both = [*rows.column("text"), *rows.column("pair")]
        return numbered(both).reshape(2, -1).T.astype(np.float64)

    def counts(self, gold: np.ndarray) -> dict[str, int]:
        """How many pairs there are."""
        return {"scored pairs" if self.scored else "pairs": len(gold)}

    def encode(self, rows: Table, encoder: TextEncoder, gold: np.ndarray | None = None) -> Features:
        """Two or three features a row, in the order of PARTS.

        Raises:
            RecipeError: where texts should be read by windows.
        """
        present = [name for name in PARTS if name in rows.columns]
        if encoder.long_texts == "windows":
            what = "a text is compared by one vector, so similarity reads no windows"
            raise RecipeError(Problem("model.long_texts", what, "windows", "Use truncate or head_tail"))
        each = [encoder.encode(rows.column(name)) for name in present]
        sequences = _interleaved(each)
        part = np.tile(np.arange(len(present)), len(rows))
        weights = (part == 0).astype(np.float64)
        targets = np.zeros(len(part), np.float32) if gold is None else np.repeat(gold, len(present))
        return one_each(sequences, targets.astype(np.float32), weights, part)

    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """The unit vectors of the batch's features, [B, H]."""
        return functional.normalize(model.pooled(batch.stream), dim=-1)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The sum over the rows."""
        parts = _by_part(batch)
        order = [there(places, logits.device) for places in parts]
        anchors, partners = logits[order[0]], logits[order[1]]
        if self.scored:
            cosines = self.options.scale * (anchors * partners).sum(-1)
            truth = batch.targets[order[0]]
            apart = cosines[None, :] - cosines[:, None]  # [i, j]: how far j is ahead of i
            wrong = apart.masked_fill(truth[:, None] <= truth[None, :], float("-inf"))
            return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong.flatten()]), 0) * batch.count
        candidates = torch.cat([logits[places] for places in order[1:]])
        scores = self.options.scale * anchors @ candidates.T
        own = torch.arange(len(anchors), device=logits.device)
        twins = _twins(batch, parts)
        scores = scores.masked_fill(there(twins, logits.device), torch.finfo(scores.dtype).min)
        return functional.cross_entropy(scores, own, reduction="sum")

    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The vector [H] of each feature."""
        return list(logits.numpy())

    def join(self, pieces: Sequence[Any], features: Features) -> Vectors:
        """The vectors of all rows by part."""
        stacked, part = np.asarray(pieces), features.private
        return Vectors(*(stacked[part == number] for number in range(int(part.max(initial=1)) + 1)))

    def answer(self, prediction: Vectors, row: dict[str, Any]) -> Compared:
        """The cosine of text and pair."""
        return Compared(round(float(prediction.cosines[0]), 6))

    def told(self, gold: Any, row: dict[str, Any]) -> Any:
        """The score; 1 for what is only a pair."""
        return float(gold) if self.scored else 1.0

    def certain(self, gold: np.ndarray) -> Vectors:
        """Vectors whose cosines are in the order of these scores, or whose partners are the same vectors."""
        if not self.scored:
            return Vectors(np.eye(len(gold)), np.eye(len(gold)))
        span = float(gold.max() - gold.min()) or 1.0
        cosines = (gold - gold.min()) / span
        pair = np.stack([cosines, np.sqrt(np.maximum(0.0, 1 - cosines**2))], 1)
        return Vectors(np.tile([1.0, 0.0], (len(gold), 1)), pair)

    def by_vectors(self, text: np.ndarray, pair: np.ndarray) -> Vectors:
        """Predictions from unit vectors [N, H]."""
        return Vectors(text, pair)

    def state(self) -> dict[str, Any]:
        """Whether pairs have scores."""
        return {**super().state(), "scored": self.scored}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        super().restore(state)
        self.scored = state["scored"]

    def statistics(self, gold: np.ndarray, predictions: Vectors) -> np.ndarray:
        """Sums for the correlations, or the reciprocal rank and hits of each row's partner."""
        if self.scored:
            return numbers.statistics(gold, predictions.cosines)
        return retrieval.statistics(_ranks(gold, predictions))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Correlations with the scores, or recall among all partners of the rows."""
        if not self.scored:
            return retrieval.scores(totals)
        found = numbers.scores(totals)
        return {name: found[name] for name in ("spearmanr", "pearson")}

    def severity(self, gold: np.ndarray, predictions: Vectors) -> np.ndarray:
        """How far a pair's place among the cosines is from its place among the scores, or a missed partner."""
        if not self.scored:
            return np.asarray(1.0 - 1.0 / _ranks(gold, predictions))
        apart = numbers.mean_ranks(predictions.cosines) - numbers.mean_ranks(gold)
        return np.asarray(np.abs(apart) / max(len(gold), 1))

    def details(self, gold: np.ndarray, predictions: Vectors) -> dict[str, Any]:
        """Pairs of score and cosine for a plot, 1,000 at most."""
        if not self.scored:
            return {}
        step = max(1, len(gold) // 1000)
        pairs = zip(gold[::step].tolist(), predictions.cosines[::step].tolist(), strict=True)
        return {"scatter": [[round(a, 4), round(b, 4)] for a, b in pairs]}

    def ship(self, folder: Path, max_tokens: int) -> None:
        """Says to sentence-transformers where texts are cut, and that vectors are means of length 1."""
        kinds = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(kinds)
        ]
        (folder / "1_Pooling").mkdir()
        (folder / "2_Normalize").mkdir()
        width = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = next(width[name] for name in ("hidden_size", "dim", "d_model", "n_embd") if name in width)
        pooling = {"word_embedding_dimension": size, "pooling_mode_mean_tokens": True}
        limits = {"max_seq_length": max_tokens, "do_lower_case": False}
        (folder / "sentence_bert_config.json").write_text(json.dumps(limits, indent=2), encoding="utf-8")
        (folder / "modules.json").write_text(json.dumps(modules, indent=2), encoding="utf-8")
        (folder / "1_Pooling/config.json").write_text(json.dumps(pooling, indent=2), encoding="utf-8")

    def examples(self) -> dict[str, Any]:
        """Scored pairs of ragged lengths."""
        return {
            "text": ["good kettle", "so so " * 30, "bad", "it broke", "very very good"],
            "pair": ["fine kettle", "not bad", "good " * 30, "it works", "good !"],
            "label": [5.0, 2.0, 0.5, 1.0, 4.0],
        }


def _ranks(gold: np.ndarray, predictions: Vectors) -> np.ndarray:
    """[N] the rank of the best right partner of each row among those of all rows."""
    return retrieval.ranks(predictions.text, predictions.pair, gold.astype(np.int64))


def _interleaved(each: Sequence[Sequences]) -> Sequences:
    """Sequences of several columns as one, row by row."""
    size = len(each[0])
    order = [(row, column) for row in range(size) for column in each]
    pieces = [column[row] for row, column in order]
    lengths = [len(piece) for piece in pieces]
    return Sequences(
        np.concatenate(pieces) if pieces else np.zeros(0, np.int32),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.repeat(np.arange(size, dtype=np.int32), len(each)),
        np.sum([column.whole for column in each], axis=0).astype(np.int32),
        np.sum([column.kept for column in each], axis=0).astype(np.int32),
        sum(column.unknown for column in each),
    )


def _by_part(batch: Batch) -> list[np.ndarray]:
    """The places in the batch of each part's features, ordered by row."""
    rows, part = batch.source.sequences.rows[batch.features], batch.source.private[batch.features]
    found = [np.flatnonzero(part == number) for number in range(int(part.max()) + 1)]
    return [places[np.argsort(rows[places], kind="stable")] for places in found]


def _twins(batch: Batch, parts: list[np.ndarray]) -> np.ndarray:
    """[N, M] which candidates are no negatives of a row, though they are not its own partner.

    Those that read like its text or its partner, and the partners of rows with the same text.
    """
    source = batch.source.sequences
    texts, partners, *others = (
        [source[int(batch.features[place])].tobytes() for place in places] for places in parts
    )
    candidates = [*partners, *itertools.chain(*others)]
    found = np.asarray([[one in own for one in candidates] for own in zip(texts, partners, strict=True)])
    found[:, : len(texts)] |= np.asarray([[one == other for other in texts] for one in texts])
    np.fill_diagonal(found, val=False)
    return found
