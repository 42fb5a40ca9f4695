"""Which files of a folder are its splits."""

from __future__ import annotations

import gzip
import lzma
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from attune.data import linefiles
from attune.data.formats import FOREIGN, KINDS, READABLE, told
from attune.data.problems import some
from attune.data.splitnames import PACKING, SPLITS, split_of
from attune.errors import DataError, Problem, nearest

NAMES = ("labels", "classes", "mapping", "label_names", "class_names")  # of lists of the names of labels
MOST_NAMES = 2000
NUMBERED = re.compile(r"(\d+)\s*[\t,:;=]\s*(\S.*)")  # a line of such a list with the number of the label
SAMPLE = 1 << 16  # bytes from which a file of unknown suffix is recognised


def kind_of(path: Path) -> tuple[str, str]:
    """(`.csv`, `.gz`): the suffix that says what a file is, and the one that says how it is packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packing = suffixes.pop() if suffixes and suffixes[-1][1:] in PACKING else ""
    return (suffixes[-1] if suffixes else ""), packing


def readable(path: Path) -> bool:
    """True for a file of a known kind, and for one whose name is a split's and whose lines are known."""
    return path.is_file() and (kind_of(path)[0] in READABLE or _odd(path))


def absent(path: Path) -> Problem:
    """Says that a file is not there, with the nearest name that is."""
    if path.is_dir():
        return Problem(str(path), "a folder, where a file was expected", fix="Name a file in it.")
    if not path.parent.is_dir():
        return Problem(str(path), "no such file", fix=f"There is no folder {path.parent} either.")
    names = sorted(other.name for other in path.parent.iterdir())
    known = [name for name in names if kind_of(Path(name))[0] in READABLE]
    # a like suffix makes no like name
    alike = [name for name in names if nearest(_bare(path.name), [_bare(name)])]
    hint = nearest(path.name, alike) or (f"Files there: {some(known)}." if known else "")
    return Problem(str(path), "no such file", fix=hint or f"The folder {path.parent} holds no readable file.")


def _bare(name: str) -> str:
    """A file's name before its first suffix."""
    return name.lstrip(".").partition(".")[0]


def splits(folder: Path) -> dict[str, Path]:
    """The file of each split; of files that hold texts and labels line by line that of the texts.

    A split is told from the names of files, then from those of folders in it; a file that is the only one is
    train.

    Raises:
        DataError: where several files could be one split, or none is train.
    """
    groups = linefiles.groups(folder)
    if groups:
        found = {split: _first(group) for split, group in groups.items()}
        alone = {"train": found.pop("")} if "" in found else {}
        return _with_train(folder, alone | found)
    files = _by_name(folder)
    inside = sorted(each for each in folder.iterdir() if each.is_dir() and each.name.lower() in SPLITS)
    if not files and inside:
        return _with_train(folder, {SPLITS[each.name.lower()]: _only(each) for each in inside})
    return _with_train(folder, files)


def names_beside(path: Path) -> tuple[str, ...]:
    """The names of numbered labels in a list beside the file, as `labels.txt`; () where there is none."""
    for name in NAMES:
        listed = path.parent / f"{name}.txt"
        if listed.is_file() and listed != path:
            try:
                lines = listed.read_text(encoding="utf-8-sig").split("\n")
            except (OSError, UnicodeDecodeError):
                continue
            held = [line.strip() for line in lines if line.strip()]
            held = _by_number(held)
            if 1 < len(held) <= MOST_NAMES and len(set(held)) == len(held):
                return tuple(held)
    return ()


def _by_number(lines: list[str]) -> list[str]:
    """The names of a list whose lines begin with their numbers, in any order; the lines themselves where none do.

    Counted from 1 there is an empty name first; a list of which only some lines have a number names nothing.
    """
    found = [NUMBERED.fullmatch(line) for line in lines]
    if not any(found):
        return lines
    named = {int(each[1]): each[2] for each in found if each}
    first = min(named)
    if len(named) < len(lines) or first > 1 or max(named) - first + 1 > len(named):
        return [] if "\t" in "".join(lines) else lines
    return [""] * first + [named[number] for number in sorted(named)]


def _odd(path: Path) -> bool:
    """True for a split in a name whose suffix nobody knows, if its lines say what they are: `x.test.annotated`."""
    if not split_of(path.name) or kind_of(path)[0] in FOREIGN:
        return False
    packing = kind_of(path)[1]
    try:
        with path.open("rb") as raw:
            file = {".gz": gzip.GzipFile, ".xz": lzma.LZMAFile}[packing](raw) if packing else raw
            text = file.read(SAMPLE).decode("utf-8", "ignore")
    except (OSError, EOFError, lzma.LZMAError):
        return False
    return "\0" not in text and told(text[: text.rfind("\n") + 1])


def _first(group: linefiles.Group) -> Path:
    return next(iter(group.values()))


def _by_name(folder: Path) -> dict[str, Path]:
    """The files of a folder by the split that each is named after; the only one of a split is taken."""
    held = [file for file in sorted(folder.iterdir()) if readable(file)]
    files: dict[str, list[Path]] = defaultdict(list)
    for file in held:
        files[split_of(file.name)].append(file)
    others = [file for file in files.pop("", []) if file.stem.split(".")[0].lower() not in NAMES]
    if len(held) == 1 or (not files and len(others) == 1):
        return {"train": (others or held)[0]}
    problems, found = [], {}
    for split, candidates in files.items():
        exact = [file for file in candidates if file.name.split(".")[0].lower() in SPLITS]
        best = exact if len(exact) == 1 else candidates
        if len(best) > 1:
            problems.append(_several(folder, split, candidates))
        found[split] = best[0]
    if problems:
        raise DataError(*problems)
    return found


def _several(folder: Path, split: str, files: Sequence[Path]) -> Problem:
    flag = str(files[0]) if split == "train" else f"TRAIN_FILE --{split} {files[0]}"
    fix = f"Leave one file for each split, or name them: TRAIN_FILE --valid FILE --test FILE (say, {flag})"
    return Problem(str(folder), f"several files for {split}", some([file.name for file in files]), fix)


def _only(folder: Path) -> Path:
    """The file of a folder that is one split."""
    groups = linefiles.groups(folder)
    if len(groups) == 1:
        return _first(next(iter(groups.values())))
    held = [file for file in sorted(folder.iterdir()) if readable(file)]
    if len(held) != 1:
        here = some([file.name for file in held]) or "nothing"
        fix = "Leave one file in it, or name the files: TRAIN_FILE --valid FILE --test FILE"
        raise DataError(Problem(str(folder), "one readable file was expected", here, fix))
    return held[0]


def _with_train(folder: Path, files: dict[str, Path]) -> dict[str, Path]:
    """The files, if one of them is to be learned from."""
    if "train" in files:
        return files
    here = some([file.name for file in sorted(folder.iterdir())]) or "nothing"
    fix = f"Name a file, or call the files train.csv, valid.csv, test.csv. {KINDS}"
    raise DataError(Problem(str(folder), "the folder has no train file that can be read", here, fix))
