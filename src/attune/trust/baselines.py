"""What a model has to beat: the majority class, and TF-IDF with logistic regression on the same split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

NAMES = {"majority": "the majority class", "tfidf_logreg": "TF-IDF + logistic regression"}
STRENGTHS = (1.0, 10.0, 100.0)  # inverse regularisation, chosen on the validation rows


def classifiers(
    texts: dict[str, list[str]], gold: dict[str, np.ndarray], classes: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The probabilities [N, C] of each baseline for the test rows, by its key in NAMES.

    Args:
        texts: of train, valid and test.
        gold: their classes.
        classes: C.
    """
    shares = np.bincount(gold["train"], minlength=classes) / len(gold["train"])
    yield "majority", np.tile(shares, (len(texts["test"]), 1))
    yield "tfidf_logreg", _tfidf(texts, gold, classes)


def _tfidf(texts: dict[str, list[str]], gold: dict[str, np.ndarray], classes: int) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[^\w\s]")
    try:
        train = vectors.fit_transform(texts["train"])
    except ValueError:  # no words at all: nothing but the shares can be learned
        return np.tile(
            np.bincount(gold["train"], minlength=classes) / len(gold["train"]), (len(texts["test"]), 1)
        )
    valid, test = vectors.transform(texts["valid"]), vectors.transform(texts["test"])
    best, best_right = np.zeros((0, classes)), -1.0
    for strength in STRENGTHS:
        found = _fit(train, gold["train"], strength)
        right = float((found.predict(valid) == gold["valid"]).mean())
        if right > best_right:
            best, best_right = np.zeros((test.shape[0], classes)), right
            best[:, found.classes_] = found.predict_proba(test)
    return best


def _fit(vectors: Any, gold: np.ndarray, strength: float) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 rounds are a baseline's fair share
        return LogisticRegression(C=strength, max_iter=300).fit(vectors, gold)
