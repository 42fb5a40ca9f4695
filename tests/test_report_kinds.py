"""The report of every kind of run: its own words, its own pictures, and no text of a user as markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import made_runs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report import Elements

from attune import report
from attune.metrics.scales import SCALES
from attune.report import answers, learning, scores, wording
from attune.report.content import content
from attune.report.entities import view
from attune.report.folder import read
from attune.report.kinds import KINDS, kind_of
from attune.report.marks import Mark, excerpt, marked
from attune.report.numbers import middle
from attune.report.records import Span, richness, spans, tagged, wrongness
from attune.trust.baselines import NAMES

KIND = {"pairs": "classification"}
FILES = ["recipe.yaml", "data.json", "findings.json", "events.jsonl", "metrics.json", "details.json",
         "explanations.json", "parity.json", "predictions/test.jsonl"]  # fmt: skip
# what a page must say, and what would be wrong on it
SAYS = {
    "sentiment": ["the mood of about 90 (", ") would be told right", "Quality for each mood", "got a wrong mood",
                  "Weakest mood"],
    "pairs": ["would get the right label", "premise", "hypothesis", "“premise” and “hypothesis”"],
    "multilabel": ["about 62 (", ") would get exactly the right labels", "invented", "missed", "given from",
                   "Hamming loss"],
    "entities": ["it would find about 84", "about 88 would be right in extent and type", "Entities by type",
                 "extent, whatever the type", "LOC, true: ORG", "As the model sees it", "a dictionary of"],
    "tags": ["about 94 (", ") would get the right tag", "Words by tag", "NOUN, true: VERB", "2 with the wrong tag"],
    "qa": ["about 63 (", ") would be answered word for word", "71.3 [68.2, 74.4]", "held‑out questions",
           "100 is perfect",
           "says so in 83 of 100 questions", "no answer", "It also thought of"],
    "regression": ["off by about 0.55 on average", "Predicted over true", "How far off", "always the mean",
                   "Half of the predictions are within", "lower is better"],
    "similarity": ["Spearman correlation", "Mean cosine by true score", "furthest off"],
    "retrieval": ["about 50 (", ") would find their own partner", "among the 10 nearest", "place 7", "beyond 200"],
}  # fmt: skip
NEVER = {
    "sentiment": ["right label", "Quality for each label"],
    "pairs": ["mood"],
    "multilabel": ["Confident mistakes", "mood"],
    "entities": ["label", "Confident", "test rows are"],
    "tags": ["label", "Confident", "entit"],
    "qa": ["right label", "wrong label", "Confident", "Weakest", "Can its probabilities"],
    "regression": ["right label", "wrong label", "Confident", "Weakest", "number</th>"],
    "similarity": ["right label", "wrong label", "Confident", "exactly right"],
    "retrieval": ["right label", "wrong label", "Confident"],
}  # fmt: skip
evil = st.text(
    st.one_of(st.sampled_from("<>&\"'{}%\u202e\u05d0\U0001f468\u200d\n\t "), st.characters(codec="utf-8")),
    max_size=60,
).flatmap(lambda text: st.sampled_from([text, f"<script>{text}</script>", f"{text}</span><img src=x>"]))


@pytest.fixture(params=list(made_runs.KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(kind: str, tmp_path: Path) -> Path:
    return made_runs.make(tmp_path / "run", kind)


def words_of(page: str) -> str:
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body))


def test_every_kind_speaks_its_own_words(run: Path, kind: str) -> None:
    page = report.page(run)
    said = words_of(page)
    assert kind_of(read(run)).name == KIND.get(kind, kind)
    assert [words for words in SAYS[kind] if words not in said] == []
    assert [words for words in NEVER[kind] if words in said] == []


def test_the_page_loads_nothing_and_its_headings_are_numbered_in_order(run: Path) -> None:
    page = report.page(run)
    elements = Elements(page).found
    assert not {"script", "link", "img", "iframe"} & {name for name, _ in elements}
    assert "url(" not in page
    numbers = [int(number) for number in re.findall(r'<span class="number">(\d+)</span>', page)]
    assert numbers == list(range(1, len(numbers) + 1))
    targets = {attributes["href"] for name, attributes in elements if name == "a"}
    assert targets <= {f"#{attributes.get('id')}" for _, attributes in elements}
    assert all(a.get("aria-label") or a.get("aria-hidden") for name, a in elements if name == "svg")


@pytest.mark.parametrize(
    "missing", ["metrics.json", "details.json", "data.json", "predictions/test.jsonl", "all"]
)
def test_any_file_may_be_missing(run: Path, missing: str) -> None:
    for name in FILES if missing == "all" else [missing]:
        (run / name).unlink()
    Elements(report.page(run))


def test_without_explanations_the_worst_answers_come_from_the_predictions(run: Path) -> None:
    (run / "explanations.json").unlink()
    items = content(run)["mistakes"]["items"]
    worst = [wrongness(record) for record in read(run).mistakes]
    assert items
    assert worst == sorted(worst, reverse=True)
    assert min(worst) > 0


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for kind in made_runs.KINDS:
        made_runs.make(folder / kind, kind)
    return folder


@settings(deadline=None, max_examples=40)
@given(text=evil, name=evil, kind=st.sampled_from(list(made_runs.KINDS)))
def test_texts_and_names_of_users_are_never_markup(held: Path, text: str, name: str, kind: str) -> None:
    path = held / kind / "explanations.json"
    rows = json.loads(path.read_text(encoding="utf-8"))[:2]
    for row in rows:
        row |= {"text": text, "pair": text} | _named(row, kind, text, name)
    path.write_text(json.dumps(rows), encoding="utf-8")
    page = report.page(held / kind)
    assert not {"script", "img"} & {element for element, _ in Elements(page).found}


def _named(row: dict[str, Any], kind: str, text: str, name: str) -> dict[str, Any]:
    if kind == "entities":
        places = [(0, len(text)), (len(text) - 1, len(text)), (-1, 2), (0, len(text) + 1), (1, 1)]
        return {
            "predicted": [{"type": name, "start": a, "end": b, "text": ""} for a, b in places],
            "label": [],
        }
    if kind == "tags":
        return {"words": [[0, len(text)]], "label": [name], "predicted": ["x"]}
    if kind == "qa":
        return {"label": text[:3], "predicted": name, "start": 0, "end": len(text)}
    return {"label": [name], "predicted": []} if kind == "multilabel" else {}


@st.composite
def readings(draw: st.DrawFn) -> tuple[str, list[Span], list[Span]]:
    text = draw(st.text(st.sampled_from("ab \u05d0\U0001f600<&\n"), max_size=1500))
    edge = st.integers(-1, len(text) + 1)
    span = st.builds(Span, edge, edge, st.sampled_from(["PER", "LOC"]))
    return text, draw(st.lists(span, max_size=6)), draw(st.lists(span, max_size=6))


@settings(deadline=None)
@given(readings())
def test_marks_of_a_text_are_the_text_again(made: tuple[str, list[Span], list[Span]]) -> None:
    text, true, said = made
    marks = marked(text, true, said)
    assert "".join(part.text for mark in marks for part in mark.segments) == text
    assert [mark.begin for mark in marks[1:]] == [mark.end for mark in marks[:-1]]
    for mark in marks:
        assert (mark.state == "missed") == bool(mark.truths and not mark.told)
        assert (mark.state == "invented") == bool(mark.told and not mark.truths)


@settings(deadline=None)
@given(readings())
def test_an_excerpt_keeps_what_is_wrong_and_leaves_gaps_for_the_rest(
    made: tuple[str, list[Span], list[Span]],
) -> None:
    text, true, said = made
    whole = marked(text, true, said)
    shown = excerpt(text, whole)
    wrong = [mark.begin for mark in whole if mark.state not in ("", "right")]
    assert [mark.begin for mark in shown if mark.state not in ("", "right", "gap")] == wrong
    places = [(mark.begin, mark.end) for mark in shown]
    assert places == sorted(places)
    assert sum(end - begin for begin, end in places) == len(text)


def test_marks_say_how_the_two_readings_differ() -> None:
    text = "Ada saw New York and Rome"
    true = [Span(0, 3, "PER"), Span(8, 16, "LOC"), Span(21, 25, "LOC")]
    said = [Span(0, 3, "ORG"), Span(8, 11, "LOC"), Span(17, 20, "LOC")]
    states = {text[m.begin : m.end]: m.state for m in marked(text, true, said) if m.state}
    assert states == {"Ada": "type", "New York": "borders", "and": "invented", "Rome": "missed"}
    assert [mark.state for mark in marked(text, true, true) if mark.state] == ["right"] * 3


def test_a_type_has_one_colour_on_the_whole_page(tmp_path: Path) -> None:
    folder = read(made_runs.make(tmp_path / "run", "entities"))
    shown = [piece for item in content(folder.path)["mistakes"]["items"] for piece in item["pieces"]]
    colours = {each for piece in shown for each in piece["types"]}
    assert len(colours) == len({name for name, _ in colours}) == 4
    right = content(folder.path)["seen"]
    assert len(right["items"]) == 3
    assert {piece["state"] for item in right["items"] for piece in item["pieces"]} == {"", "right"}
    assert view([Mark(0, 1, (), "gap")], folder)[0]["types"] == []


def test_how_wrong_a_record_is() -> None:
    one, two = {"type": "A", "start": 0, "end": 2}, {"type": "A", "start": 0, "end": 3}
    assert wrongness({"label": 2.0, "predicted": -1}) == 3
    assert wrongness({"label": [one], "predicted": [{**one, "probability": 0.4}]}) == 0
    assert wrongness({"label": [one], "predicted": [two]}) == 2
    assert wrongness({"label": ["X", "Y"], "predicted": ["X", "Z"]}) == 1
    assert wrongness(
        {"label": [], "predicted": ["a"], "probabilities": {"a": 0.7, "b": 0.1}}
    ) == pytest.approx(0.7)
    assert wrongness({"label": "a  b", "predicted": "a b", "probability": 0.7}) == 0
    assert wrongness({"label": "a", "predicted": "b", "probabilities": {"b": 0.8}}) == 0.8
    assert wrongness({"label": "a", "predicted": "b"}) > 0
    assert richness({"label": ["a"], "predicted": ["a"], "probabilities": {"a": 1}}) == 0
    assert richness({"predicted": [one, {**two, "type": "B"}]}) > richness({"predicted": [one, two]})


def test_spans_that_are_no_part_of_the_text_are_left_out() -> None:
    places = [(0, 3), (2, 2), (-1, 1), (1, 4), ("0", 1), (True, None)]
    assert spans([{"start": a, "end": b, "type": "T"} for a, b in places], "abc") == [Span(0, 3, "T")]
    assert spans("no list", "abc") == []
    assert tagged({"text": "ab", "words": [[0, 1], [1, 2]], "label": ["X"]}, "label") == []


def test_the_true_answer_is_marked_where_it_is_nearest_to_what_was_said() -> None:
    context = "Rome. " + "x " * 10 + "Rome is old. Paris is not."
    record = {"pair": context, "label": "Rome", "predicted": "old", "start": 34, "end": 37, "text": "?"}
    pieces = answers.worst(record)["pieces"]
    before = "".join(
        part["text"]
        for piece in pieces[: [p["chip"] for p in pieces].index("true")]
        for part in piece["parts"]
    )
    assert before == context[:26]
    assert answers.true_answer({"label": [{"text": "a", "start": 3}]}) == "a"
    assert answers.true_answer({"label": []}) == ""


@pytest.mark.parametrize(
    ("low", "high", "leans"), [(70, 95, "silent"), (20, 40, "rather answers"), (50, 90, "")]
)
def test_it_leans_to_a_side_only_where_the_intervals_lie_apart(
    tmp_path: Path, low: float, high: float, leans: str
) -> None:
    run = made_runs.make(tmp_path / "run", "qa")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"]["NoAns_f1"] |= {"value": (low + high) / 2, "low": low, "high": high}
    (run / "metrics.json").write_text(json.dumps(metrics))
    told = answers.answerable(read(run))
    assert told is not None
    assert len(told["sentences"]) == 1 + bool(leans)
    assert leans in told["sentences"][-1]


def test_scores_are_written_in_their_own_scale() -> None:
    assert scores.written("f1", 71.26) == "71.3"
    assert scores.written("overall_f1", 0.7126) == "0.713"
    assert scores.written("mae", 1234.56) == "1,235"
    assert scores.change("mse", -0.5) == "−0.500"
    assert wording.metric_name("recall@5") == "recall at 5"
    assert scores.lower_is_better("hamming_loss")
    assert not scores.lower_is_better("r2")


@pytest.mark.parametrize("name", list(KINDS))
def test_every_metric_has_one_line_of_explanation(name: str) -> None:
    lines = {metric: scores.explained(metric, KINDS[name]) for metric in SCALES}
    assert [metric for metric, line in lines.items() if not line] == []
    assert not [line for line in lines.values() if "{" in line or "\n" in line]
    assert scores.explained("brightness", KINDS[name]) == ""


def test_baselines_are_called_as_where_they_are_made() -> None:
    assert scores.BASELINES == NAMES


def test_a_doubtful_interval_says_why(tmp_path: Path) -> None:
    run = made_runs.make(tmp_path / "run", "regression")
    assert "every resample scores the same" in words_of(report.page(run))
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"]["spearmanr"] |= {"note": "few rows", "trusted": False}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert "Read its brackets with care: few rows." in words_of(report.page(run))


def test_ranges_that_differ_between_splits_are_counted_for_train_alone(tmp_path: Path) -> None:
    run = made_runs.make(tmp_path / "run", "regression")
    assert content(run)["rows"]["split_names"] == ["train", "valid", "test"]
    data = json.loads((run / "data.json").read_text())
    data["splits"]["test"]["labels"] = {"0.2 to 4": 90}
    (run / "data.json").write_text(json.dumps(data))
    shown = content(run)["rows"]
    assert shown["split_names"] == ["train"]
    assert [each["name"] for each in shown["labels"]][:2] == ["0 to 1.25", "1.25 to 2.5"]


def test_numbers_are_drawn_with_the_mean_of_each_part_of_their_range() -> None:
    held = [(float(i % 8), float(i % 8) * 2) for i in range(80)]
    assert middle(held)[0] == (0.0, 0.0)
    assert [y / x for x, y in middle(held)[1:]] == [2.0] * 7
    assert middle([(1.0, 1.0)] * 2) == []
    assert middle([(1.0, 3.0)] * 3) == [(1.0, 3.0)]


def test_one_number_alone_can_be_drawn(tmp_path: Path) -> None:
    run = made_runs.make(tmp_path / "run", "regression")
    details = json.loads((run / "details.json").read_text())
    for scatter in ([[1.0, 1.0]], [[2, float("nan")], None, [1]], []):
        details["test"]["scatter"] = scatter
        (run / "details.json").write_text(json.dumps(details))
        Elements(report.page(run))


def test_what_few_rows_promise_has_a_range_that_is_not_empty():
    from attune.report import expected

    entries = {"accuracy": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 9}}
    assert expected._range(entries, "accuracy", 1.0, 1.0) == pytest.approx((0.701, 1.0), abs=0.001)
    drawn = {"accuracy": {"value": 0.9, "low": 0.83, "high": 0.96, "n": 82}}
    assert expected._range(drawn, "accuracy", 0.9, 1.0) == (0.83, 0.96)  # as the table beside it says
    words = {"overall_accuracy": {"value": 0.9, "low": 0.85, "high": 0.95, "n": 9}}
    assert expected._range(words, "overall_accuracy", 0.9, 1.0) == (0.85, 0.95)
    assert expected._range(words, "overall_accuracy", 0.9, 1.0) != (0.9, 0.9)


def test_a_small_part_of_a_pass_is_not_told_as_none():
    assert learning._passes(0.01) == "less than a tenth of a pass" and learning._passes(2.96) == "3.0 passes"
