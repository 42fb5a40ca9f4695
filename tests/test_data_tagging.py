"""Tagged words from files: CoNLL columns, lists of tokens, texts with spans, exports of annotation tools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attune.data import rows, split
from attune.data.checks import examine
from attune.data.read import read, read_splits
from attune.data.roles import infer
from attune.data.table import Table
from attune.errors import DataError, MachineError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NER = SHARED / "03_ner_pos"
real = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the public data sets in ../shared are not on this machine"
)
CONLL2003 = """-DOCSTART- -X- -X- O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
German JJ I-NP I-MISC
call NN I-NP O

Peter NNP I-NP I-PER
Blackburn NNP I-NP I-PER
"""
CONLLU = """# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\t_
5.1\tsí\tsí\tADV\t_\t_\t_\t_\t_\t_

# sent_id = 2
1\tsí\tsí\tINTJ\t_\t_\t0\troot\t_\t_
"""


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def canonical(path: Path, **options: str) -> Table:
    held = read(path)
    roles = infer(held, **options)
    assert roles.task == "tagging"
    return rows.canonical(held, roles)


def surfaces(table: Table) -> list[list[str]]:
    pairs = zip(table.column("text"), table.column("words"), strict=True)
    return [[text[begin:end] for begin, end in words] for text, words in pairs]


@pytest.mark.parametrize("mark", ["-DOCSTART- O\n", "# newdoc id = d\n# sent_id = 1"])
def test_sentences_of_one_document_stay_together_where_there_are_many_documents(
    tmp_path: Path, mark: str
) -> None:
    one = "Ann B-PER\nran O\n\nso O\nsaid O\nBob B-PER\n\n"
    made = canonical(write(tmp_path, "many.conll", "".join(f"{mark}\n{one}" for _ in range(20))))
    assert made.column("group") == [str(number) for number in range(1, 21) for _ in range(2)]
    assert split.groups(made).tolist() == [number for number in range(20) for _ in range(2)]
    few = canonical(write(tmp_path, "few.conll", "".join(f"{mark}\n{one}" for _ in range(19))))
    assert "group" not in few.columns


def test_conll_2003_is_read_by_its_last_column_and_turned_into_iob2(tmp_path: Path) -> None:
    path = write(tmp_path, "eng.conll", CONLL2003)
    made = canonical(path)
    assert made.columns == ("text", "words", "label")
    assert made.column("text") == ["EU rejects German call", "Peter Blackburn"]
    assert surfaces(made)[1] == ["Peter", "Blackburn"]
    assert made.column("label") == [["B-ORG", "O", "B-MISC", "O"], ["B-PER", "I-PER"]]
    assert list(made.lines) == [3, 8]
    assert any("the tags are IOB1; read as IOB2" in note for note in made.notes)
    assert made.findings == ()
    assert canonical(path, label="column2").column("label")[0] == ["NNP", "VBZ", "JJ", "NN"]
    assert any("'column2', 'column3'" in reason for reason in infer(read(path)).reasons)


def test_conllu_gives_upos_without_multiword_tokens_and_empty_words(tmp_path: Path) -> None:
    path = write(tmp_path, "es.conllu", CONLLU)
    made = canonical(path)
    assert made.column("text") == ["vamos nos a el mar", "sí"]
    assert made.column("label") == [["VERB", "PRON", "ADP", "DET", "NOUN"], ["INTJ"]]
    assert list(made.lines) == [4, 13]
    assert any("3 lines of multi-word tokens and empty words left out" in note for note in made.notes)
    assert canonical(path, label="deprel").column("label")[1] == ["root"]


def test_what_label_studio_calls_conll_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "ls.conll", "-DOCSTART- -X- O\nAnn -X- _ B-PER\nran -X- _ O\n\nBob -X- _ B-PER\n")
    assert canonical(path).column("label") == [["B-PER", "O"], ["B-PER"]]


@pytest.mark.parametrize("name", ["t.txt", "t.tsv", "t.bio", "train.annotated"])
@pytest.mark.parametrize("gap", ["\n", "\t\n", "\r\n"])
def test_columns_of_words_are_told_from_what_stands_in_the_file(tmp_path: Path, name: str, gap: str) -> None:
    end = "\r\n" if gap == "\r\n" else "\n"
    block = end.join(["#tag\tO", "Ann\tB-PER", "ran\tO", ".\tO"]) + end
    made = canonical(write(tmp_path, name, gap.join([block] * 8)))
    assert surfaces(made) == [["#tag", "Ann", "ran", "."]] * 8
    assert made.lines[1] == 6


def test_comments_and_numbers_of_words_are_no_words(tmp_path: Path) -> None:
    block = "#\thttp://x\t[2010]\t\n1\tAnn\tB-PER\tO\n2\tran\tO\tO\n3\t.\tO\tO\n"
    made = canonical(write(tmp_path, "g.tsv", "\n".join([block] * 3)), label="column3")
    assert surfaces(made) == [["Ann", "ran", "."]] * 3
    assert list(made.lines) == [2, 7, 12]
    zero = "0\tAnn\tB-PER\n1\tran\tO\n2\t.\tO\n"
    assert surfaces(canonical(write(tmp_path, "w.conllu", "\n".join([zero] * 3))))[0] == ["Ann", "ran", "."]


def test_ragged_lines_are_named_by_their_number(tmp_path: Path) -> None:
    path = write(tmp_path, "t.conll", "Ann\tB-PER\nran\n.\tO\n\nBob\tB-PER\nsat\tO\tO\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert [problem.where for problem in caught.value.problems] == ["t.conll:2", "t.conll:6"]
    assert caught.value.problems[0].what == "1 column, expected 2"
    with pytest.raises(DataError, match="one column only"):
        read(write(tmp_path, "u.conll", "Ann\nran\n\nBob\n"))
    with pytest.raises(DataError, match="holds no words"):
        read(write(tmp_path, "v.conll", "\n\n"))


def test_a_tab_at_the_end_of_a_line_is_no_column(tmp_path: Path) -> None:
    path = write(tmp_path, "t.conll", "Ann\tB-PER\t\nran\tO\n.\tO\n\nBob\tB-PER\nsat\tO\n")
    assert canonical(path).column("label")[0] == ["B-PER", "O", "O"]
    assert any("1 line with a tab at the end" in note for note in read(path).notes)


def test_broken_transitions_are_mended_and_found(tmp_path: Path) -> None:
    path = write(tmp_path, "t.conll", "Ann\tB-PER\nran\tO\nhome\tI-LOC\n\nBob\tB-PER\nLee\tI-PER\n")
    made = canonical(path)
    assert made.column("label")[0] == ["B-PER", "O", "B-LOC"]
    finding = made.findings[0]
    assert (finding.check, finding.rows) == ("transitions", ("t.conll:1",))
    assert finding.sentence.startswith("1 tag of t.conll did not follow")


def test_plain_tables_are_not_taken_for_columns_of_words(tmp_path: Path) -> None:
    lines = "".join(f"some words of row {n}\t{'ab'[n % 2]}\n\n" for n in range(9))
    held = read(write(tmp_path, "d.tsv", lines))
    assert infer(held).task == "classification"
    held = read(write(tmp_path, "e.tsv", "text\tlabel\n" + "good\ta\nbad\tb\nfair\ta\n\n" * 3))
    assert held.columns == ("text", "label")


def table(**cells: list[Any]) -> Table:
    return Table("d.jsonl", tuple(cells), cells, list(range(1, len(next(iter(cells.values()))) + 1)), "")


def test_numbered_tags_without_names_get_some_and_a_warning() -> None:
    held = table(tokens=[["a", "b"], ["c"]] * 4, ner_tags=[[0, 1], [1]] * 4)
    made = rows.canonical(held, infer(held))
    assert made.column("label")[0] == ["TAG_0", "TAG_1"]
    assert made.findings[0].check == "unnamed_tags"


def test_classes_of_tags_in_parquet_are_read_by_name(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        tokens=datasets.Sequence(datasets.Value("string")),
        ner_tags=datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER", "I-PER"])),
    )
    cells = {"tokens": [["Ann", "Lee"], ["ran"]], "ner_tags": [[1, 2], [0]]}
    held = datasets.Dataset.from_dict(cells, features=features)
    held.to_parquet(str(tmp_path / "d.parquet"))
    held.save_to_disk(str(tmp_path / "saved"))
    for path in (tmp_path / "d.parquet", tmp_path / "saved"):
        assert canonical(path).column("label") == [["B-PER", "I-PER"], ["O"]]


def test_more_tags_than_words_is_a_problem_by_its_place() -> None:
    held = table(tokens=[["a", "b"]] * 300, ner_tags=[["O", "B-X"]] * 299 + [["O"]])
    with pytest.raises(DataError, match=r"d\.jsonl:300: 2 tokens and 1 tag"):
        rows.canonical(held, infer(held))


def test_tokens_that_hold_nothing_are_left_out_with_their_tags() -> None:
    held = table(tokens=[["a", "", "b"]], ner_tags=[["O", "B-X", "B-X"]])
    made = rows.canonical(held, infer(held))
    assert (made.column("text"), made.column("label")) == (["a b"], [["O", "B-X"]])
    assert made.findings[0].check == "empty_tokens"


def test_a_text_is_not_taken_for_a_list_because_it_looks_like_one() -> None:
    held = table(text=["[1]", "see [1] there"], spans=[[], [[0, 3, "X"]]])
    made = rows.canonical(held, infer(held))
    assert made.column("text") == ["[1]", "see [1] there"]
    assert made.column("label") == [["O"] * 3, ["B-X", "O", "O", "O", "O"]]


SPANS = [
    {"text": "Barack Obama was here", "label": [[0, 12, "PER"]]},
    {"text": "He saw New York City", "label": [[7, 13, "LOC"], [7, 20, "LOC"], [90, 95, "LOC"]]},
    {"text": "nothing", "label": []},
]


def test_spans_that_do_not_fit_are_counted_by_place_or_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "d.jsonl", "\n".join(map(json.dumps, SPANS)))
    held = read(path)
    made = rows.canonical(held, infer(held))
    assert made.column("text")[0] == SPANS[0]["text"]
    assert made.column("label")[1] == ["O", "O", "B-LOC", "I-LOC", "I-LOC"]
    found = [(finding.check, finding.sentence, finding.rows) for finding in made.findings]
    assert found == [
        ("spans", "1 span of d.jsonl outside of the text, or around nothing, left out.", ("d.jsonl:2",)),
        (
            "spans",
            "1 span of d.jsonl beginning or ending within a word, widened to whole words.",
            ("d.jsonl:2",),
        ),
        ("spans", "1 span of d.jsonl overlapping a longer one, left out.", ("d.jsonl:2",)),
    ]
    with pytest.raises(DataError) as caught:
        rows.canonical(held, infer(held), spans="refuse")
    assert {problem.where for problem in caught.value.problems} == {"d.jsonl:2"}
    assert len(caught.value.problems) == 3


def test_two_lists_of_labels_are_no_tagged_words() -> None:
    held = table(text=["good film", "bad film"] * 3, topics=[["a"], ["b"]] * 3, label=[["x"], ["y"]] * 3)
    assert infer(held).task == "classification"


def test_a_text_without_any_word_is_left_out() -> None:
    held = table(text=["Ann ran", "\u200b"], spans=[[[0, 3, "X"]], []])
    roles = infer(held)
    kept, findings = examine({"train": rows.canonical(held, roles)}, roles)
    assert (len(kept["train"]), findings[0].sentence) == (1, "1 row of train without text, left out.")


def test_spans_in_a_csv_are_read_from_json(tmp_path: Path) -> None:
    cell = '"[{""start"": 0, ""end"": 3, ""label"": ""PER""}]"'
    path = write(tmp_path, "d.csv", f"text,entities\nAnn ran,{cell}\nnobody ran,[]\n")
    assert canonical(path).column("label") == [["B-PER", "O"], ["O", "O"]]


def test_prodigy_keeps_what_was_accepted(tmp_path: Path) -> None:
    def line(text: str, answer: str, **more: Any) -> str:
        return json.dumps({"text": text, "_task_hash": 1, "answer": answer, **more})

    span = [{"start": 0, "end": 3, "label": "PER"}]
    lines = [line("Ann ran", "accept", spans=span), line("x", "ignore"), line("y", "reject", spans=span)]
    made = canonical(write(tmp_path, "p.jsonl", "\n".join(lines)))
    assert (made.column("label"), made.lines) == ([["B-PER", "O"]], [1])
    assert any("2 rows left out" in note for note in made.notes)
    binary = [line(f"row {n} says it", ["accept", "reject", "ignore"][n % 3], label="SPAM") for n in range(9)]
    held = read(write(tmp_path, "b.jsonl", "\n".join(binary)))
    assert rows.canonical(held, infer(held)).column("label") == ["SPAM", "not SPAM"] * 3
    choice = [
        line(f"row {n} says it", "accept", options=[], accept=["a", "b"][: 1 + n % 2]) for n in range(4)
    ]
    held = read(write(tmp_path, "c.jsonl", "\n".join(choice)))
    assert rows.canonical(held, infer(held)).column("label") == [["a"], ["a", "b"]] * 2
    with pytest.raises(DataError, match="no row was accepted"):
        read(write(tmp_path, "n.jsonl", line("x", "reject", spans=span)))


def studio(*results: list[dict[str, Any]], text: str = "Ann ran", **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": each, **more} for each in results]}


def test_label_studio_gives_spans_choices_and_what_annotators_disagree_on(tmp_path: Path) -> None:
    span = {"from_name": "ner", "type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}
    yes, no = (
        {"from_name": "said", "type": "choices", "value": {"choices": [name]}} for name in ("yes", "no")
    )
    tasks = [
        studio([span, yes], [yes], [no]),
        studio([no], text="Bob sat"),
        studio([yes], was_cancelled=True),
        studio(),
    ]
    path = write(tmp_path, "ls.json", json.dumps(tasks))
    held = read(path)
    assert held.columns == ("text", "ner", "said")
    assert held.column("said") == ["yes", "no"]
    assert {finding.check: finding.rows for finding in held.findings} == {
        "unannotated": ("ls.json:3", "ls.json:4"), "annotators": ("ls.json:1",),
    }  # fmt: skip
    assert canonical(path).column("label") == [["B-PER", "O"], ["O", "O"]]
    assert infer(held, label="said").task == "classification"


def test_label_studio_json_min_may_lack_keys(tmp_path: Path) -> None:
    base = {"id": 1, "text": "Ann ran", "annotation_id": 3, "annotator": 1, "lead_time": 2.0}
    marked = {**base, "label": [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}]}
    made = canonical(write(tmp_path, "min.json", json.dumps([marked, base])))
    assert made.column("label") == [["B-PER", "O"], ["O", "O"]]


def test_argilla_takes_submitted_responses_and_warns_of_suggestions(tmp_path: Path) -> None:
    def record(n: int, values: list[str], status: list[str], suggestion: str | None) -> str:
        return json.dumps({
            "id": str(n), "text": f"row {n} says so", "q.responses": values, "q.responses.status": status,
            "q.responses.users": ["u"] * len(values), "q.suggestion": suggestion, "q.suggestion.score": None,
        })  # fmt: skip

    lines = [
        record(0, ["a", "b", "b"], ["submitted"] * 3, "a"),
        record(1, ["a", "b"], ["submitted", "discarded"], "b"),
        record(2, [], [], "b"),
    ]
    held = read(write(tmp_path, "a.jsonl", "\n".join(lines)))
    assert held.columns == ("text", "q")
    assert held.column("q") == ["b", "a", "b"]
    assert (held.findings[0].check, held.findings[0].rows) == ("suggestions", ("a.jsonl:3",))


def test_spacy_files_need_spacy_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    path = tmp_path / "d.spacy"
    path.write_bytes(b"\x78\x9c")
    with pytest.raises(MachineError, match=r"attune-nlp\[spacy\]"):
        read(path)


def test_spacy_documents_give_entities_or_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for spaCy, with the names that its DocBin, Doc and Span have."""
    ent = SimpleNamespace(start_char=0, end_char=3, label_="PER")
    held = [SimpleNamespace(text="Ann ran", ents=[ent], cats={"a": 1.0, "b": 0.0})]
    bins = SimpleNamespace(from_bytes=lambda raw: SimpleNamespace(get_docs=lambda vocab: iter(held)))
    spacy = SimpleNamespace(blank=lambda language: SimpleNamespace(vocab=language))
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setitem(sys.modules, "spacy.tokens", SimpleNamespace(DocBin=lambda: bins))
    path = tmp_path / "d.spacy"
    path.write_bytes(b"any")
    assert canonical(path).column("label") == [["B-PER", "O"]]
    held[0].ents = []
    assert read(path).column("label") == [["a"]]
    held[0].cats = {}
    with pytest.raises(DataError, match="neither entities nor categories"):
        read(path)


def test_slots_of_queries_are_spans(tmp_path: Path) -> None:
    labels = [{"slot": "people", "valueSpan": {"endIndex": 1}}]
    queries = [
        {"userInput": {"text": "4 at 8 pm"}, "labels": labels},
        {"userInput": {"text": "hi"}, "context": {"requestedSlots": ["people"]}},
    ]
    made = canonical(write(tmp_path, "q.json", json.dumps(queries)))
    assert made.column("label") == [["B-people", "O", "O", "O"], ["O"]]
    assert "What was asked before (1 row with a `context`) is not read." in " ".join(made.notes)


def test_tags_in_a_line_beside_the_words(tmp_path: Path) -> None:
    for part, n in (("train", 6), ("test", 2)):
        folder = tmp_path / part
        folder.mkdir()
        write(folder, "seq.in", "play  some jazz \nplay some blues\n" * (n // 2))
        write(folder, "seq.out", "O O B-genre \n" * n)
        write(folder, "label", "Play\nStop\n" * (n // 2))
    tables = read_splits(tmp_path)
    assert {split: len(held) for split, held in tables.items()} == {"train": 6, "test": 2}
    roles = infer(tables["train"], label="seq.out")
    made = rows.splits(tables, roles)
    assert made["test"].column("label") == [["O", "O", "B-genre"]] * 2
    assert surfaces(made["test"])[0] == ["play", "some", "jazz"]
    assert made["test"].place(1) == "test/seq.in:2"
    assert infer(tables["train"]).label == "label"


def test_predicting_cuts_plain_texts_into_words() -> None:
    held = table(tokens=[["a", "b"]] * 3, ner_tags=[["O", "B-X"]] * 3)
    made = rows.canonical(table(tokens=["It's fine", ""]), infer(held), labelled=False)
    assert made.columns == ("text", "words")
    assert surfaces(made) == [["It", "'", "s", "fine"], []]


def test_tagged_rows_are_examined_by_what_tags_are() -> None:
    held = table(tokens=[["Ann", "ran"]] * 20 + [["", ""]], ner_tags=[["B-PER", "O"]] * 19 + [["O", "O"]] * 2)
    roles = infer(held)
    train = rows.canonical(held, roles)
    test = rows.canonical(table(tokens=[["Rome"]], ner_tags=[["B-LOC"]]), roles)
    kept, findings = examine({"train": train, "test": test}, roles)
    assert len(kept["train"]) == 20
    checks = {finding.check: finding.sentence for finding in findings}
    assert "1 text stands in train with different tags." in checks["conflicts"]
    assert "1 label of test does not occur in train and can only be missed: 'LOC'." in checks["unseen"]
    with pytest.raises(DataError, match="every word of train has the same tag"):
        bare = table(tokens=[["a", "b"]] * 3, ner_tags=[["O", "O"]] * 3)
        examine({"train": rows.canonical(bare, infer(bare))}, infer(bare))


@real
@pytest.mark.parametrize(
    ("name", "sentences", "kinds"),
    [
        ("wnut17/wnut17train.conll", 3394, 6),
        ("wnut17/emerging.test.annotated", 1287, 6),
        ("crossner/ai/train.txt", 100, 14),
        ("bc5cdr/devel.tsv", 4581, 2),
        ("wikigold/test.conllu", 1841, 4),
    ],
)
def test_public_entities_are_read_whole(name: str, sentences: int, kinds: int) -> None:
    made = canonical(NER / name)
    assert len(made) == sentences
    assert len({tag[2:] for tags in made.column("label") for tag in tags if tag != "O"}) == kinds


@real
def test_public_parts_of_speech_are_read_whole() -> None:
    made = canonical(NER / "ud_english_ewt_pos/dev.txt")
    assert len(made) == 2001
    assert {"NOUN", "VERB", "PUNCT"} < {tag for tags in made.column("label") for tag in tags}
