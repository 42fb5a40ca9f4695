"""What a user did wrong, said once and rendered alike by the terminal, Python and the report.

AttuneError                      exit code
├── RecipeError                  2   an option, a recipe, a name that does not exist
├── MachineError                 3   a missing package, no disk, no permission
├── DataError                    4   the rows, the columns, the files
├── TrainingError                5   a loss that is not finite, a run that cannot go on
└── QualityError                 6   finished, but below the quality that was asked for

An exception that is none of these is a bug of ours and ends with exit code 1.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


def command(words: str = "") -> str:
    """`attune WORDS` as it is to be typed here: the launcher of a checkout says how it was called."""
    return f"{os.environ.get('ATTUNE_CALLED', 'attune')} {words}".strip()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands, what is wrong, what was found, how to mend it."""

    where: str
    what: str
    found: str = ""
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.found:
            line += f"; found {self.found}"
        return f"{line}\n    {self.fix}" if self.fix else line

    def as_dict(self) -> dict[str, str]:
        """The problem as JSON, for machines."""
        return {"where": self.where, "what": self.what, "found": self.found, "fix": self.fix}


class AttuneError(Exception):
    """All the problems that stop a command, together."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: Problem) -> None:
        assert problems, "an AttuneError needs at least one Problem"
        self.problems = problems
        super().__init__(str(self))

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = [f"{len(self.problems)} problems"]
        lines += ["  " + str(problem).replace("\n", "\n  ") for problem in self.problems]
        return "\n".join(lines)


class RecipeError(AttuneError):
    """An option, a recipe or a name that cannot be used."""

    exit_code = 2


class MachineError(AttuneError):
    """Something this machine lacks: a package, disk space, a permission."""

    exit_code = 3


class DataError(AttuneError):
    """Files, columns or rows that cannot be learned from."""

    exit_code = 4


class TrainingError(AttuneError):
    """A run that had to stop; what was saved before is whole."""

    exit_code = 5


class QualityError(AttuneError):
    """A run that finished below the quality it was asked for."""

    exit_code = 6


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'x'?` for the known name nearest to `name`, or an empty string."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not found:
        lowered = {known_name.lower(): known_name for known_name in names}
        found = [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=1)]
    return f"Did you mean '{found[0]}'?" if found else ""
