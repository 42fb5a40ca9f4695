"""What makes the targets of train impossible to learn or to score, task by task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from attune.data import classes
from attune.data.columns import Roles
from attune.data.findings import listed_places
from attune.data.problems import count, listed, some
from attune.data.table import Table
from attune.errors import Problem, nearest


def problems(tables: dict[str, Table], roles: Roles, *, split: bool) -> list[Problem]:
    """What stops the training on these canonical rows; `split` says whether train will be split."""
    empty = [
        Problem(t.path, f"{name} has no usable row", fix="Add rows.") for name, t in tables.items() if not t
    ]
    train = tables["train"]
    if not train:
        return empty
    if roles.task == "classification":
        return empty + _classes(tables, roles, split=split)
    one = {"multilabel": _no_labels, "tagging": _one_tag, "qa": _no_answers}.get(roles.task, _one_number)
    return empty + one(train, roles)


def _classes(tables: dict[str, Table], roles: Roles, *, split: bool) -> list[Problem]:
    """One class, labels of a single row that would have to be split, labels that train does not have."""
    train = tables["train"]
    names = [name for (name,) in classes.shown(train, roles.task)]
    counts = Counter(names)
    found: list[Problem] = []
    if len(counts) == 1:
        what = f"one class only in {roles.label!r}: {some(list(counts))}"
        fix = "Add rows of another class, or name another column: --label COLUMN"
        found.append(Problem(train.path, what, fix=fix))
    elif split:
        found += _single(train, names, counts)
    for name in ("valid", "test"):
        if name in tables:
            shown = classes.shown(tables[name], roles.task)
            found += _unseen(tables[name], [label for (label,) in shown], counts)
    return found


MANY = 20  # rows, of which most have a label of their own: that is no label


def _single(train: Table, names: list[str], counts: Counter[str]) -> list[Problem]:
    """The labels of one row, of which a split leaves nothing to score or nothing to learn."""
    fix = "Add rows, merge it with another label, or leave such labels out: data.rare_labels=drop"
    what = "the label {!r} has this row only, which cannot be split"
    rows = [row for row, name in enumerate(names) if counts[name] == 1]
    if len(names) >= MANY and 2 * len(rows) > len(names):
        found = f"{len(rows):,} of {len(names):,} rows have a label of their own"
        fix = "Name the column that is a label: --label COLUMN; or merge labels"
        if len(counts) - len(rows) > 1:
            fix += ", or leave such rows out: data.rare_labels=drop"
        return [Problem(train.path, "the label hardly repeats, as a text would", found, fix)]
    return list(listed([Problem(train.place(row), what.format(names[row]), fix=fix) for row in rows]))


def _unseen(table: Table, names: list[str], known: Iterable[str]) -> list[Problem]:
    """The labels that train does not have."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        if name not in known:
            rows_of[name].append(row)
    found = []
    for name, rows in sorted(rows_of.items()):
        places = f"{count(len(rows), 'row')}: {listed_places(table, rows)}"
        fix = nearest(name, known) or "Add rows of it to train, or delete these."
        found.append(Problem(table.path, f"the label {name!r} does not occur in train", places, fix))
    return list(listed(found))


def _no_labels(train: Table, roles: Roles) -> list[Problem]:
    """Rows of several labels each, none of which has one."""
    if any(train.column("label")):
        return []
    fix = "Label some rows, or name another column: --label COLUMN"
    return [Problem(train.path, f"no row has any label in {some(roles.labels)}", fix=fix)]


def _one_tag(train: Table, roles: Roles) -> list[Problem]:
    """Words that all have the same tag, as where nobody marked an entity."""
    tags = {tag for cell in train.column("label") for tag in cell}
    if len(tags) > 1:
        return []
    fix = "Give tagged rows, or name the column of the tags: --label COLUMN"
    return [
        Problem(train.path, f"every word of train has the same tag in {roles.label!r}", some(list(tags)), fix)
    ]


def _no_answers(train: Table, roles: Roles) -> list[Problem]:
    """Questions none of which has an answer."""
    if any(train.column("label")):
        return []
    return [Problem(train.path, f"no question has an answer in {roles.label!r}", fix="Add answers.")]


def _one_number(train: Table, roles: Roles) -> list[Problem]:
    """Numbers that are all the same, from which nothing can be learned."""
    values = set(train.column("label")) if "label" in train.columns else set()
    if len(values) != 1 or None in values:
        return []
    fix = "Give rows of other values, or name another column: --label COLUMN"
    return [Problem(train.path, f"one value only in {roles.label!r}: {values.pop():g}", fix=fix)]
