"""On a terminal, notes and sentences break between words at its width; in a pipe each stays on its line."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_tools import SOURCE
from hypothesis import given
from hypothesis import strategies as st

from kinema.cli.say import cells, wrapped

PLAN = ("plan", "a zebra and a giraffe beside a red ball on a lake", "--anyway", "--steps", "60", "--size", "96x96")


def on_terminal(*arguments: str, columns: int = 80, **settings: str) -> str:
    """What a command writes on a terminal of so many columns, both of its streams."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment = {**plain, "PYTHONPATH": SOURCE, "TERM": "xterm", **settings}
    with subprocess.Popen(
        [sys.executable, "-m", "kinema", *arguments], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL,
        env=environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        process.wait(timeout=60)
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


def test_notes_of_a_plan_at_80_columns() -> None:
    shown = on_terminal(*PLAN)
    lines = shown.splitlines()
    assert max(map(cells, lines)) <= 80, shown
    below = [after for line, after in itertools.pairwise(lines) if line.startswith("Note: ") and after.startswith(" ")]
    assert below and all(line[:6] == " " * 6 and line[6] != " " for line in below), "what goes on is aligned"
    words = re.findall(r"\w+", shown)
    piped = subprocess.run(
        [sys.executable, "-m", "kinema", *PLAN], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": SOURCE, "COLUMNS": "80"},
    ).stdout  # fmt: skip
    notes = [line for line in piped.splitlines() if re.match(r"(Note|Outside|Changed): ", line)]
    assert notes and max(map(len, notes)) > 80, "in a pipe a sentence is a line"
    for line in notes:
        told = re.findall(r"\w+", line)
        assert any(words[at : at + len(told)] == told for at in range(len(words))), "no word is broken"


def test_json_and_errors() -> None:
    shown = on_terminal(*PLAN, "--json", columns=40)
    assert len(shown.strip().splitlines()) == 1 and json.loads(shown)["notes"]
    refused = on_terminal("plan", "x", "--size", "65x64", columns=60)
    assert len(refused.strip().splitlines()) > 1 and max(map(len, refused.splitlines())) <= 60


@pytest.mark.parametrize(
    ("line", "columns", "found"),
    [
        ("short", 20, "short"),
        ("Note: one two three four five", 16, "Note: one two\n      three four\n      five"),
        ("ball.mp4  (64x64, 17 frames) in 3 s", 24, "ball.mp4  (64x64, 17\n          frames) in 3 s"),
        ("    indented words go on", 16, "    indented\n      words go\n      on"),
        ("see /a/very/long/path/that/stays/whole.mp4 there", 20,
         "see\n  /a/very/long/path/that/stays/whole.mp4\n  there"),
        ("\u7403\u7403 \u7403\u7403 \u7403\u7403", 10, "\u7403\u7403 \u7403\u7403\n  \u7403\u7403"),
    ],
)  # fmt: skip
def test_lines(line: str, columns: int, found: str) -> None:
    assert wrapped(line, columns) == found


@given(st.text(st.sampled_from("abc \u7403:,."), max_size=200), st.integers(10, 90))
def test_no_word_is_lost_or_broken(line: str, columns: int) -> None:
    found = wrapped(line, columns)
    assert found.split() == line.split()
    longest = max((cells(word) for word in line.split()), default=0)
    if cells(line) > columns and longest <= columns // 2 - 2:
        assert max(map(cells, found.rstrip().split("\n"))) <= columns


def test_a_path_with_its_width() -> None:
    assert Path(__file__).name in wrapped(str(Path(__file__)), 10)
