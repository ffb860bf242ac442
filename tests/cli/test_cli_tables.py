"""Tables in a pipe have no blanks at the ends of lines, and a text that the terminal's encoding has not is counted, not
spelled out letter by letter."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from cli_tools import SOURCE, run

from kinema.cli.say import fitting

TABLES = (
    ("plan", "a red ball", "--seed", "1"), ("models", "list"), ("models", "show", "kinema-mini-wan"), ("styles",),
    ("doctor",),
)  # fmt: skip


@pytest.mark.parametrize("command", TABLES, ids=" ".join)
def test_no_blanks_at_the_ends_of_lines(command: tuple[str, ...]) -> None:
    told = run(*command)
    lines = told.stdout.split("\n")
    assert told.exit_code in (0, 1) and len(lines) > 5
    assert [line for line in lines if line != line.rstrip()] == []


def test_of_a_clip(made: tuple[os.PathLike[str], dict]) -> None:
    lines = run("inspect", str(made[0])).stdout.split("\n")
    assert len(lines) > 10 and [line for line in lines if line != line.rstrip()] == []


def test_a_chinese_text_without_its_letters() -> None:
    """The negative prompt of Wan's own, in the C locale without UTF-8 mode."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": SOURCE}
    arguments = ["plan", "a red ball", "--model", "wan2.1-t2v-1.3b"]
    told = subprocess.run(
        [sys.executable, "-m", "kinema", *arguments], env=environment, capture_output=True, check=True, timeout=60
    ).stdout.decode("ascii")
    assert "\\u" not in told
    assert "characters that this terminal's encoding lacks)" in told
    assert "\u8272" in run(*arguments).stdout, "where it has them, they are shown"


def test_names_stay_readable() -> None:
    ascii_only, latin, full = (io.TextIOWrapper(io.BytesIO(), encoding=name) for name in ("ascii", "latin-1", "utf-8"))
    assert fitting("clip-\u00fc.mp4", ascii_only) == "clip-\\xfc.mp4"
    assert fitting("clip-\u00fc.mp4", latin) == "clip-\u00fc.mp4"
    text = "\u7ea2\u8272\u7684\u7403 x " * 9
    assert fitting(text, full) == text
    assert fitting(f"a: {text}", latin).startswith("a: (") and "\\u" not in fitting(text, latin)
    assert fitting("\u00fc" * 50, latin) == "\u00fc" * 50
