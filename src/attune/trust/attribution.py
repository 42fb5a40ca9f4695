"""What drove a prediction: integrated gradients on the word vectors (Sundararajan et al. 2017).

The path runs from the vector of the mask (or padding) token, word by word, to the text's own vectors; the sum
of a word's attributions says how much it moved the probability of the predicted label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from attune.models.backbone import Backbone
from attune.models.place import there
from attune.models.stream import Stream
from attune.models.tokens import TextEncoder

STEPS = 16
# what is said of words outside the sequence that is explained
MARKS = {"truncate": "cut", "head_tail": "cut", "windows": "unexplained"}


def word_weights(
    model: Backbone, encoder: TextEncoder, texts: Sequence[str], label: int
) -> list[list[dict[str, Any]]]:
    """The words of a text, or of both texts of a pair, each with a weight in [-1, 1] for the label `label`.

    The largest weight of the row has size 1. Each text is given back whole, blanks included. A word that the model
    did not read, because it lies beyond `max_tokens`, is marked `"cut": true`. Of a row that was read by windows
    the first one is explained; words that stand only in later ones are marked `"unexplained": true`.
    """
    first, *second = texts
    sequences = encoder.encode([first], second or None)
    stream = sequences.stream(np.zeros(1, np.int64))
    own = _own(encoder, [len(encoder.spans(text)) for text in texts], len(sequences[0]))
    gradients = _integrated(model, encoder, stream, np.concatenate([places for _, places in own]), label)
    words = [[(m.start(), m.end()) for m in re.finditer(r"\S+", text)] for text in texts]
    sums, marks = [], []
    for text, found, (read, places) in zip(texts, words, own, strict=True):
        word_of = _word_of(found, encoder.spans(text))
        sums.append(np.zeros(len(found)))
        if found:  # blanks alone may be tokens, too
            np.add.at(sums[-1], word_of[read], gradients[places])
        left_out = set(word_of.tolist()) - set(word_of[read].tolist())
        marks.append(dict.fromkeys(left_out, MARKS[encoder.long_texts]))
    largest = float(np.abs(np.concatenate(sums)).max(initial=0.0)) or 1.0
    scaled = [each / largest for each in sums]
    return [_told(*each) for each in zip(texts, words, scaled, marks, strict=True)]


def _own(encoder: TextEncoder, sizes: list[int], length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each text: which of its tokens stand in the first sequence, and at which places of it, both [n]."""
    if len(sizes) == 1:
        room = length - len(encoder.prefix) - len(encoder.suffix)
        read = _read(sizes[0], room, encoder.long_texts)
        return [(read, len(encoder.prefix) + np.arange(len(read)))]
    rooms, begin, found = encoder.rooms(*sizes), 0, []
    for before, size, room in zip((encoder.pair.prefix, encoder.pair.middle), sizes, rooms, strict=True):
        read = _read(size, min(size, room), encoder.long_texts)
        begin += len(before)
        found.append((read, begin + np.arange(len(read))))
        begin += len(read)
    return found


def _read(tokens: int, room: int, long_texts: str) -> np.ndarray:
    """Which of a text's tokens stand in its first sequence, [room] ascending."""
    if long_texts != "head_tail" or tokens <= room:
        return np.arange(min(room, tokens))
    head = (room + 1) // 2
    return np.concatenate([np.arange(head), np.arange(tokens - (room - head), tokens)])


def _integrated(
    model: Backbone, encoder: TextEncoder, tokens: Stream, own: np.ndarray, label: int
) -> np.ndarray:
    """The attribution of each token, [T]; `own` are the places of the texts' tokens among special ones."""
    model.model.eval()
    tokens = tokens.on(model.place.device)
    with torch.no_grad():
        vectors = model.word_vectors(tokens)
        neutral = encoder.tokenizer.mask_token_id or encoder.tokenizer.pad_token_id or 0
        empty = tokens.tokens.clone()
        empty[there(own, empty.device)] = neutral
        start = model.word_vectors(replace(tokens, tokens=empty))
    # all points of the path are one batch: the sequence, STEPS times
    shares = (torch.arange(STEPS, device=vectors.device) + 0.5) / STEPS
    path = (start + shares[:, None, None] * (vectors - start)).flatten(0, 1).requires_grad_()
    batch = Stream(
        tokens.tokens.repeat(STEPS),
        tokens.positions.repeat(STEPS),
        None if tokens.kinds is None else tokens.kinds.repeat(STEPS),
        tokens.lengths * STEPS,
        host=np.tile(tokens.ids, STEPS),
    )
    logits = model.classify(batch, path)
    probability = logits.softmax(-1)[:, label].sum()
    (gradient,) = torch.autograd.grad(probability, path)
    mean = gradient.view(STEPS, *vectors.shape).mean(0)
    return np.asarray(((vectors - start) * mean).sum(-1).cpu().numpy(), dtype=float)


def _word_of(words: list[tuple[int, int]], spans: list[tuple[int, int]]) -> np.ndarray:
    """The index of the word that each token belongs to, [tokens] ascending."""
    found, place = np.zeros(len(spans), np.int64), 0
    for token, (begin, end) in enumerate(spans):
        while place + 1 < len(words) and words[place + 1][0] < end and words[place][1] <= begin:
            place += 1
        found[token] = place
    return found


def _told(
    text: str, words: list[tuple[int, int]], sums: np.ndarray, marks: dict[int, str]
) -> list[dict[str, Any]]:
    """The words with the blanks before them, their weights and marks."""
    told: list[dict[str, Any]] = []
    before = 0
    for place, (_, end) in enumerate(words):
        weight = round(float(sums[place]), 4)
        mark = {marks[place]: True} if place in marks else {}
        told.append({"text": text[before:end], "weight": weight, **mark})
        before = end
    return told
