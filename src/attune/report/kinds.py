"""What a run answers with, and the words that are true of it: a label, a set, a number, entities, tags, an answer.

A task of the catalogue may be of two kinds (entities or plain tags, scores or pairs only), so the kind is told
from the task's name and from what stands in the folder.
"""

from __future__ import annotations

from dataclasses import dataclass

from attune.report.folder import Folder


@dataclass(frozen=True)
class Kind:
    """The words for the rows and labels of one kind of run, and its headings."""

    name: str
    row: str = "row"
    label: str = "label"  # what the lines of the table of scores are
    unit: str = "row"  # what is counted in that table
    learns: str = "learns to predict \u201c{}\u201d"
    labels: str = "Labels"  # heading of the counts in the data
    quality: str = "Quality for each label"
    worst: str = "Worst answers"
    cards: tuple[str, ...] = ()  # metrics that stand beside the main one, the first that were measured

    @property
    def choice(self) -> bool:
        """Whether exactly one label is right for each row."""
        return self.name in ("classification", "sentiment")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("classification", worst="Confident mistakes"),
        Kind(
            "sentiment",
            label="mood",
            learns="learns to tell the mood from \u201c{}\u201d",
            labels="Moods",
            quality="Quality for each mood",
            worst="Confident mistakes",
        ),
        Kind(
            "multilabel",
            learns="learns to name all labels of \u201c{}\u201d",
            cards=("subset_accuracy", "f1_micro", "hamming_loss"),
        ),
        Kind(
            "entities",
            row="text",
            label="type",
            unit="entity",
            learns="learns to mark the entities of \u201c{}\u201d",
            labels="Entities by type",
            quality="Quality for each type of entity",
            cards=("overall_precision", "overall_recall"),
        ),
        Kind(
            "tags",
            row="text",
            label="tag",
            unit="word",
            learns="learns to give each word its tag of \u201c{}\u201d",
            labels="Words by tag",
            quality="Quality for each tag",
            cards=("f1_macro",),
        ),
        Kind(
            "qa",
            row="question",
            learns="learns to find the answer, as in \u201c{}\u201d",
            labels="Questions",
            quality="Questions with and without an answer",
            cards=("exact_match",),
        ),
        Kind(
            "regression",
            learns="learns to estimate the number \u201c{}\u201d",
            labels="Numbers",
            quality="True and predicted numbers",
            cards=("mae", "rmse", "r2", "pearson"),
        ),
        Kind(
            "similarity",
            row="pair",
            learns="learns which texts are near to each other, as in \u201c{}\u201d",
            labels="Pairs",
            quality="True scores and predicted nearness",
            cards=("pearson",),
        ),
        Kind(
            "retrieval",
            row="pair",
            learns="learns which texts belong together",
            labels="Pairs",
            quality="How soon the right partner comes",
            cards=("recall@1", "recall@10"),
        ),
    )
}
# a metric that only one kind has, for folders that do not say what the task was
TELLING = {
    "overall_f1": "entities",
    "overall_accuracy": "tags",
    "exact_match": "qa",
    "subset_accuracy": "multilabel",
    "mrr": "retrieval",
    "mae": "regression",
    "spearmanr": "similarity",
}


def kind_of(folder: Folder) -> Kind:
    """The kind of a run."""
    task = task_of(folder)
    measured = {**(folder.metrics.get("valid") or {}), **(folder.metrics.get("test") or {})}
    if task == "tagging":
        return KINDS["entities" if _marks_entities(folder, measured) else "tags"]
    if task == "similarity":
        only_pairs = "mrr" in measured or folder.run.get("main_metric") == "mrr"
        return KINDS["retrieval" if only_pairs else "similarity"]
    told = next((kind for metric, kind in TELLING.items() if metric in measured), "classification")
    return KINDS.get(task, KINDS[told])


def task_of(folder: Folder) -> str:
    """The name of the task as the recipe says it, else as the columns told it; empty where neither is known."""
    asked = folder.knob("task", "name")
    told = (folder.data.get("roles") or {}).get("task")
    return str((asked if asked not in (None, "auto") else told) or "")


def _marks_entities(folder: Folder, measured: dict[str, object]) -> bool:
    labels = folder.details.get("labels") or []
    begins = any(str(label).startswith(("B-", "I-")) for label in labels)
    return begins or "overall_f1" in measured or not (labels or measured)
