"""Cells that hold more than one value, as files of texts write them: as JSON, as Python or as numpy prints them."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

ENCLOSED = ("[]", "{}")
WORD = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
QUOTED = re.compile(WORD)
# numpy prints no commas: Python would read ['a' 'b'] as the one word 'ab'
WORDS = re.compile(rf"\[\s*{WORD}(?:\s+{WORD})*\s*\]")
NUMBERS = re.compile(r"\[\s*[-+\d.]+(\s+[-+\d.]+)*\s*\]")


def decoded(cell: Any) -> Any:
    """A cell's value, also where it is a list or an object that is written as text; else the cell itself.

    pandas writes the lists of a table as Python prints them: `['in', 'Rome']`, and arrays as `['in' 'Rome']`.
    """
    if not isinstance(cell, str) or cell.strip()[:1] + cell.strip()[-1:] not in ENCLOSED:
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return _printed(cell.strip(), cell)


def _printed(text: str, cell: str) -> Any:
    """A list or an object as Python or numpy print it; the cell where it is none."""
    if NUMBERS.fullmatch(text):
        text = ",".join(text.split())
    elif WORDS.fullmatch(text):
        text = f"[{', '.join(QUOTED.findall(text))}]"
    elif re.search(r"Q\s*Q", QUOTED.sub("Q", text)):
        return cell  # strings side by side, among others with commas
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of signs behind a backslash that mean nothing
            held = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return cell
    return held if isinstance(held, (list, dict)) else cell
