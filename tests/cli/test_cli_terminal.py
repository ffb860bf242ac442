"""What somebody else wrote cannot write on the terminal, and default names are not shared."""

from __future__ import annotations

import ast
import json
import logging
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_tools import process, run

import kinema.cli
from kinema.cli import exits, names, say, show
from kinema.core.errors import KinemaError

EVIL = "\x1b[2J\x1b]0;title\x07\x9b31m \u202egnp.exe\u2066 \rDone.\nkinema: all is well\x00\x7f"
LEGAL = set(map(chr, range(32, 127))) | set("\n\u2026\u2500")


def harmless(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.startswith("kinema: all is well")]
    return not lines and not any(
        (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char in "\u202e\u2066" for char in text
    )


def test_errors_notes_tables_and_logs_are_made_visible(capsys: pytest.CaptureFixture[str]) -> None:
    @exits.guarded
    def fails(as_json: bool = False) -> None:
        raise KinemaError(EVIL)

    for told in (
        lambda: say.note(EVIL),
        lambda: say.say(EVIL, EVIL),
        lambda: say.answer({}, False, f"a\n{EVIL.splitlines()[0]}"),
        lambda: show.console().print(show.facts([(EVIL, EVIL), ("[red]x[/red]", "[blink]y")])),
    ):
        told()
        found = capsys.readouterr()
        assert (found.out + found.err).strip()
        assert harmless(found.out + found.err), repr(found)
    with pytest.raises(Exception, match=""):
        fails()
    assert harmless(capsys.readouterr().err)
    with pytest.raises(Exception, match=""):
        fails(as_json=True)
    assert json.loads(capsys.readouterr().out)["message"] == EVIL, "JSON stays what it is"


def test_log_lines_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    say.log_to_stderr(logging.WARNING)
    logging.getLogger("a.worker").warning("it says %s", EVIL)
    assert harmless(capsys.readouterr().err)


def test_a_clip_of_a_stranger(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """inspect and rerun of a manifest full of escape sequences."""
    from PIL import Image

    told = json.loads(made[0].with_name("clip.mp4.json").read_text())
    told["plan"] |= {"prompt": EVIL, "negative_prompt": EVIL, "notes": [EVIL], "model": EVIL}
    told |= {"kinema": EVIL, "device": EVIL, "versions": {EVIL: EVIL}, "weights": {EVIL: EVIL}}
    Image.new("RGB", (32, 32)).save("evil.png")
    Path("evil.png.json").write_text(json.dumps(told))
    shown = run("inspect", "evil.png")
    assert shown.exit_code == 0
    assert "title" in shown.output
    assert harmless(shown.output)
    assert harmless(run("rerun", "evil.png").output)
    told |= {"interpolated": {EVIL: EVIL, "clip": EVIL}}
    Path("evil.png.json").write_text(json.dumps(told))
    assert harmless(run("inspect", "evil.png").output)
    assert harmless(run("rerun", "evil.png").output)


def test_models_of_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    listed = [{"id": "a\x1b[2J", "path": "/no\x1b[2Jwhere"}, {"id": 5}]
    (tmp_path / "home" / "models.json").write_text(json.dumps(listed))
    for arguments in (["list"], ["check"], ["show", "a\x1b[2J"]):
        shown = run("models", *arguments).output
        assert "\x1b" not in shown
        assert "no longer exists" in shown


PLAIN = ("json.dumps(", "request.located(", "get_completion_script(")
"""ASCII by itself, or no text of others."""


def test_nothing_else_writes_to_the_terminal() -> None:
    """typer.echo is for JSON; print, secho and sys.stdout are for cli/say.py alone."""
    for path in Path(kinema.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or path.name == "say.py":
                continue
            called = ast.unparse(node.func)
            assert called not in ("print", "typer.secho", "click.echo", "sys.stdout.write", "logging.basicConfig"), path
            if called == "typer.echo":
                assert ast.unparse(node.args[0]).startswith(
                    ("json.dumps(", "request.located(", "get_completion_script(")
                ), f"{path}:{node.lineno}"
            if called == "sys.stderr.write":
                assert "for_terminal(" in ast.unparse(node), f"{path}:{node.lineno}"


CHOOSE = """
import sys, time
from pathlib import Path
from kinema.cli import names
print(names.unused(Path("a.mp4")), flush=True)
sys.stdin.readline()
names.release()
"""


def test_commands_at_once_choose_different_names(tmp_path: Path) -> None:
    both = [process("-c", CHOOSE, cwd=tmp_path, stdin=subprocess.PIPE) for _ in range(4)]
    try:
        assert sorted(one.stdout.readline().strip() for one in both) == ["a-2.mp4", "a-3.mp4", "a-4.mp4", "a.mp4"]
        both[0].send_signal(signal.SIGKILL)
        both[0].wait()
        assert names.unused(Path("b.mp4")) == Path("b.mp4"), "this sweeps"
        assert len(list(tmp_path.glob(".a*.taken"))) == 3
    finally:
        for one in both[1:]:
            one.communicate("\n")
        names.release()
    assert list(tmp_path.iterdir()) == []
    assert names.unused(Path("a.mp4")) == Path("a.mp4")
    names.release()


def test_a_command_that_fails_keeps_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        assert list(Path().glob(".kinema-red-ball-7.mp4.taken"))
        raise KinemaError("no")

    monkeypatch.setattr("kinema.engine.load.load", fail)
    result = run("generate", "a red ball", "--seed", "7")
    assert result.exit_code == 1
    assert not list(Path().glob("*mp4*"))
    assert not list(Path().glob(".*taken"))


def test_names_avoid_strangers_sidecars_and_are_never_too_long() -> None:
    Path("a.mp4.json").write_text("mine")
    assert names.unused(Path("a.mp4")) == Path("a-2.mp4")
    long = names.unused(Path("n" * 300 + ".mp4"))
    assert len(os.fsencode(long.name + ".json")) <= 255
    names.release()


@pytest.mark.parametrize("name", ["n" * 252 + ".mp4", "n" * 300 + ".mp4", "\u00e9" * 130 + ".mp4", "a\0.mp4"])
def test_names_that_no_disk_takes_are_refused_before_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.engine.load.load", lambda *_, **__: pytest.fail("work was begun"))
    for option in ("-o", "--preview"):
        result = run("generate", "x", option, name)
        assert result.exit_code == 2
        assert "the name has" in result.stderr or "must not contain NUL" in result.stderr
    for arguments in (
        ["inspect", name], ["rerun", name], ["models", "show", name], ["models", "add", name],
        ["plan", "x", "-m", name], ["plan", "x", "--image", name], ["plan", "x", "--source", name],
        ["plan", "--request", name + ".json"], ["direct", "x", "--bible", name], ["models", "check", name],
        ["evaluate", name], ["evaluate", "samples", "--against", name], ["evaluate", "--compare", name, name],
        ["evaluate", "miniature", "wan", "-o", name], ["evaluate", "miniature", "wan", "-m", name],
        ["curate", name, "-o", "set"], ["curate", ".", "-o", name], ["curate", "report", name],
        ["curate", "export", name, "-o", "x"], ["train", name],
    ):  # fmt: skip
        assert run(*arguments).exit_code in (1, 2), arguments


def test_outputs_are_never_inputs_or_each_other(made: tuple[Path, dict[str, Any]], picture: Any) -> None:
    first = picture("first.png")
    before = Path(first).read_bytes()
    for more in (
        ["--sheet", first],
        ["-o", "./first.png"],
        ["-o", "a.mp4", "--preview", "a.mp4"],
        ["--preview", first],
    ):
        result = run("generate", "a red ball", "--image", first, *more)
        assert result.exit_code == 2, more
        assert "input" in result.stderr or "itself" in result.stderr
    assert Path(first).read_bytes() == before


def test_notes_of_steps_are_told_in_words() -> None:
    from kinema.cli.clip import probe_rows, step_rows

    rows = step_rows({"from_fps": 8.0, "weights": {"a.safetensors": "0f" * 32, "b": [1.0, 2.5]}, "slow": 1.0})
    assert rows == [("from fps", "8"), ("weights", f"a.safetensors {'0f' * 8}"), ("weights", "b 1, 2.5"), ("slow", "1")]
    info = {"width": 8, "height": 8, "num_frames": 1, "seconds": 0.04, "fps": 24.0, "variable_fps": False,
            "codec": "png", "bit_depth": 8, "has_audio": False, "transfer": "SDR", "primaries": ""}  # fmt: skip
    assert dict(probe_rows(Path("a.png"), info))["length"] == "1 frame"
