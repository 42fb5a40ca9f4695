"""What the terminal shows: whole words in narrow windows, one line where nobody looks."""

from __future__ import annotations

import io

from rich.console import Console

from attune.spoken import told
from attune.terminal import Screen

LINE = "  rows      560 / 70 / 70 (train / valid / test), stratified, near-duplicates kept together"


def _screen(terminal, width=48):
    screen = Screen()
    screen.err = Console(
        file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, soft_wrap=True
    )
    return screen


def test_a_narrow_terminal_gets_whole_words_under_each_other():
    screen = _screen(terminal=True)
    screen.fitted(LINE)
    lines = screen.err.file.getvalue().splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 48 for line in lines)
    assert all(line.startswith(" " * 12) for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == " ".join(LINE.split())


def test_a_log_file_gets_one_line_for_one_sentence():
    screen = _screen(terminal=False)
    screen.fitted(LINE)
    assert screen.err.file.getvalue() == f"{LINE}\n"


def test_a_path_that_is_too_long_is_not_cut():
    screen = _screen(terminal=True, width=40)
    path = "/a/" + "long" * 20
    screen.fitted(f"  run       {path}")
    assert path in screen.err.file.getvalue()


def test_a_note_on_a_file_with_a_short_name_stays_a_note():
    assert told("text: 'review' (mean 12 words)") == ("text", "'review' (mean 12 words)")
    assert told("sms.tsv: quotes are part of the text") == ("note", "sms.tsv: quotes are part of the text")
