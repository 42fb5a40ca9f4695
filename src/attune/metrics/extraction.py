"""Answers taken from a text: exact match and F1 in [0, 100], equal to the official scripts of SQuAD 1.1 and 2.0.

The normalisation is theirs and knows English articles only; languages without blanks are scored by whole
strings. Letters: N questions, K = 6 sums: questions, exact, F1, and the three of the questions with an answer.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from attune.metrics import labels

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """The text in lower case, without ASCII punctuation and English articles, with single blanks."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact(gold: str, said: str) -> float:
    """1.0 if the two texts are the same once normalised, else 0.0."""
    return float(normalised(gold) == normalised(said))


def overlap(gold: str, said: str) -> float:
    """Harmonic mean of the precision and recall of the words of the normalised texts, in [0, 1]."""
    true, taken = normalised(gold).split(), normalised(said).split()
    same = (Counter(true) & Counter(taken)).total()
    return 2 * same / (len(true) + len(taken)) if same else 0.0


def statistics(gold: Sequence[Sequence[str]], said: Sequence[str], *, version: int = 2) -> np.ndarray:
    """[N, K] what each question adds to the sums of which `scores` is a function.

    `gold` has the accepted answers of each question, none where there is no answer; `said` is the answer,
    "" for none. Version 2 compares texts that normalise to nothing as "no answer" (right if both are none);
    version 1.1, for data where every question has an answer, gives them an F1 of 0.
    """
    if len(gold) != len(said):
        raise ValueError(f"{len(gold)} questions need as many answers; found {len(said)}")
    if version == 1 and (empty := [row for row, answers in enumerate(gold) if not answers]):
        raise ValueError(
            f"question {empty[0]} has no accepted answer, which version 1.1 of SQuAD does not know"
        )
    rules = _second if version == 2 else _first
    right = np.array([rules(answers, text) for answers, text in zip(gold, said, strict=True)]).reshape(-1, 2)
    answered = np.array([[float(len(answers) > 0)] for answers in gold]).reshape(-1, 1)
    whole = np.concatenate([np.ones((len(gold), 1)), right], axis=1)
    return np.concatenate([whole, whole * answered], axis=1)


def scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Exact match and F1 of sums [..., K] in [0, 100], of all questions and of those with and without answer.

    The parts are there only if both exist, as in data of version 2.
    """
    whole = np.asarray(sums, dtype=np.float64)
    found = {
        "exact_match": _percent(whole[..., 1], whole[..., 0]),
        "f1": _percent(whole[..., 2], whole[..., 0]),
    }
    answered, rest = whole[..., 3:], whole[..., :3] - whole[..., 3:]
    both = (answered[..., 0] > 0) & (rest[..., 0] > 0)
    for name, part in (("HasAns", answered), ("NoAns", rest)):
        found[f"{name}_exact"] = np.where(both, _percent(part[..., 1], part[..., 0]), np.nan)
        found[f"{name}_f1"] = np.where(both, _percent(part[..., 2], part[..., 0]), np.nan)
    return found


def threshold(
    statistics: np.ndarray, said: Sequence[str], no_answer: np.ndarray, *, metric: str
) -> tuple[float, float]:
    """The bound of `no_answer` above which no answer is given, and the score in [0, 100] that it reaches.

    `no_answer` [N] rises with the belief that there is no answer. The bound is one of its values, the least
    of those that score best, as in the official script; unlike there, rows of one value stay on one side,
    so that the score can be reached, and the bound that answers nothing is below all values instead of 0.
    """
    statistics, no_answer = np.asarray(statistics), np.asarray(no_answer, dtype=np.float64)
    column = {"exact_match": 1, "f1": 2}[metric]
    answered = statistics[:, 3] > 0
    silent = np.array([not text for text in said])
    gains = np.where(
        answered, statistics[:, column], np.where(silent, 0.0, -1.0)
    )  # of answering over silence
    order = np.argsort(no_answer, kind="stable")
    values = no_answer[order]
    reached = (~answered).sum() + np.cumsum(gains[order])
    possible = np.append(values[1:] != values[:-1], True)
    best = np.argmax(np.where(possible, reached, -np.inf))
    if reached[best] <= (~answered).sum():
        return float(np.nextafter(values[0], -np.inf)), float(100 * (~answered).mean())
    return float(values[best]), float(100 * reached[best] / len(values))


def _second(answers: Sequence[str], said: str) -> tuple[float, float]:
    accepted = [answer for answer in answers if normalised(answer)]
    if not accepted or not normalised(said):
        none = float(not accepted and not normalised(said))
        return none, none
    return max(exact(answer, said) for answer in accepted), max(overlap(answer, said) for answer in accepted)


def _first(answers: Sequence[str], said: str) -> tuple[float, float]:
    return max(exact(answer, said) for answer in answers), max(overlap(answer, said) for answer in answers)


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return 100 * labels.share(part, whole)
