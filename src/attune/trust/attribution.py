"""What drove a prediction: integrated gradients on the word vectors (Sundararajan et al. 2017).

The path runs from the vector of the mask (or padding) token, word by word, to the text's own vectors; the sum
of a word's attributions says how much it moved the probability of the predicted label.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from attune.models.backbone import Backbone
from attune.models.stream import Stream
from attune.models.tokens import TextEncoder

STEPS = 24


def word_weights(model: Backbone, encoder: TextEncoder, text: str, label: int) -> list[dict[str, Any]]:
    """The words of a text as the model read it, each with a weight in [-1, 1] for the label `label`.

    The largest weight has size 1; words that were cut off have weight 0. The text is given back whole, blanks
    included.
    """
    ids = encoder.encode([text])[0]
    tokens = Stream.of([ids])
    gradients = _integrated(model, encoder, tokens, label)
    inner = gradients[len(encoder.prefix) : len(gradients) - len(encoder.suffix)]
    spans = encoder.spans(text)
    if encoder.long_texts == "head_tail" and len(spans) > len(inner):
        head = (len(inner) + 1) // 2
        spans = spans[:head] + spans[len(spans) - (len(inner) - head) :]
    return _by_word(text, spans[: len(inner)], inner)


def _integrated(model: Backbone, encoder: TextEncoder, tokens: Stream, label: int) -> np.ndarray:
    """The attribution of each token, [T]."""
    model.model.eval()
    with torch.no_grad():
        vectors = model.word_vectors(tokens)
        neutral = encoder.tokenizer.mask_token_id or encoder.tokenizer.pad_token_id or 0
        empty = tokens.tokens.clone()
        empty[len(encoder.prefix) : len(empty) - len(encoder.suffix)] = neutral
        start = model.word_vectors(Stream(empty, tokens.positions, tokens.kinds, tokens.lengths))
    # all points of the path are one batch: the sequence, STEPS times
    shares = (torch.arange(STEPS) + 0.5) / STEPS
    path = (start + shares[:, None, None] * (vectors - start)).flatten(0, 1).requires_grad_()
    batch = Stream(
        tokens.tokens.repeat(STEPS),
        tokens.positions.repeat(STEPS),
        None if tokens.kinds is None else tokens.kinds.repeat(STEPS),
        tokens.lengths * STEPS,
    )
    logits = model.classify(batch, path)
    probability = logits.softmax(-1)[:, label].sum()
    (gradient,) = torch.autograd.grad(probability, path)
    mean = gradient.view(STEPS, *vectors.shape).mean(0)
    return np.asarray(((vectors - start) * mean).sum(-1).numpy(), dtype=float)


def _by_word(text: str, spans: list[tuple[int, int]], weights: np.ndarray) -> list[dict[str, Any]]:
    words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    sums = np.zeros(len(words))
    place = 0
    for (begin, end), weight in zip(spans, weights, strict=True):
        while place + 1 < len(words) and words[place + 1][0] < end and words[place][1] <= begin:
            place += 1
        if words:
            sums[place] += weight
    largest = float(np.abs(sums).max(initial=0.0)) or 1.0
    pieces, before = [], 0
    for (begin, end), value in zip(words, sums, strict=True):
        pieces.append({"text": text[before:end], "weight": round(float(value / largest), 4)})
        before = max(end, begin)
    return pieces
