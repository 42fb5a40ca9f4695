"""The schemas that data of this field comes in: what each is taken for, and what is said of those for later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from attune.data import rows
from attune.data.columns import Roles
from attune.data.roles import TASKS, infer
from attune.data.table import Table
from attune.errors import DataError

N = 12
CITIES = ["Paris", "London", "Rome", "Oslo", "Bern", "Lima"]


def table(**cells: Sequence[Any]) -> Table:
    held = {name: list(values) for name, values in cells.items()}
    return Table("d.jsonl", tuple(held), held, list(range(1, len(next(iter(held.values()))) + 1)), "")


def said(words: int, *, start: str = "row") -> list[str]:
    return [f"{start} {n} " + " ".join(f"word{(n * k) % 17}" for k in range(words)) for n in range(N)]


def cycle(*values: Any) -> list[Any]:
    return [values[n % len(values)] for n in range(N)]


ENTITY = [{"start": 0, "end": 3, "label": "ROW"}]
TOKENS = [["I", "live", "in", city, "."] for city in CITIES] * 2
TAGS = [["O", "O", "O", "B-LOC", "O"]] * N
CONTEXT = [f"The capital that is meant here is {city}, of course." for city in CITIES] * 2
ANSWERS = [{"text": [city], "answer_start": [34]} for city in CITIES] * 2

# name -> (columns of the file, task, text, pair, label)
HAVE: dict[str, tuple[Table, str, str, str, str | tuple[str, ...]]] = {
    "imdb": (table(text=said(60), label=cycle(0, 1)), "classification", "text", "", "label"),
    "sst2": (
        table(idx=range(N), sentence=said(8), label=cycle(0, 1)), "classification", "sentence", "", "label",
    ),
    "ag_news": (
        table(label=cycle("1", "2", "3"), title=said(4), description=said(30)),
        "classification", "description", "", "label",
    ),
    "stars": (table(review=said(20), stars=cycle(1, 2, 3, 4, 5)), "classification", "review", "", "stars"),
    "banking77": (
        table(text=said(9), category=cycle("card_arrival", "top_up")), "classification", "text", "", "category",
    ),
    "tickets": (
        table(ticket_id=[f"T-{n}" for n in range(N)], body=said(25), queue=cycle("billing", "sales", "it")),
        "classification", "body", "", "queue",
    ),
    "mnli": (
        table(premise=said(15), hypothesis=said(7), label=cycle("entailment", "neutral")),
        "classification", "premise", "hypothesis", "label",
    ),
    "qqp": (
        table(id=range(N), question1=said(9), question2=said(9, start="and"), is_duplicate=cycle(0, 1)),
        "classification", "question1", "question2", "is_duplicate",
    ),
    "stsb": (
        table(sentence1=said(9), sentence2=said(9, start="and"), score=cycle("5.000", "3.800", "2.600", "0.5")),
        "regression", "sentence1", "sentence2", "score",
    ),
    "measurements": (
        table(text=said(9) * 4, target=[n / 7 for n in range(4 * N)]), "regression", "text", "", "target",
    ),
    "jigsaw": (
        table(id=range(N), comment_text=said(20), toxic=cycle(0, 1), obscene=cycle(0, 0, 1), threat=cycle(1, 0, 0)),
        "multilabel", "comment_text", "", ("toxic", "obscene", "threat"),
    ),
    "joined": (
        table(text=said(9), tags=cycle("a|b", "a", "b", "c", "a|c", "b|c")), "multilabel", "text", "", "tags",
    ),
    "goemotions": (
        table(text=said(9), labels=cycle([0], [1, 2], [2])), "multilabel", "text", "", "labels",
    ),
    "conll": (
        table(id=range(N), tokens=TOKENS, pos_tags=[["P", "V", "P", "N", "."]] * N, ner_tags=TAGS),
        "tagging", "tokens", "", "ner_tags",
    ),
    "doccano": (
        table(id=range(N), text=said(9), label=[[[0, 3, "ROW"]]] * (N - 1) + [[]]), "tagging", "text", "", "label",
    ),
    "prodigy": (table(text=said(9), spans=[ENTITY] * N, meta=cycle(None)), "tagging", "text", "", "spans"),
    "label_studio_min": (
        table(text=said(9), ner=[[{"start": 0, "end": 3, "text": "row", "labels": ["ROW"]}]] * N),
        "tagging", "text", "", "ner",
    ),
    "squad": (
        table(id=range(N), title=cycle("a", "b"), context=CONTEXT, question=said(6), answers=ANSWERS),
        "qa", "question", "context", "answers",
    ),
    "triplets": (
        table(anchor=said(9), positive=said(9, start="and"), negative=said(9, start="no")),
        "similarity", "anchor", "positive", "",
    ),
}  # fmt: skip

LATER = {
    "cnn_dm": (table(article=said(60), highlights=said(12), id=range(N)), "summarisation"),
    "samsum": (table(id=range(N), dialogue=said(40), summary=said(9)), "summarisation"),
    "wmt": (table(translation=[{"de": "ja", "en": "yes"}] * N), "translation"),
    "wmt_columns": (table(en=said(9), de=said(9, start="und")), "translation"),
    "t5": (table(prefix=["say"] * N, input_text=said(9), target_text=said(9)), "text-to-text"),
    "messages": (table(messages=[[{"role": "user", "content": "hi"}]] * N), "dialogue"),
    "sharegpt": (table(id=range(N), conversations=[[{"from": "human", "value": "hi"}]] * N), "dialogue"),
    "alpaca": (
        table(instruction=said(9), input=[""] * N, output=said(12, start="so")), "instruction tuning",
    ),
    "completion": (table(prompt=said(9), completion=said(12, start="so")), "instruction tuning"),
    "dpo": (
        table(prompt=said(9), chosen=said(12, start="so"), rejected=said(12, start="no")), "preference tuning",
    ),
    "kto": (
        table(prompt=said(9), completion=said(12, start="so"), label=cycle(True, False)), "preference tuning",
    ),
    "raw": (table(text=said(60)), "pre-training"),
}  # fmt: skip


@pytest.mark.parametrize("name", HAVE)
def test_a_schema_is_recognised_with_its_columns_and_makes_canonical_rows(name: str) -> None:
    held, task, text, pair, label = HAVE[name]
    roles = infer(held)
    assert (roles.task, roles.text, roles.pair, roles.label) == (task, text, pair, label)
    assert roles.reasons[0].startswith(f"text: {text!r}")
    made = rows.canonical(held, roles)
    assert len(made) == len(held)
    assert {"text", "label"} <= set(made.columns)
    assert ("pair" in made.columns) == bool(pair)
    assert ("words" in made.columns) == (task == "tagging")
    assert list(made.lines) == list(held.lines)


@pytest.mark.parametrize("name", HAVE)
def test_the_knobs_of_inferred_roles_find_the_same_roles_again(name: str) -> None:
    held = HAVE[name][0]
    roles = infer(held)
    again = infer(held, task=roles.task, **roles.knobs)
    assert (again.task, again.text, again.pair, again.label) == (
        roles.task, roles.text, roles.pair, roles.label,
    )  # fmt: skip
    assert rows.canonical(held, again).cells == rows.canonical(held, roles).cells


@pytest.mark.parametrize("name", LATER)
def test_data_of_a_task_that_is_not_there_yet_is_said_to_be_that_in_one_sentence(name: str) -> None:
    held, task = LATER[name]
    with pytest.raises(DataError) as caught:
        infer(held)
    assert len(caught.value.problems) == 1
    assert f"{task} is not available yet" in caught.value.problems[0].what
    assert "--label COLUMN" in caught.value.problems[0].fix


def test_named_columns_are_learned_whatever_the_data_looks_like() -> None:
    held = table(prompt=said(9), completion=said(12), label=cycle("good", "bad"))
    roles = infer(held, text="prompt", label="label")
    assert (roles.task, roles.text, roles.label) == ("classification", "prompt", "label")


@pytest.mark.parametrize("task", ["tagging", "qa", "similarity"])
def test_a_task_that_the_columns_do_not_carry_is_refused_with_the_flags_it_needs(task: str) -> None:
    with pytest.raises(DataError) as caught:
        infer(table(text=said(9), label=cycle("a", "b")), task=task)
    assert f"For {task} name the columns:" in caught.value.problems[0].fix
    assert "--text" in caught.value.problems[0].fix


def test_predicting_needs_no_labels() -> None:
    for held, *_ in HAVE.values():
        roles = infer(held)
        kept = {name: cells for name, cells in held.cells.items() if name not in roles.labels}
        bare = Table("p.jsonl", tuple(kept), kept, held.lines, "")
        made = rows.canonical(bare, roles, labelled=False)
        assert "label" not in made.columns or roles.task == "similarity"
        assert len(made) == len(held)


def test_every_task_has_a_schema() -> None:
    assert {task for _, task, *_ in HAVE.values()} == set(TASKS)
    assert Roles("qa", "q", "a").knobs == {"text": "q", "label": "a", "pair": ""}
