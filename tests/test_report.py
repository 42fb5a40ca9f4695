"""The report: one safe, self-contained page from any state of a run folder."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from attune import report
from attune.report import strips, wording
from attune.report.charts import curves, wilson
from attune.report.confusion import confused_pairs
from attune.report.content import content
from attune.report.folder import read
from attune.report.shaded import pieces
from attune.report.svg import tag, ticks

SENTENCE = [
    "Great",
    "screen",
    ",",
    "but",
    "it",
    "died",
    "after",
    "a",
    "week",
    "and",
    "support",
    "never",
    "answered",
    "my",
    "letters",
]


def make_run(folder: Path, *, labels: list[str], n: int = 83, right: float = 0.88) -> Path:
    """A finished run with `n` test rows of plausible, consistent numbers."""
    folder.mkdir(parents=True)
    draw = random.Random(7)
    gold = [draw.choices(labels, weights=[3 / (i + 3) for i in range(len(labels))])[0] for _ in range(n)]
    told = [label if draw.random() < right else draw.choice(labels) for label in gold]
    sure = [min(0.99, max(1 / len(labels) + 0.05, draw.gauss(0.85, 0.12))) for _ in range(n)]
    rows = [
        {
            "row": f"reviews.csv:{i + 2}",
            "text": " ".join(SENTENCE),
            "label": t,
            "predicted": p,
            "probabilities": {p: s},
        }
        for i, (t, p, s) in enumerate(zip(gold, told, sure, strict=True))
    ]
    (folder / "predictions").mkdir()
    _lines(folder / "predictions" / "test.jsonl", rows)
    _lines(folder / "events.jsonl", _events(draw))
    test = _scores(labels, gold, told, sure)
    cost = {"train_seconds": 192.4, "tokens": 412_345, "tokens_per_s": 2143, "peak_memory_mib": 1934}
    _json(folder / "details.json", {"labels": labels, "test": test, "cost": cost})
    _json(folder / "metrics.json", _metrics(sum(t == p for t, p in zip(gold, told, strict=True)) / n, n))
    _json(folder / "data.json", _data(labels, gold))
    wrong = [row for row in rows if row["label"] != row["predicted"]][:4]
    words = [{"text": word, "weight": draw.uniform(-1, 1) ** 3} for word in SENTENCE]
    _json(folder / "explanations.json", [{**row, "probability": 0.93, "words": words} for row in wrong])
    _write_small_files(folder)
    return folder


# fmt: off
def _events(draw: random.Random) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for step in range(1, 421):
        loss = 1.1 * 0.993**step + 0.12 + abs(draw.gauss(0, 0.06))
        lr = 1e-4 * min(step / 42, (420 - step) / 378)
        events.append({"event": "stepped", "step": step, "epoch": step / 105, "loss": loss, "lr": lr,
                       "grad_norm": 1 + draw.random(), "tokens_per_s": 2100 + draw.gauss(0, 120)})
        if step % 42 == 0:
            late = max(0, step - 252)
            scored = {"f1_macro": 0.88 - 0.5 * 0.985**step - late * 2e-4,
                      "log_loss": 0.35 + 0.7 * 0.988**step + late * 9e-4}
            events.append({"event": "evaluated", "step": step, "epoch": step / 105, "metrics": scored,
                           "best": step <= 252, "seconds": 1.2})
    return [*events, {"event": "finished", "step": 420, "reason": "stopped early", "best_step": 252}]


def _scores(labels: list[str], gold: list[str], told: list[str], sure: list[float]) -> dict[str, Any]:
    place = {label: i for i, label in enumerate(labels)}
    confusion = [[0] * len(labels) for _ in labels]
    for true, predicted in zip(gold, told, strict=True):
        confusion[place[true]][place[predicted]] += 1
    per_class, bins = [], []
    for i, label in enumerate(labels):
        hits, given, support = confusion[i][i], sum(line[i] for line in confusion), sum(confusion[i])
        per_class.append({"label": label, "precision": hits / max(given, 1), "recall": hits / max(support, 1),
                          "f1": 2 * hits / max(given + support, 1), "support": support})
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = [i for i, p in enumerate(sure) if low <= p < low + 0.2]
        n = max(len(inside), 1)
        stated, hits = sum(sure[i] for i in inside), sum(gold[i] == told[i] for i in inside)
        bins.append({"low": low, "high": low + 0.2, "n": len(inside),
                     "confidence": stated / n, "accuracy": hits / n})
    roc = [[i / 20, (i / 20) ** 0.2] for i in range(21)] if len(labels) == 2 else None
    pr = [[i / 20, 1 - 0.4 * (i / 20) ** 3] for i in range(21)] if len(labels) == 2 else None
    return {"per_class": per_class, "confusion": confusion, "calibration": bins, "roc": roc, "pr": pr}


def _metrics(accuracy: float, n: int) -> dict[str, Any]:
    def entry(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.05, "high": min(value + 0.045, 1), "n": n}

    names = ("accuracy", "f1_macro", "f1_micro", "precision_macro", "recall_macro", "matthews_correlation")
    test = {name: entry(accuracy - 0.005 * i) for i, name in enumerate(names)}
    test |= {"log_loss": entry(0.41), "ece": {**entry(0.06), "low": 0.03}}
    comparisons = [
        {"baseline": name, "metric": "f1_macro", "difference": d, "low": d - 0.05, "high": d + 0.05,
         "p": 0.012, "n": n, "sentence": f"better than {name} by {100 * d:.1f} points"}
        for name, d in (("majority", 0.6), ("tfidf_logreg", 0.06))
    ]
    baselines = {"majority": {"accuracy": entry(0.42), "f1_macro": entry(0.27)},
                 "tfidf_logreg": {name: entry(accuracy - 0.06 - 0.005 * i) for i, name in enumerate(names)}}
    valid = {name: entry(accuracy + 0.01) for name in names}
    return {"test": test, "valid": valid, "baselines": baselines, "comparisons": comparisons}


def _data(labels: list[str], gold: list[str]) -> dict[str, Any]:
    splits = {
        name: {"rows": times * len(gold), "labels": {label: times * gold.count(label) for label in labels},
               "words": {"median": 41.5, "p95": 160.2, "max": 402}, "cut_rows": 0.071, "cut_tokens": 0.034,
               "tokens": {"median": 52.0, "p95": 211.5, "max": 540, "total": times * 5210}}
        for name, times in (("train", 8), ("valid", 1), ("test", 1))
    }
    edges = list(range(0, 544, 16))
    counts = [round(60 * 0.5 ** abs((i - 3) / 4)) for i in range(len(edges) - 1)]
    return {
        "files": {name: {"path": "data/reviews.csv", "sha256": "ab12" * 16, "rows": splits[name]["rows"]}
                  for name in splits},
        "labels": labels, "splits": splits, "notes": ["reviews.csv is cp1252, read as such"],
        "roles": {"task": "classification", "text": "review", "label": "stars",
                  "reasons": ["“stars” has few values"]},
        "lengths": {"edges": edges, "counts": {"train": counts}},
    }


def _write_small_files(folder: Path) -> None:
    recipe = "data:\n  train: data/reviews.csv\nmodel:\n  base: starter/bert\n  max_tokens: 256\n"
    (folder / "recipe.yaml").write_text(recipe + "train:\n  lr: 1e-4\n  batch: 32\n  batch_by: rows\n")
    _json(folder / "run.json", {
        "status": "finished", "started": "2026-11-23T14:12:03+00:00", "finished": "2026-11-23T14:15:40+00:00",
        "seconds": 217.1, "version": "0.1.0", "command": ["attune", "train", "data/my reviews.csv"],
        "best_step": 252, "stopped_early": True, "reason": "stopped early: no better score in 4 evaluations"})
    _json(folder / "environment.json", {
        "python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "platform": "Linux x86_64",
        "cpu": "a processor", "cores": 4, "threads": 4, "memory_gib": 15.6, "device": "cpu", "seed": 42})
    places = [f"reviews.csv:{line}" for line in range(40, 64)]
    _json(folder / "findings.json", [
        {"check": "truncation", "level": "note", "sentence": "7% of the texts are cut.", "rows": []},
        {"check": "duplicates", "level": "warning", "sentence": "24 rows repeat a text.", "rows": places},
        {"check": "conflicts", "level": "error", "sentence": "2 texts have two labels.", "rows": places[:2]}])
    _json(folder / "parity.json", {"rows": 64, "largest_difference": 1.2e-7, "tolerance": 1e-4, "same": True,
                                   "loaded_by": "transformers AutoModelForSequenceClassification"})
# fmt: on


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


VARIANTS = {
    "three": ["negative", "neutral", "positive"],
    "two": ["ham", "spam"],
    "many": [f"intent number {i:02d} with quite a long name of its own" for i in range(77)],
}


@pytest.fixture(params=list(VARIANTS))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_run(
        tmp_path / "run", labels=VARIANTS[request.param], n=900 if request.param == "many" else 83
    )


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", labels=VARIANTS["three"])


class Elements(HTMLParser):
    """Collects the names and attributes of a page's elements and checks that they are closed in order."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_that_loads_nothing(run: Path) -> None:
    target = report.write(run)
    text = target.read_text(encoding="utf-8")
    elements = Elements(text).found
    assert target == run / "report.html"
    assert not {"script", "link", "img", "iframe"} & {name for name, _ in elements}
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in elements)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text


def test_every_picture_has_a_text_and_every_section_a_heading(run: Path) -> None:
    elements = Elements(report.page(run)).found
    drawn = [attributes for name, attributes in elements if name == "svg"]
    assert drawn
    assert all(each.get("aria-label") or each.get("aria-hidden") for each in drawn)
    assert sum(name == "h1" for name, _ in elements) == 1
    assert sum(name == "h2" for name, _ in elements) == 8


def test_texts_of_users_are_never_markup(three: Path) -> None:
    evil = '<script>alert("x")</script>\ud800 & more'
    labels = [evil, "</style><b>", "ok"]
    folder = make_run(three.parent / "<img src=x>", labels=labels)
    text = report.page(folder)
    assert "script" not in {name for name, _ in Elements(text).found}
    assert "&lt;script&gt;alert" in text
    report.write(folder)


def test_the_headline_says_how_good_and_better_than_what(three: Path) -> None:
    verdict = content(three)["verdict"]
    assert verdict["tone"] == "good"
    assert verdict["rest"] == "on 83 held-out rows: better than TF-IDF + logistic regression by 0.06"


@pytest.mark.parametrize(("low", "high", "tone"), [(-0.02, 0.1, "unsure"), (-0.2, -0.1, "bad")])
def test_a_model_that_is_not_clearly_better_is_not_called_better(
    three: Path, low: float, high: float, tone: str
) -> None:
    metrics = json.loads((three / "metrics.json").read_text())
    metrics["comparisons"][1] |= {"difference": (low + high) / 2, "low": low, "high": high}
    _json(three / "metrics.json", metrics)
    view = content(three)
    assert view["verdict"]["tone"] == tone
    assert any(
        "may do as well" in sentence or "does better" in sentence for sentence in view["trust"]["limits"]
    )


OPTIONAL = [
    "recipe.yaml",
    "environment.json",
    "data.json",
    "findings.json",
    "events.jsonl",
    "metrics.json",
    "details.json",
    "explanations.json",
    "parity.json",
    "predictions/test.jsonl",
]


@pytest.mark.parametrize("missing", [*OPTIONAL, "all of them"])
def test_a_missing_file_leaves_the_rest_of_the_page(three: Path, missing: str) -> None:
    for name in OPTIONAL if missing == "all of them" else [missing]:
        (three / name).unlink()
    Elements(report.page(three))


def test_texts_that_windows_read_are_not_called_cut(three: Path) -> None:
    recipe = (three / "recipe.yaml").read_text()
    assert "cut at 256 tokens" in report.page(three)
    (three / "recipe.yaml").write_text(recipe.replace("model:\n", "model:\n  long_texts: windows\n"))
    data = json.loads((three / "data.json").read_text())
    for split in data["splits"].values():
        split |= {"cut_rows": 0.0, "cut_tokens": 0.0}
    _json(three / "data.json", data)
    page = report.page(three)
    assert "a window: 256 tokens" in page
    assert "Texts of more than 256 tokens are read by windows: nothing is cut." in page
    assert "cut at" not in page


def test_a_finished_run_without_its_metrics_says_that_they_are_gone(three: Path) -> None:
    (three / "metrics.json").unlink()
    page = report.page(three)
    assert "its metrics.json is no longer there" in page
    assert "No result yet" not in page


def test_null_numbers_and_empty_parts_are_dashes(three: Path) -> None:
    metrics = json.loads((three / "metrics.json").read_text())
    for entry in metrics["test"].values():
        entry.update(value=None, low=None, high=None)
    metrics["comparisons"] = metrics["baselines"] = metrics["valid"] = None
    _json(three / "metrics.json", metrics)
    assert wording.NONE in report.page(three)


def test_without_explanations_the_surest_mistakes_come_from_the_predictions(three: Path) -> None:
    (three / "explanations.json").unlink()
    items = content(three)["mistakes"]["items"]
    shares = [each["probabilities"][each["predicted"]] for each in read(three).mistakes]
    assert items
    assert shares == sorted(shares, reverse=True)
    assert all(item["label"] != item["predicted"] for item in items)


def test_a_damaged_file_is_left_out_and_named(three: Path, tmp_path: Path) -> None:
    (three / "parity.json").write_text("{")
    assert any("parity.json" in sentence for sentence in content(three)["trust"]["limits"])
    with pytest.raises(FileNotFoundError):
        report.write(tmp_path)


def test_a_resumed_run_shows_each_step_once_and_survives_a_cut_line(three: Path) -> None:
    with (three / "events.jsonl").open("a") as file:
        file.write('{"event": "stepped", "step": 5, "loss": 9.5}\n{"event": "step')
    steps = read(three).steps
    assert [event["step"] for event in steps] == list(range(1, 421))
    assert steps[4]["loss"] == 9.5


def test_many_labels_are_listed_as_confused_pairs(run: Path) -> None:
    quality = content(run)["quality"]
    assert (quality["heat"] is None) == (len(quality["labels"]) > 20)
    assert [pair["n"] for pair in quality["pairs"]] == sorted(
        (p["n"] for p in quality["pairs"]), reverse=True
    )


def test_only_two_labels_have_roc_and_precision_recall_curves(run: Path) -> None:
    quality = content(run)["quality"]
    assert (quality["curves"] is not None) == (len(quality["labels"]) == 2)


def test_a_wide_interval_is_named_as_a_limit(three: Path) -> None:
    metrics = json.loads((three / "metrics.json").read_text())
    metrics["test"]["f1_macro"] |= {"value": 0.8, "low": 0.7, "high": 0.9}
    _json(three / "metrics.json", metrics)
    assert "About 340 rows" in content(three)["trust"]["limits"][0]


def test_findings_say_how_many_rows_they_have_and_where_the_rest_stands(three: Path) -> None:
    many, few = content(three)["rows"]["findings"][1], content(three)["rows"]["findings"][0]
    assert len(many["places"]) == 10
    assert many["more"] == "10 of 24 rows are shown; all are in findings.json"
    assert many["more"] in report.page(three)
    assert few["more"] == ""


def test_pieces_of_a_text_are_the_text_again() -> None:
    text = "  No,\tit  broke – twice "
    cut = pieces(
        text, [{"text": "it", "weight": 1}, {"text": "gone", "weight": 1}, {"text": "twice", "weight": -1}]
    )
    assert "".join(piece.text for piece in cut) == text
    assert [piece.text for piece in cut if piece.weight] == ["it", "twice"]


def test_words_that_were_not_read_are_one_grey_piece_with_a_legend(three: Path) -> None:
    entries = json.loads((three / "explanations.json").read_text())
    assert "not read: beyond" not in report.page(three)
    for word in entries[0]["words"][-3:]:
        word |= {"weight": 0.0, "cut": True}
    entries[1]["words"][-1] |= {"unexplained": True}
    _json(three / "explanations.json", entries)
    shown = content(three)["mistakes"]
    assert [piece["text"] for piece in shown["items"][0]["texts"][0]["pieces"] if piece["mark"]] == [
        "answered my letters"
    ]
    assert len(shown["unread"]) == 2
    page = report.page(three)
    assert '<span class="unread">answered my letters</span>' in page
    assert "not read: beyond max_tokens (256)" in page


def test_what_a_long_text_was_cut_of_is_shown_however_far_it_lies_from_the_strongest_word(
    three: Path,
) -> None:
    entries = json.loads((three / "explanations.json").read_text())
    words = [{"text": f"w{i}", "weight": float(i == 3)} for i in range(400)]
    words += [{"text": f"end{i}", "weight": 0.0, "cut": True} for i in range(150)]
    entries[0] |= {"text": " ".join(word["text"] for word in words), "words": words}
    _json(three / "explanations.json", entries)
    shown = content(three)["mistakes"]["items"][0]["texts"][0]
    last = shown["pieces"][-1]["text"]
    assert last.startswith("end0 end1")
    assert {word.rstrip("0123456789") for word in last.split()} == {
        "end",
        "…",
    }  # shortened, and no word cut in two
    assert (shown["before"], shown["after"]) == (False, False)
    assert " … " in [piece["text"] for piece in shown["pieces"]]


def test_numbers_are_written_alike_everywhere() -> None:
    assert [wording.percent(share) for share in (0, 0.0004, 0.034, 0.0997, 0.5, 1, None)] == [
        "0%",
        "<0.1%",
        "3.4%",
        "10%",
        "50%",
        "100%",
        "–",
    ]
    assert [wording.duration(s) for s in (0.42, 42, 192.4, 2832, 7500)] == [
        "0.4 s",
        "42 s",
        "3 min 12 s",
        "47 min",
        "2 h 05 min",
    ]
    assert wording.score(-0.25) == "−0.250"
    assert wording.change(0.0612, 2) == "+0.06"
    assert wording.listed(["a", "b", "c"]) == "a, b and c"


def test_drawings_escape_text_and_stand_on_round_ticks() -> None:
    assert tag("text", "<&>", x=1.50) == '<text x="1.5">&lt;&amp;&gt;</text>'
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(0.13, 0.47, 4) == [0.2, 0.3, 0.4]
    assert curves([], "loss") == ""
    assert strips.shared_scale([{"value": 0.99, "low": 0.5, "high": 1.0}])[1] == 1
    assert confused_pairs(["a", "b"], [[3, 0], [1, 1]])[0]["percent"] == "50%"
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_the_report_imports_nothing_heavy(three: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from attune import report
assert 'jinja2' not in sys.modules
report.page(Path({str(three)!r}))
print({{'torch', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'transformers'}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_labels_that_are_never_answered_stand_above_all_scores(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", labels=["ham", "spam", "odd"])
    details = json.loads((folder / "details.json").read_text())
    for matrix, told in (
        ([[9, 0, 0], [3, 0, 0], [1, 0, 0]], "Every test row gets the same label, “ham”"),
        ([[9, 0, 1], [3, 0, 0], [1, 0, 0]], "It never answers “spam”, though test rows have it"),
        ([[9, 0, 1], [0, 0, 0], [1, 0, 0]], ""),
    ):
        details["test"]["confusion"] = matrix
        (folder / "details.json").write_text(json.dumps(details))
        sentences = " ".join(content(folder)["verdict"]["sentences"])
        assert told in sentences
        assert bool(told) == ("never answers" in sentences or "same label" in sentences)


def test_where_a_new_head_began_stands_in_the_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", labels=["ham", "spam"])
    event = {"event": "started", "step": 0, "regression": True, "rows": 398, "knows": 0.81}
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")
    (told,) = content(folder)["learning"]["sentences"][:1]
    assert told.startswith(
        "The new head begins at a logistic regression of 398 training rows, whose loss is 81%"
    )
