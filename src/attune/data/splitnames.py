"""Which split the name of a file, a folder or a split of a data set speaks of."""

from __future__ import annotations

import re
from pathlib import PurePath

SPLITS = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("test", "testing"), "test")
SPLITS |= dict.fromkeys(("valid", "validation", "dev", "devel", "development", "val", "eval"), "valid")
PACKING = ("gz", "xz")


def words(name: str) -> list[str]:
    """The splits that a name has as a word, in order."""
    return [SPLITS[word] for word in re.findall(r"[a-z]+", name.lower()) if word in SPLITS]


def split_of(name: str) -> str:
    """The split of a file's name: its first word that is one, the suffix too; `cola_dev_1.tsv` is valid."""
    return next(iter(words(name)), "")


def shown(path: str) -> str:
    """The name of a file for messages, with its folder where that tells the split: `train/seq.in`."""
    held = PurePath(path)
    return f"{held.parent.name}/{held.name}" if held.parent.name.lower() in SPLITS else held.name
