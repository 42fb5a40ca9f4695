"""Extractive question answering: the part of a context that answers a question, or that there is none.

Each window of the context is read behind the question (Devlin et al. 2019). Start and end are classes over
the tokens of one sequence; where a window holds no answer, its first token stands for that. How much better
than "no answer" an answer must be is decided on the validation rows (Rajpurkar et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from attune.data.table import Table
from attune.metrics import extraction as metrics
from attune.models.backbone import Backbone
from attune.models.tokens import Encoded, TextEncoder, collected
from attune.tasks import base
from attune.tasks.features import Batch, Features, one_each

OVERLAP = 0.5  # of two windows, at least: an answer of up to half a window is whole in one of them
BEST = 20  # starts and ends of a window that are combined, and answers of a row that are kept


class Options(base.Options):
    """What only question answering knows."""

    answer_tokens: int = Field(30, ge=1, description="longest answer, in tokens")
    best: int = Field(3, ge=1, le=BEST, description="how many answers are told for each question")


@dataclass(frozen=True)
class Answered:
    """The best answer to a question and where it stands in the context; empty where there is none."""

    label: str
    probability: float
    start: int  # character; -1 without an answer
    end: int
    best: list[dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """A part of a context, with the logits of its two ends added up."""

    score: float
    begin: int
    end: int
    text: str


@dataclass(frozen=True)
class Found:
    """The places that may answer a question, best first, and the score of having no answer."""

    places: list[Place]
    none: float


class QA(base.Task[Options]):
    """The answer to a question out of its context."""

    name = "qa"
    head = "qa"
    main_metric = "f1"
    shown = ("f1", "exact_match", "HasAns_f1", "NoAns_f1")
    long_texts = "windows"
    Options = Options

    unanswerable = False  # whether a question may have no answer
    threshold = 0.0  # how far "no answer" must be ahead of the best place to be told

    def learn(self, rows: Table) -> None:
        """Whether there are questions without an answer."""
        self.unanswerable = any(not answers for answers in rows.column("label"))

    def gold(self, rows: Table) -> list[list[dict[str, Any]]]:
        """The answers of each row."""
        return [list(answers) for answers in rows.column("label")]

    def counts(self, gold: Sequence[Any]) -> dict[str, int]:
        """Questions with and without an answer."""
        with_answer = sum(bool(answers) for answers in gold)
        found = {"with an answer": with_answer, "without": len(gold) - with_answer}
        return {name: n for name, n in found.items() if n}

    def encode(self, rows: Table, encoder: TextEncoder, gold: Any = None) -> Features:
        """One feature for each window of a context."""
        room = encoder.max_tokens - encoder.pair.size
        questions, contexts = rows.column("text"), rows.column("pair")
        made, targets, windows = [], [], []
        for row, (asked, (ids, offsets)) in enumerate(
            zip(encoder.ids(questions), encoder.with_offsets(contexts), strict=True)
        ):
            whole, asked = len(asked) + len(ids), asked[: room // 2]
            first = len(encoder.pair.prefix) + len(asked) + len(encoder.pair.middle)
            pieces, kinds, read = [], [], set()
            for part in encoder.parts(len(ids), room - len(asked), overlap=OVERLAP):
                tokens, kind = encoder.pair.around(asked, ids[part])
                pieces.append(tokens)
                kinds.append(kind)
                read.update(part.tolist())
                windows.append((first, offsets[part], contexts[row]))
                targets.append(_target(offsets[part], first, gold[row] if gold is not None else []))
            made.append(Encoded(pieces, whole, len(asked) + len(read), encoder.pair.size, kinds))
        sequences = collected(made, unknown=encoder.tokenizer.unk_token_id)
        shares = 1.0 / np.bincount(sequences.rows, minlength=len(rows))[sequences.rows]
        return one_each(sequences, np.asarray(targets, np.int64).reshape(-1, 2), shares, windows)

    def logits(self, model: Backbone, batch: Batch) -> Tensor:
        """Start and end logits of every token, [T, 2]."""
        return model.span(batch.stream)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The mean of the cross entropies of start and end within each sequence, summed."""
        lowest = torch.finfo(logits.dtype).min
        padded = pad_sequence(
            list(logits.split(batch.stream.lengths)), batch_first=True, padding_value=lowest
        )  # [B, L, 2]
        each = functional.cross_entropy(padded, batch.targets, reduction="none")  # [B, 2]
        return (each.mean(1) * batch.weights).sum()

    def predict(self, logits: Tensor, batch: Batch) -> list[Any]:
        """The best places of each window, and the score of its first token."""
        parts = logits.double().split(batch.stream.lengths)
        windows = [batch.source.private[feature] for feature in batch.features]
        return [
            Found(list(self._places(part.numpy(), *window)), float(part[0].sum()))
            for part, window in zip(parts, windows, strict=True)
        ]

    def _places(self, scores: np.ndarray, first: int, offsets: np.ndarray, context: str) -> Iterator[Place]:
        """The combinations of the best starts and ends in a window, best first."""
        inner = scores[first : first + len(offsets)]
        if not len(inner):
            return
        starts, ends = (np.argsort(-inner[:, side], kind="stable")[:BEST] for side in (0, 1))
        begin, end = (grid.ravel() for grid in np.meshgrid(starts, ends, indexing="ij"))
        fits = (end >= begin) & (end - begin < self.options.answer_tokens)
        begin, end = begin[fits], end[fits]
        totals = inner[begin, 0] + inner[end, 1]
        for place in np.argsort(-totals, kind="stable")[:BEST]:
            here, there = int(offsets[begin[place], 0]), int(offsets[end[place], 1])
            here += len(context[here:there]) - len(context[here:there].lstrip())
            yield Place(float(totals[place]), here, there, context[here:there])

    def join(self, pieces: Sequence[Found], features: Features) -> list[Found]:
        """The best places of all windows of a row; it has no answer as much as the window that says so least."""
        found: list[list[Found]] = [[] for _ in features.sequences.whole]
        for row, piece in zip(features.sequences.rows, pieces, strict=True):
            found[row].append(piece)
        return [_merged(windows) for windows in found]

    def answer(self, prediction: Found, row: dict[str, Any]) -> Answered:
        """The best place, unless having no answer is ahead of it by more than the threshold."""
        scores = np.asarray([place.score for place in prediction.places] + [prediction.none])
        if not self.unanswerable:
            scores = scores[:-1]
        shares = np.exp(scores - scores.max()) if len(scores) else scores
        shares = shares / max(shares.sum(), 1e-300)
        best = [
            {"text": place.text, "probability": round(float(share), 6)}
            for place, share in zip(prediction.places[: self.options.best], shares, strict=False)
        ]
        if not prediction.places or self._none(prediction):
            return Answered("", round(float(shares[-1]), 6) if len(shares) else 1.0, -1, -1, best)
        top = prediction.places[0]
        return Answered(top.text, round(float(shares[0]), 6), top.begin, top.end, best)

    def _none(self, prediction: Found) -> bool:
        if not prediction.places:
            return True
        return self.unanswerable and prediction.none - prediction.places[0].score > self.threshold

    def told(self, gold: Sequence[dict[str, Any]], row: dict[str, Any]) -> str:
        """The first of the true answers, or an empty text."""
        return str(gold[0]["text"]) if gold else ""

    def record(self, prediction: Found, row: dict[str, Any], gold: Any) -> dict[str, Any]:
        """The row of `predictions/*.jsonl`, with the place of the first true answer."""
        start = {"true_start": int(gold[0]["start"])} if gold else {}
        return {**super().record(prediction, row, gold), **start, "true": [dict(answer) for answer in gold]}

    def truth(self, record: Mapping[str, Any]) -> Any:
        """All true answers; of runs before these were stored, the first one."""
        first = [{"text": record["label"], "start": record["true_start"]}] if "true_start" in record else []
        return record.get("true", first)

    def certain(self, gold: Sequence[Any]) -> list[Found]:
        """The first of these answers of each row, and nothing else."""
        none = Found([], 0.0)
        sure = [
            Place(1e6, int(a[0]["start"]), int(a[0]["start"]) + len(a[0]["text"]), str(a[0]["text"]))
            if a
            else None
            for a in gold
        ]
        return [none if place is None else Found([place], -1e6) for place in sure]

    def settle(self, gold: Any, predictions: Sequence[Found]) -> None:
        """Chooses the threshold, where there are questions without an answer."""
        if self.unanswerable:
            leads = [p.none - p.places[0].score if p.places else 1e6 for p in predictions]
            best = [p.places[0].text if p.places else "" for p in predictions]
            counted = metrics.statistics(_texts(gold), best)
            self.threshold, _ = metrics.threshold(counted, best, np.asarray(leads), metric="f1")

    def state(self) -> dict[str, Any]:
        """Whether a question may have no answer, and the threshold for saying so."""
        return {**super().state(), "unanswerable": self.unanswerable, "threshold": self.threshold}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        super().restore(state)
        self.unanswerable, self.threshold = state["unanswerable"], state["threshold"]

    def texts(self, predictions: Sequence[Found]) -> list[str]:
        """The answer of each row; empty where there is none."""
        return ["" if self._none(found) else found.places[0].text for found in predictions]

    def statistics(self, gold: Any, predictions: Sequence[Found]) -> np.ndarray:
        """What `metrics.extraction` sums of each row."""
        return metrics.statistics(_texts(gold), self.texts(predictions))

    def scores(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Exact match and F1, 0 to 100, also of the questions with and without an answer."""
        return metrics.scores(totals)

    def severity(self, gold: Any, predictions: Sequence[Found]) -> np.ndarray:
        """How little of the answer is right, by how sure the model was of it."""
        told = self.texts(predictions)
        right = metrics.statistics(_texts(gold), told)[:, 2]
        sure = [self.answer(found, {}).probability for found in predictions]
        return np.asarray((1.0 - right) * np.asarray(sure))

    def examples(self) -> dict[str, Any]:
        """An answer at the beginning, at the end, far behind in a long context, and none."""
        long = "so it was " * 12 + "a good kettle and not bad"
        rows = [
            ("what works", "the kettle works fine .", "kettle"),
            ("how was it", "it was very good", "good"),
            ("what was it", long, "kettle"),
            ("what broke", "it was fine , so it was", ""),
            ("what", "kettle", "kettle"),
        ]
        return {
            "text": [question for question, _, _ in rows],
            "pair": [context for _, context, _ in rows],
            "label": [[{"text": a, "start": c.index(a)}] if a else [] for _, c, a in rows],
        }


def _target(offsets: np.ndarray, first: int, answers: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """The first and last token of the first answer in a window; 0 and 0 where it is not whole in it."""
    if not answers or not len(offsets):
        return 0, 0
    begin, end = int(answers[0]["start"]), int(answers[0]["start"]) + len(answers[0]["text"])
    inside = np.flatnonzero((offsets[:, 1] > begin) & (offsets[:, 0] < end) & (offsets[:, 1] > offsets[:, 0]))
    if not len(inside) or offsets[inside[0], 0] > begin or offsets[inside[-1], 1] < end:
        return 0, 0
    return first + int(inside[0]), first + int(inside[-1])


def _merged(windows: Sequence[Found]) -> Found:
    places = sorted((place for found in windows for place in found.places), key=lambda place: -place.score)
    kept = {
        (place.begin, place.end): place for place in reversed(places)
    }  # a place of two windows counts once
    best = sorted(kept.values(), key=lambda place: -place.score)[:BEST]
    return Found(best, min((found.none for found in windows), default=0.0))


def _texts(gold: Any) -> list[list[str]]:
    return [[str(answer["text"]) for answer in answers] for answers in gold]
