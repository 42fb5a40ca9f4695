"""The report of a run: one HTML file that needs nothing else, made from the run folder alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from attune import files

HERE = Path(__file__).parent


def write(run: Path) -> Path:
    """Writes `report.html` into the run folder, whole or not at all, and returns its path.

    Raises:
        FileNotFoundError: when `run` is not the folder of a run.
    """
    target = run / "report.html"
    files.write_text(target, page(run))
    return target


def page(run: Path) -> str:
    """The report of a run as HTML."""
    from attune.report.content import content

    text: str = _environment().get_template("page.html.jinja").render(content(run))
    return text.encode("utf-8", "replace").decode("utf-8")  # texts of users may hold half a surrogate pair


@cache
def _environment() -> Any:
    """The templates of this folder, compiled once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = _style()
    return environment


def _style() -> str:
    """The colours and the style sheet, which are markup already."""
    from markupsafe import Markup

    sheets = (HERE.parent / "palette.css", HERE / "style.css")
    return Markup("".join(path.read_text(encoding="utf-8") for path in sheets))
