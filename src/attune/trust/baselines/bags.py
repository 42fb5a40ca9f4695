"""Baselines on bags of words: TF-IDF with a linear model, beside what takes no words at all.

Of a pair of texts each side is a bag of its own, and the words that both share are a third one. The strength
of the regularisation is chosen on the validation rows. Of more than MOST training rows as many are drawn, a row of
each class among them, and the baseline's name says so: its matrix would not fit into memory where all else does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from attune.data.table import Table

STRENGTHS = (1.0, 10.0, 100.0)  # inverse regularisation
WORDS = r"(?u)\b\w+\b|[^\w\s]"
MOST = 100_000  # training rows; the key of what was learned from as many of more ends in PART
PART = "_100k"
ROUNDS = 300  # a baseline's fair share

Answers = Iterator[tuple[str, np.ndarray]]


def classification(task: Any, tables: dict[str, Table], gold: dict[str, np.ndarray]) -> Answers:
    """The probabilities [N, C] of the majority class, and of a logistic regression."""
    classes, n = len(task.labels), len(tables["test"])
    shares = np.bincount(gold["train"], minlength=classes) / len(gold["train"])
    yield "majority", np.tile(shares, (n, 1))
    tables, gold, part = _thinned(tables, gold)

    def fit(bags: dict[str, Any], strength: float) -> tuple[float, np.ndarray]:
        found = _logistic(bags["train"], gold["train"], strength)
        probabilities = np.zeros((n, classes))
        probabilities[:, found.classes_] = found.predict_proba(bags["test"])
        return float((found.predict(bags["valid"]) == gold["valid"]).mean()), probabilities

    yield f"tfidf_logreg{part}", _best(tables, fit, np.tile(shares, (n, 1)))


def multilabel(task: Any, tables: dict[str, Table], gold: dict[str, np.ndarray]) -> Answers:
    """The most frequent labels for every row, and a logistic regression a label; [N, C]."""
    n = len(tables["test"])
    shares = gold["train"].mean(0)
    always = shares >= min(0.5, float(shares.max()))
    yield "frequent_labels", np.tile(always.astype(np.float64), (n, 1))
    tables, gold, part = _thinned(tables, gold)

    def fit(bags: dict[str, Any], strength: float) -> tuple[float, np.ndarray]:
        valid, test = (np.tile(shares, (len(tables[part]), 1)) for part in ("valid", "test"))
        for label in range(gold["train"].shape[1]):
            if 0 < gold["train"][:, label].sum() < len(gold["train"]):
                found = _logistic(bags["train"], gold["train"][:, label], strength)
                valid[:, label] = found.predict_proba(bags["valid"])[:, 1]
                test[:, label] = found.predict_proba(bags["test"])[:, 1]
        judge = type(task)(task.options)  # its own thresholds, chosen on the same validation rows
        judge.labels = task.labels
        judge.settle(gold["valid"], valid)
        return judge.score(gold["valid"], valid)[task.main_metric], task.seen_as(judge, test)

    # One strength only: a label each makes this the slowest of the baselines.
    yield (
        f"tfidf_ovr{part}",
        _best(tables, fit, np.tile(always.astype(np.float64), (n, 1)), strengths=(10.0,)),
    )


def regression(task: Any, tables: dict[str, Table], gold: dict[str, np.ndarray]) -> Answers:
    """The mean of the training numbers, and a ridge regression, [N]."""
    from sklearn.linear_model import Ridge

    n = len(tables["test"])
    mean = np.full(n, gold["train"].mean())
    yield "mean", mean
    tables, gold, part = _thinned(tables, gold)

    def fit(bags: dict[str, Any], strength: float) -> tuple[float, np.ndarray]:
        found = Ridge(alpha=1.0 / strength, solver="lsqr").fit(bags["train"], gold["train"])
        error = float(np.square(found.predict(bags["valid"]) - gold["valid"]).mean())
        return -error, found.predict(bags["test"])

    yield f"tfidf_ridge{part}", _best(tables, fit, mean, strengths=(0.1, 1.0, 10.0))


def _thinned(
    tables: dict[str, Table], gold: dict[str, np.ndarray]
) -> tuple[dict[str, Table], dict[str, np.ndarray], str]:
    """(tables, gold, what the key ends in) with MOST training rows at the most, drawn with one seed for all runs."""
    n = len(tables["train"])
    if n <= MOST:
        return tables, gold, ""
    order = np.random.default_rng(0).permutation(n)
    _, firsts = np.unique(gold["train"][order], return_index=True, axis=0)
    if len(firsts) > MOST // 2:  # numbers, or sets of labels: no row stands for a class
        firsts = firsts[:0]
    rest = np.delete(np.arange(n), firsts)[: MOST - len(firsts)]
    rows = np.sort(order[np.concatenate([firsts, rest])])
    return (
        {**tables, "train": tables["train"].take(rows)},
        {**gold, "train": gold["train"][rows]},
        PART,
    )


def _best(
    tables: dict[str, Table],
    fit: Callable[[dict[str, Any], float], tuple[float, np.ndarray]],
    otherwise: np.ndarray,
    strengths: tuple[float, ...] = STRENGTHS,
) -> np.ndarray:
    """The test answers of the strength that scores best on valid; `otherwise` when there are no words."""
    bags = _bags(tables)
    if bags is None:
        return otherwise
    return max((fit(bags, strength) for strength in strengths), key=lambda scored: scored[0])[1]


def _bags(tables: dict[str, Table]) -> dict[str, Any] | None:
    """The sparse TF-IDF matrix [N, V] of each split; None where train has no word at all."""
    from scipy.sparse import hstack  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import TfidfVectorizer

    sides: list[dict[str, Sequence[str]]] = [{part: table.column("text") for part, table in tables.items()}]
    if "pair" in tables["train"].columns:
        sides.append({part: table.column("pair") for part, table in tables.items()})
        both: list[dict[str, Sequence[str]]] = [
            {part: _shared(*(side[part] for side in sides)) for part in tables}
        ]
        both += [{part: _odd(*(side[part] for side in sides)) for part in tables}]
        sides += both
    made: dict[str, list[Any]] = {part: [] for part in tables}
    for side in sides:
        vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORDS)
        try:
            vectors.fit(side["train"])
        except ValueError:
            continue  # no words on this side
        for part in tables:
            made[part].append(vectors.transform(side[part]))
    return {part: hstack(found).tocsr() for part, found in made.items()} if made["train"] else None


def _shared(firsts: Sequence[str], seconds: Sequence[str]) -> list[str]:
    """The words that two texts share, and how large a part of both they are, as words themselves."""
    found = []
    for first, second in zip(firsts, seconds, strict=True):
        a, b = set(first.lower().split()), set(second.lower().split())
        share = len(a & b) / max(1, len(a | b))
        # what a linear model can use of the size of the overlap: one word for each tenth that is reached
        steps = " ".join(f"share{tenth}" for tenth in range(1, 11) if share >= tenth / 10)
        found.append(f"{' '.join(sorted(a & b))} {steps}")
    return found


def _odd(firsts: Sequence[str], seconds: Sequence[str]) -> list[str]:
    """The words that only one of two texts has."""
    return [
        " ".join(sorted(set(a.lower().split()) ^ set(b.lower().split())))
        for a, b in zip(firsts, seconds, strict=True)
    ]


def _logistic(vectors: Any, gold: np.ndarray, strength: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=ROUNDS).fit(vectors, gold)
