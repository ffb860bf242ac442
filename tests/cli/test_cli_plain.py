"""Output that every terminal can show: 80 columns, no escapes where none are wanted, any locale; and nothing on it
that a library wrote."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_tools import SOURCE, answer, run

from kinema.cli import docs, say
from kinema.core import extras

MAIN = "from kinema.cli.main import main; main()"
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def environment(**more: str) -> dict[str, str]:
    """As a user has it, with no setting that keeps libraries quiet."""
    noisy = ("VERBOSITY", "HF_HUB_DISABLE", "PYTHONWARNINGS", "NO_COLOR", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not any(word in name for word in noisy)}
    return {**kept, "PYTHONPATH": SOURCE, "TERM": "xterm-256color", **more}


def command(*arguments: str | bytes, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], capture_output=True, env=environment(**more), check=False
    )


def on_terminal(*arguments: str, **more: str) -> str:
    """What a command writes on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment(COLUMNS="80", **more),
    ) as process:  # fmt: skip
        os.close(theirs)
        found = b""
        try:
            while part := os.read(ours, 65536):
                found += part
        except OSError:  # Linux says so when the other end is closed
            pass
        process.wait()
    os.close(ours)
    return found.decode()


@pytest.mark.parametrize("arguments", [["models", "list"], ["models", "show", "mini"], ["doctor"], ["plan", "a ball"]])
def test_80_columns(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = [line.rstrip() for line in run(*arguments).stdout.splitlines()]
    assert all(len(line) <= 80 for line in shown if not line.startswith(("Note:", "Changed:")))


def test_the_list_is_readable_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most three lines a model, no word broken; it was a column of words of ten letters."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("models", "list").stdout
    models = answer(run("models", "list", "--json"))
    assert len(shown.splitlines()) < 2 * len(models)
    for each in models:
        assert each["id"] in shown
        assert all(word in shown for word in each["title"].split())
    monkeypatch.setenv("COLUMNS", "160")
    assert "trajectory" in run("models", "list").stdout


def test_names_that_are_too_long_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    from kinema.cli import show

    show.console().print(show.facts([("n" * 100, "word " * 30), ("x", "y")]))


@pytest.mark.parametrize("name", docs.commands())
def test_help_at_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer import rich_utils

    monkeypatch.setattr(rich_utils, "MAX_WIDTH", None)
    monkeypatch.setenv("COLUMNS", "80")
    assert all(len(line) <= 80 for line in run(*name.split()[1:], "--help").stdout.splitlines())


def test_inspect_at_80_columns(made: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(made[0].parent)
    assert all(len(line.rstrip()) <= 80 for line in run("inspect", made[0].name).stdout.splitlines())


@pytest.mark.parametrize(
    "arguments", [["models", "show", "mini"], ["plan", "--help"], ["plan", "x", "--steps", "0"], ["plan", "--typo"]]
)
def test_no_color(arguments: list[str]) -> None:
    assert "\x1b" not in on_terminal(*arguments, NO_COLOR="1")


def test_colours_are_there_otherwise_and_not_on_a_dumb_terminal() -> None:
    assert "\x1b[31m" in on_terminal("plan", "x", "--steps", "0")
    assert "\x1b" not in on_terminal("plan", "x", "--steps", "0", TERM="dumb")


def test_a_locale_without_letters() -> None:
    """Nothing fails; letters that the terminal has not are spelled out, and prompts are what was typed."""
    typed = "a caf\u00e9".encode()
    asked = ["plan", typed, "--set", "unknown_words=keep"]
    shown = command(*asked, **PLAIN)
    assert shown.returncode == 0, shown.stderr
    assert b"caf\\xe9" in shown.stdout and shown.stdout.isascii() and b"Traceback" not in shown.stderr
    told = command(*asked, "--json", **PLAIN)
    assert json.loads(told.stdout)["prompt"] == typed.decode()
    for arguments in (["plan", "--help"], ["inspect", "caf\u00e9.mp4".encode()]):
        shown = command(*arguments, **PLAIN)
        assert (shown.stdout + shown.stderr).isascii() and b"Traceback" not in shown.stderr


def test_typed_words() -> None:
    assert say.typed("plain") == "plain" and say.typed("caf\u00e9") == "caf\u00e9"
    assert say.typed("caf\udcc3\udca9") == "caf\u00e9"
    assert say.typed("\udcff") == "\udcff", "no UTF-8: refused later, by name"


SMALL = ["a red ball", "--seed", "1", "--frames", "5", "--steps", "2", "--size", "32x32"]
SCRIPT = f"""
import sys
import kinema
clip = kinema.generate("a red ball", seed=1, frames=5, steps=2, size="32x32")
clip.save("a.mp4")
kinema.generate("a red ball", seed=1, frames=4, steps=1, model="kinema-mini-zeroscope").frames()
print("made", flush=True)
from kinema.cli.main import main
sys.argv = ["kinema", "generate", *{SMALL}, "-o", "b.mp4", "--json"]
main()
"""


def quiet_process(*arguments: str) -> tuple[str, str]:
    """What Python writes: its standard output, and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, timeout=200, check=False,
        env=environment(OMP_NUM_THREADS="1"),
    )  # fmt: skip
    return done.stdout, done.stderr


def test_no_library_writes_on_the_screen() -> None:
    """Of a script and beside --json nothing is seen at all."""
    script, beside = quiet_process(SCRIPT)
    assert beside == ""
    first, made = script.splitlines()
    assert first == "made" and json.loads(made)["path"] == "b.mp4"


def test_of_a_command_its_own_lines_are_seen() -> None:
    said, lines = quiet_process(MAIN, "generate", *SMALL, "-o", "c.mp4")
    notes = answer(run("plan", *SMALL, "--json"))["notes"]
    own = re.compile(r"(\d+ %: )?(loading the model|reading the inputs|encoding|sampling|decoding) ")
    assert lines and [line for line in lines.splitlines() if not own.match(line)] == notes
    assert said.startswith("c.mp4  (")


def test_doctor_lists_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    real = extras._is_installed
    monkeypatch.setattr(extras, "_is_installed", lambda name: name != "uvicorn" and real(name))
    found = {each["extra"]: each for each in answer(run("doctor", "--json"))["extras"]}
    assert set(found) == set(extras.EXTRAS) and all(each["for"] for each in found.values())
    assert found["channel"]["missing"] == ["uvicorn"] and not found["channel"]["here"]
    monkeypatch.setenv("COLUMNS", "200")
    shown = run("doctor").stdout
    assert found["channel"]["install"] in shown
    for heading in ("Memory", "GB free of", "Disk", "GB free at"):
        assert heading in shown


@pytest.mark.parametrize("place", ["/home/me/my kinema", None])
def test_install_commands_are_for_where_kinema_came_from(place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout is named by its folder; brackets are quoted, as zsh takes bare ones for a pattern."""
    monkeypatch.setattr(extras, "checkout", lambda: place and Path(place))
    words = extras.install_command("lora")
    import shlex

    assert shlex.split(words)[1:4] == ["-m", "pip", "install"]
    assert shlex.split(words)[4:] == (["-e", f"{place}[lora]"] if place else ["kinema[lora]"])
    assert "'" in words.split("install")[1]


def test_extras_are_those_of_the_package() -> None:
    from importlib.metadata import distribution

    assert set(distribution("kinema").metadata.get_all("Provides-Extra") or ()) == set(extras.EXTRAS)
