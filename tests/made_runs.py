"""Made-up run folders, one of each kind, whose numbers and records have the form that a real run writes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
PEOPLE = ["Ada Lovelace", "Grace Hopper", "Jürgen Klopp", "Marie Curie"]
PLACES = ["London", "New York", "Zürich", "Rio de Janeiro"]
FIRMS = ["Siemens", "Acme Rockets Ltd", "Reuters", "FC Liverpool"]


def make(folder: Path, kind: str) -> Path:
    """A finished run of one kind of KINDS."""
    made = KINDS[kind](random.Random(11))
    (folder / "predictions").mkdir(parents=True)
    n, metric = len(made["records"]), made["main"]
    _json(folder / "run.json", {
        "status": "finished", "finished": "2026-11-23T14:15:40+00:00", "seconds": 217.1, "version": "0.1.0",
        "command": ["attune", "train", "rows.jsonl"], "best_step": 252, "main_metric": metric,
    })  # fmt: skip
    (folder / "recipe.yaml").write_text(
        f"task: {{name: {made['task']}}}\nmodel: {{base: starter/bert, max_tokens: 128}}\ntrain: {{lr: 0.0001}}\n"
    )
    _json(folder / "data.json", _data(made, n))
    _json(folder / "metrics.json", _metrics(made, n))
    cost = {"train_seconds": 192.4, "tokens": 412_345, "tokens_per_s": 2143, "peak_memory_mib": 1934}
    details = {"labels": made["labels"], "shown": list(made["scores"]), "test": made["details"], "cost": cost}
    _json(folder / "details.json", details)
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in _events(made)))
    (folder / "predictions" / "test.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in made["records"])
    )
    wrong = [row for row in made["records"] if row.get("severity")]
    _json(folder / "explanations.json", sorted(wrong, key=lambda row: -row["severity"])[:12])
    _json(folder / "findings.json", [
        {"check": "duplicates", "level": "warning", "sentence": "4 rows repeat a text.", "rows": ["rows.jsonl:4"]}
    ])  # fmt: skip
    _json(folder / "parity.json", {
        "rows": 64, "largest_difference": 1.2e-7, "tolerance": 1e-4, "same": True, "loaded_by": "transformers",
    })  # fmt: skip
    return folder


def _metrics(made: Json, n: int) -> Json:
    test = {name: _entry(name, value, n) for name, value in made["scores"].items()}
    best, metric = made["scores"][made["main"]], made["main"]
    gap = 0.31 * abs(best)
    baselines = {
        name: {metric: _entry(metric, best - gap * times, n)}
        for times, name in enumerate(made["baselines"], 1)
    }
    compared = [
        {"baseline": name, "metric": metric, "difference": gap * times, "low": gap * times * 0.7,
         "high": gap * times * 1.2, "p": 0.001, "n": n, "sentence": ""}
        for times, name in enumerate(made["baselines"], 1)
    ]  # fmt: skip
    return {"test": test, "valid": test, "baselines": baselines, "comparisons": compared}


def _entry(name: str, value: float, n: int) -> Json:
    half = 3.1 if abs(value) > 1 else 0.031
    note = (
        "every resample scores the same, so the spread is unknown" if name in ("pearson", "f1_micro") else ""
    )
    return {"value": value, "low": value - half, "high": value + half, "n": n, "note": note}


def _events(made: Json) -> list[Json]:
    best, events = made["scores"][made["main"]], []
    for step in range(1, 421):
        events.append(
            {"event": "stepped", "step": step, "epoch": step / 105, "loss": 1.1 * 0.993**step + 0.12}
        )
        if step % 42 == 0:
            scores = {made["main"]: best * (1 - 0.6 * 0.985**step), "log_loss": 0.3 + 0.7 * 0.988**step}
            if made["task"] not in ("classification", "sentiment"):
                del scores["log_loss"]
            events.append({"event": "evaluated", "step": step, "metrics": scores, "best": step <= 252})
    return events


def _data(made: Json, n: int) -> Json:
    splits = {
        name: {"rows": times * n, "labels": {label: times * count for label, count in made["counts"].items()},
               "words": {"median": 21.5, "p95": 60.2, "max": 102}, "cut_rows": 0.0, "cut_tokens": 0.0,
               "tokens": {"median": 30.0, "p95": 81.5, "max": 140, "total": times * 2210}}
        for name, times in (("train", 8), ("valid", 1), ("test", 1))
    }  # fmt: skip
    return {
        "files": {name: {"path": "rows.jsonl", "sha256": "ab12" * 16, "rows": 9 * n} for name in splits},
        "labels": list(made["counts"]), "splits": splits, "notes": [],
        "roles": {"task": made["task"], "reasons": [], **made["roles"]},
        "lengths": {"edges": list(range(0, 160, 10)),
                    "counts": {"train": [3, 9, 20, 18, 9, 5, 3, 2, 1, 1, 0, 1, 0, 1, 0]}},
    }  # fmt: skip


def _per_class(names: list[str]) -> list[Json]:
    return [
        {"label": name, "precision": 0.9 - 0.07 * i, "recall": 0.86 - 0.09 * i, "f1": 0.88 - 0.08 * i,
         "support": 60 // (i + 1) - 8}
        for i, name in enumerate(names)
    ]  # fmt: skip


def sentiment(draw: random.Random) -> Json:
    moods = ["negative", "neutral", "positive"]
    records = []
    for i in range(60):
        true, said = draw.choice(moods), draw.choice(moods) if i % 6 == 0 else None
        said = said or true
        held = {mood: 0.9 if mood == said else 0.05 for mood in moods}
        words = [
            {"text": f" {word}", "weight": draw.uniform(-1, 1)}
            for word in ["the", "kettle", "died", "after", "a", "week"]
        ]
        records.append({"row": f"r.csv:{i}", "text": "the kettle died after a week", "label": true, "predicted": said,
                        "probability": 0.9, "probabilities": held, "severity": 0.9 * (true != said),
                        "words": words})  # fmt: skip
    confusion = [[18, 2, 0], [1, 17, 1], [0, 2, 19]]
    return {
        "task": "sentiment", "main": "f1_macro", "records": records, "labels": moods,
        "scores": {"f1_macro": 0.86, "accuracy": 0.9, "ece": 0.04}, "baselines": ["majority", "tfidf_logreg"],
        "details": {"per_class": _per_class(moods), "confusion": confusion, "calibration": []},
        "counts": dict(zip(moods, (20, 19, 21), strict=True)),
        "roles": {"text": "review", "pair": "", "label": "stars"},
    }  # fmt: skip


def pairs(draw: random.Random) -> Json:
    made = sentiment(draw)
    labels = ["contradiction", "entailment", "neutral"]
    for row in made["records"]:
        row.pop("words")
        row |= {
            "text": "A man plays a guitar on a stage.",
            "pair": "Somebody makes music.",
            "label": "entailment",
        }
        row["predicted"] = "neutral" if row["severity"] else "entailment"
    details = {"per_class": _per_class(labels), "confusion": made["details"]["confusion"]}
    return {**made, "task": "classification", "labels": labels, "details": details,
            "counts": dict.fromkeys(labels, 20),
            "roles": {"text": "premise", "pair": "hypothesis", "label": "gold_label"}}  # fmt: skip


def multilabel(draw: random.Random) -> Json:
    names = ["anger", "fear", "joy", "surprise"]
    records = []
    for i in range(60):
        true = [name for name in names if draw.random() < 0.35]
        held = {
            name: round(min(0.98, max(0.02, draw.gauss(0.8 if name in true else 0.15, 0.2))), 3)
            for name in names
        }
        said = [name for name in names if held[name] >= 0.5]
        gap = sum(abs((name in true) - held[name]) for name in set(true) ^ set(said))
        records.append({"row": f"r.jsonl:{i}", "text": f"What, number {i} again? I did not see that one coming!",
                        "label": true, "predicted": said, "probabilities": held, "severity": gap})  # fmt: skip
    return {
        "task": "multilabel", "main": "f1_macro", "records": records, "labels": names,
        "scores": {"f1_macro": 0.71, "f1_micro": 0.74, "subset_accuracy": 0.62, "hamming_loss": 0.11,
                   "average_precision": 0.8},
        "baselines": ["frequent_labels", "tfidf_ovr"],
        "details": {"per_class": _per_class(names), "thresholds": dict.fromkeys(names, 0.42)},
        "counts": dict(zip(names, (30, 12, 22, 9), strict=True)),
        "roles": {"text": "text", "pair": "", "label": "emotions"},
    }  # fmt: skip


def _sentence(draw: random.Random) -> tuple[str, list[Json]]:
    parts = [(draw.choice(PEOPLE), "PER"), (" of ", ""), (draw.choice(FIRMS), "ORG"), (" flew from ", ""),
             (draw.choice(PLACES), "LOC"), (" to ", ""), (draw.choice(PLACES), "LOC"),
             (" and met the press there before the long journey back .", "")]  # fmt: skip
    text, entities = "", []
    for part, kind in parts:
        if kind:
            entities.append({"type": kind, "start": len(text), "end": len(text) + len(part), "text": part})
        text += part
    return text, entities


def entities(draw: random.Random) -> Json:
    records = []
    for i in range(50):
        text, true = _sentence(draw)
        said = [{**each, "probability": 0.93} for each in true]
        if i % 3 == 0:
            said[1]["type"] = "LOC"
        if i % 6 == 0:
            said[0] |= {"end": said[0]["start"] + 3}
            del said[2]
            said.append({"type": "MISC", "start": text.index("press"), "end": text.index("press") + 5})
        told = [(each["type"], each["start"], each["end"]) for each in said]
        wrong = sum((each["type"], each["start"], each["end"]) not in told for each in true)
        words = [[0, 3], [4, 9]]
        records.append({"row": f"conll.txt:{i}", "text": text, "words": words, "label": true, "predicted": said,
                        "tags": [], "severity": float(wrong)})  # fmt: skip
    kinds = ["PER", "ORG", "LOC", "MISC"]
    schemes = {"strict": 0.86, "exact": 0.91, "partial": 0.93, "type": 0.92}
    return {
        "task": "tagging", "main": "overall_f1", "records": records,
        "labels": ["O", *(f"{mark}-{kind}" for kind in kinds for mark in "BI")],
        "scores": {"overall_f1": 0.86, "overall_precision": 0.88, "overall_recall": 0.84, "overall_accuracy": 0.97,
                   **{f"{scheme}_f1": value for scheme, value in schemes.items()}},
        "baselines": ["dictionary"],
        "details": {"per_class": _per_class(kinds),
                    "matching": {name: {"precision": f1, "recall": f1, "f1": f1} for name, f1 in schemes.items()}},
        "counts": dict(zip(kinds, (40, 31, 60, 8), strict=True)),
        "roles": {"text": "tokens", "pair": "", "label": "ner_tags"},
    }  # fmt: skip


def tags(draw: random.Random) -> Json:
    words, gold = ["The", "old", "man", "the", "boat", "."], ["DET", "NOUN", "VERB", "DET", "NOUN", "PUNCT"]
    places, begin = [], 0
    for word in words:
        places.append([begin, begin + len(word)])
        begin += len(word) + 1
    records = []
    for i in range(40):
        said = ["DET", "ADJ", "NOUN", *gold[3:]] if i % 4 == 0 else gold
        records.append({"row": f"ud.conllu:{i}", "text": " ".join(words), "words": places, "label": gold,
                        "predicted": said, "tags": said, "severity": 2.0 * (i % 4 == 0)})  # fmt: skip
    names = ["DET", "NOUN", "VERB", "ADJ", "PUNCT"]
    return {
        "task": "tagging", "main": "overall_accuracy", "records": records, "labels": names,
        "scores": {"overall_accuracy": 0.94, "f1_macro": 0.89}, "baselines": ["frequent_tag"],
        "details": {"per_class": _per_class(names)}, "counts": dict.fromkeys(names, 30),
        "roles": {"text": "form", "pair": "", "label": "upos"},
    }  # fmt: skip


def qa(draw: random.Random) -> Json:
    context = ("The tower was built by Ada Lovelace in 1887 on the left bank of the river . " * 3
               + "It was meant to stand for twenty years , and was nearly torn down in 1909 . " * 9)  # fmt: skip
    records = []
    for i in range(40):
        true = "" if i % 3 == 0 else "Ada Lovelace"
        said = ["Ada Lovelace", "Ada Lovelace in 1887", "twenty years", ""][i % 4]
        start = context.index(said) if said else -1
        best = [{"text": said, "probability": 0.7}, {"text": "in 1909", "probability": 0.2}]
        records.append({"row": f"squad.json:{i}", "text": "Who built the tower ?", "pair": context, "label": true,
                        "predicted": said, "probability": 0.7, "start": start,
                        "end": start + len(said) if said else -1,
                        "best": best, "severity": 0.7 * (true != said)})  # fmt: skip
    return {
        "task": "qa", "main": "f1", "records": records, "labels": [],
        "scores": {"f1": 71.3, "exact_match": 63.0, "HasAns_exact": 58.0, "HasAns_f1": 66.2, "NoAns_exact": 83.1,
                   "NoAns_f1": 83.1},
        "baselines": ["no_answer", "overlap"], "details": {}, "counts": {"with an answer": 27, "without": 13},
        "roles": {"text": "question", "pair": "context", "label": "answers"},
    }  # fmt: skip


def regression(draw: random.Random) -> Json:
    records = []
    for i in range(90):
        true = round(draw.uniform(0, 5), 1)
        said = round(0.6 + 0.72 * true + draw.gauss(0, 0.5), 3)
        records.append({"row": f"sts.tsv:{i}", "text": "A man plays a guitar.", "pair": "A woman slices an onion.",
                        "label": true, "predicted": said, "severity": abs(true - said)})  # fmt: skip
    return {
        "task": "regression", "main": "spearmanr", "records": records, "labels": ["number"],
        "scores": {"spearmanr": 0.84, "pearson": 0.83, "mae": 0.55, "rmse": 0.71, "mse": 0.5, "r2": 0.66},
        "baselines": ["mean", "tfidf_ridge"],
        "details": {"scatter": [[row["label"], row["predicted"]] for row in records]},
        "counts": {"0 to 1.25": 20, "1.25 to 2.5": 30, "2.5 to 3.75": 25, "3.75 to 5": 15},
        "roles": {"text": "sentence1", "pair": "sentence2", "label": "score"},
    }  # fmt: skip


def similarity(draw: random.Random) -> Json:
    made = regression(draw)
    for row in made["records"]:
        row["predicted"] = round(-0.1 + 0.2 * row["label"] + draw.gauss(0, 0.1), 3)
    return {**made, "task": "similarity", "scores": {"spearmanr": 0.84, "pearson": 0.83}, "labels": [],
            "baselines": ["token_overlap"], "counts": {"scored pairs": 90},
            "details": {"scatter": [[row["label"], row["predicted"]] for row in made["records"]]}}  # fmt: skip


def retrieval(draw: random.Random) -> Json:
    records = [
        {"row": f"p.csv:{i}", "text": "how do I reset my password", "pair": f"Reset steps, part {i}", "label": 1.0,
         "predicted": 0.61, "severity": 1 - 1 / rank}
        for i, rank in enumerate([1, 1, 7, 2, 1, 350, 1, 3])
    ]  # fmt: skip
    return {
        "task": "similarity", "main": "mrr", "records": records, "labels": [],
        "scores": {"mrr": 0.66, "recall@1": 0.5, "recall@5": 0.75, "recall@10": 0.88},
        "baselines": ["token_overlap"], "details": {}, "counts": {"pairs": 8},
        "roles": {"text": "query", "pair": "answer", "label": ""},
    }  # fmt: skip


KINDS: dict[str, Callable[[random.Random], Json]] = {
    "sentiment": sentiment,
    "pairs": pairs,
    "multilabel": multilabel,
    "entities": entities,
    "tags": tags,
    "qa": qa,
    "regression": regression,
    "similarity": similarity,
    "retrieval": retrieval,
}


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
