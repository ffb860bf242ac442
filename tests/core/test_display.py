"""The progress display: one live line, or a few plain ones."""

from __future__ import annotations

import io
import sys
import time

import pytest

from kinema.core import display
from kinema.core.display import Display, Line, Lines, duration, python_display
from kinema.core.events import Event, Note, Part, Progress, planned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(display, "_python", True)


def work(windows: int = 3, steps: int = 4) -> list[Event]:
    parts = [Part("load", 4.0)]
    events: list[Event] = [Event("load")]
    for number in range(windows):
        parts += [Part("encode", 0.1), Part("sample", 1.0, number), Part("decode", 0.2, number)]
        events += [Event("encode")]
        events += [Progress("sample", step + 1, steps, span=number) for step in range(steps)]
        events += [Progress("decode", 8, 8, span=number), Progress("write", 8)]
    return [planned(*parts), *events]


def test_lines_are_few_and_tell_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Lines, "QUIET_S", 0.0)
    with Lines(said.append) as on_event:
        for event in work(windows=93):
            on_event(event)
    assert said[0] == "loading the model (stage 1 of 4), 2 min left"
    assert [line.split(" (")[0].split(": ")[-1] for line in said[1:4]] == [
        "encoding", "sampling 1/4 steps", "decoding 8/8 frames",
    ]  # fmt: skip
    assert len(said) < 20, "not a line for each of 93 windows"
    percents = [int(line.split(" %")[0]) for line in said if " %: " in line]
    assert percents == sorted(percents) and percents[-1] > 85
    assert not any(", ," in line for line in said), "nothing is left empty"


def test_a_short_wait_between_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with Lines(said.append) as on_event:
        for event in work(windows=50):
            on_event(event)
    assert len(said) == 4, "the work took milliseconds: each kind once"


def test_notes_are_told_harmlessly() -> None:
    said: list[str] = []
    with Lines(said.append) as on_event:
        on_event(Note("encode", "the prompt is\x1b[2J long"))
    assert said == ["the prompt is\\x1b[2J long"]


@pytest.mark.parametrize("columns", [79, 50, 30])
def test_the_line_fits_and_needs_no_escapes(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "EVERY_S", 0.005)
    monkeypatch.setenv("COLUMNS", str(columns + 1))
    stream = Terminal()
    with Line(stream) as on_event:
        for event in work():
            on_event(event)
            time.sleep(0.01)
            assert len(on_event.text(columns)) <= columns
    shown = stream.getvalue()
    assert "\x1b" not in shown and "\n" not in shown
    seen = [each.strip() for each in shown.split("\r")]
    assert any("sampling" in each for each in seen)
    assert all(len(each) <= columns for each in seen)
    assert seen[-1] == "" and shown.endswith("\r"), "nothing stays"


def test_the_line_moves_while_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "EVERY_S", 0.01)
    stream = Terminal()
    with Line(stream) as on_event:
        on_event(planned(Part("load", 0.5)))
        on_event(Event("load"))
        time.sleep(0.3)
    percents = {each.split("]")[1].split("%")[0].strip() for each in stream.getvalue().split("\r") if "]" in each}
    assert len(percents) > 3


def test_work_that_is_over_at_once_is_not_shown() -> None:
    stream = Terminal()
    with Line(stream, delay_s=5) as on_event:
        for event in work():
            on_event(event)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("progress", "tty", "environment", "kind"),
    [
        (None, True, {}, Line), (None, False, {}, Display), (True, False, {}, Lines), (False, True, {}, Display),
        (None, True, {"TERM": "dumb"}, Display), (True, True, {"TERM": "dumb"}, Lines),
        (True, True, {"NO_COLOR": "1"}, Lines), (True, True, {"NO_COLOR": ""}, Line),
    ],
)  # fmt: skip
def test_what_python_shows(progress, tty, environment, kind, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if tty else io.StringIO())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert type(python_display(progress)) is kind


def test_work_within_work_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with python_display(None) as outer:
        assert type(outer) is Line and type(python_display(None)) is Display
    assert type(python_display(None)) is Line
    display.command()
    assert type(python_display(True)) is Display, "a command shows it itself"


def test_durations() -> None:
    assert [duration(each) for each in (0.2, 12.4, 200, 9000)] == ["1 s", "12 s", "3 min", "2.5 h"]
