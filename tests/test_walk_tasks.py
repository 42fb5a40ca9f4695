"""The whole walk of every task on a tiny model: from a file to a finished run, loaded and asked again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import tiny
import transformers

import attune
from attune import answers, predictor, recipe_file, rounding, rundir

QUICK = ("train.epochs=2", "train.batch=16", "train.lr=3e-3")
FILL = [word for word in tiny.WORDS if word not in ("good", "bad", "kettle")]


def _sentences(count, seed=0):
    draw = random.Random(seed)
    for number in range(count):
        words = [draw.choice(("good", "bad")), *draw.choices(FILL, k=draw.randint(2, 8)), f"{number:x}"]
        draw.shuffle(words)
        yield words


def _jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tagging(folder: Path) -> Path:
    """CoNLL columns."""
    blocks = [
        "\n".join(f"{word}\t{'B-MOOD' if word in ('good', 'bad') else 'O'}" for word in words)
        for words in _sentences(80)
    ]
    path = folder / "tags.conll"
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def qa(folder: Path) -> Path:
    """SQuAD's format, every fourth question without an answer."""
    articles = []
    for number, words in enumerate(_sentences(60)):
        context, mood = " ".join(words), next(word for word in words if word in ("good", "bad"))
        answers_ = [{"text": mood, "answer_start": context.index(mood)}] if number % 4 else []
        asked = {
            "id": str(number),
            "question": "how was it",
            "answers": answers_,
            "is_impossible": not answers_,
        }
        articles.append({"title": f"t{number}", "paragraphs": [{"context": context, "qas": [asked]}]})
    path = folder / "squad.json"
    path.write_text(json.dumps({"version": "v2.0", "data": articles}), encoding="utf-8")
    return path


def multilabel(folder: Path) -> Path:
    """Lists of labels."""
    rows = [
        {"text": " ".join(words), "labels": [w for w in ("good", "bad", "slow", "fine") if w in words]}
        for words in _sentences(100)
    ]
    return _jsonl(folder / "many.jsonl", rows)


def regression(folder: Path) -> Path:
    """A column of fractions."""
    rows = [
        {"text": " ".join(words), "score": 2.5 + ("good" in words) + 0.01 * number}
        for number, words in enumerate(_sentences(100))
    ]
    return _jsonl(folder / "numbers.jsonl", rows)


def similarity(folder: Path) -> Path:
    """Pairs without scores."""
    rows = [{"anchor": " ".join(words), "positive": " ".join(words[::-1])} for words in _sentences(100)]
    return _jsonl(folder / "pairs.jsonl", rows)


KINDS = {
    "tagging": tagging,
    "qa": qa,
    "multilabel": multilabel,
    "regression": regression,
    "similarity": similarity,
}
PIPELINES = {
    "tagging": "token-classification",
    "multilabel": "text-classification",
    "qa": "question-answering",
}


def _texts(folder, task, name):
    """New rows to answer."""
    row = (
        {"text": "good kettle"}
        if task not in ("qa", "similarity")
        else {"text": "how was it", "pair": "it was bad"}
    )
    return _jsonl(folder / name, [row] * 3), row


@pytest.mark.parametrize("family", ["gpt2", *tiny.each(("bert", "roberta", "qwen2", "t5"))])
def test_two_texts_are_read_by_transformers_as_they_were_learned(checkpoints, tmp_path, family):
    rows = [
        {"text": " ".join(words), "pair": " ".join(words[:3]), "label": "yes" if "good" in words else "no"}
        for words in _sentences(80)
    ]
    rows[5]["pair"] = " ".join(["so"] * 60)
    file = _jsonl(tmp_path / "pairs.jsonl", rows)
    run = attune.train(
        file, *QUICK, out=tmp_path / "run", model=checkpoints(family), pair="pair", text="text"
    )
    asked = [{"text": row["text"], "pair": row["pair"]} for row in rows[:12]]
    ours = attune.load(run.path).predict(asked)
    plain = transformers.pipeline("text-classification", str(run.path / "model"), top_k=None)
    learned = recipe_file.load(str(run.path / "recipe.yaml"))
    assert plain.tokenizer.model_max_length == learned.model.max_tokens  # where texts were cut in training
    for own, inputs in zip(ours, asked, strict=True):
        (told,) = plain([{"text": inputs["text"], "text_pair": inputs["pair"]}], truncation="longest_first")
        for each in told if isinstance(told, list) else [told]:
            assert own.probabilities[each["label"]] == pytest.approx(each["score"], abs=1e-5)


@pytest.mark.parametrize(
    "task",
    [pytest.param(name, marks=() if name in ("tagging", "qa") else pytest.mark.slow) for name in KINDS],
)
def test_every_task_goes_from_a_file_to_a_model_that_answers(vnni, checkpoints, tmp_path, task):
    run = attune.train(KINDS[task](tmp_path), *QUICK, out=tmp_path / "run", model=checkpoints("bert"))
    folder = rundir.RunDir(run.path)
    assert folder.read("data.json")["roles"]["task"] == task  # inferred from the file alone
    assert folder.read("run.json")["status"] == "finished"
    assert folder.read("parity.json")["same"]
    main = folder.read("run.json")["main_metric"]
    assert {"value", "low", "high", "n"} <= run.metrics["test"][main].keys()
    assert run.metrics["comparisons"]
    assert "<html" in run.report.read_text(encoding="utf-8")
    file, row = _texts(tmp_path, task, "new.jsonl")
    (answer,) = attune.load(run.path).predict([row])
    out = tmp_path / "told.jsonl"
    answers.write(str(run.path), str(file), columns={"text": "text", "pair": "pair"}, out=str(out))
    told = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [each["label"] for each in told] == [json.loads(json.dumps(answer.label))] * 3
    cost = rounding.cost(predictor.open_run(str(run.path), precision="int8"))
    assert cost.rows == cost.of > 0
    assert cost.damaged == 0
    assert (cost.moved is None) is (task in ("tagging", "qa", "multilabel"))
    if task in PIPELINES and PIPELINES[task] in transformers.pipelines.SUPPORTED_TASKS:
        transformers.pipeline(PIPELINES[task], str(folder.model))  # loads without attune
