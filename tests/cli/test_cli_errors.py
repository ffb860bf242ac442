"""Exit codes and messages: what a person, and a machine, is told when something is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli_tools import answer, process, run


def test_help_of_everything() -> None:
    for words in (
        [],
        ["generate"],
        ["plan"],
        ["models"],
        ["models", "list"],
        ["toyland", "render"],
        ["doctor"],
    ):
        result = run(*words, "--help")
        assert result.exit_code == 0
        assert "Usage: kinema" in result.output


def test_version() -> None:
    import kinema

    assert run("--version").output == f"kinema {kinema.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["plan", "x", "--size", "65x64"], 2, "Nearest legal value: 64x64"),
        (["plan", "x", "--size", "big"], 2, "WIDTHxHEIGHT"),
        (["plan", "x", "--frames", "18"], 2, "Nearest legal value: 17"),
        (["plan", "x", "--frames", "17", "--seconds", "2"], 2, "not both"),
        (["plan", "x", "--steps", "0"], 2, "steps"),
        (["plan", "x", "--fps", "nan"], 2, "fps"),
        (["plan", "x", "--set", "shift"], 2, "KEY=VALUE"),
        (["plan", "x", "--set", "shift=-1"], 2, "Nearest legal value: 0.1"),
        (["plan", "x", "--set", "nonsense=1"], 2, "has no option 'nonsense'"),
        (["plan", "x", "--mask", "0.5,0,0.2,1"], 2, "x0 < x1"),
        (["plan", "x", "--mask", "0,0,1"], 2, "mask"),
        (["plan", "x", "--mask", "0,0,.5,.5"], 2, "source"),
        (["plan", "x", "--request", "none.json"], 2, "none.json"),
        (["plan"], 2, "A prompt is required"),
        (["plan", "x", "--nope"], 2, "No such option"),
        (["nope"], 2, "No such command"),
        (["plan", "x", "--model", "nope"], 2, "No model 'nope'"),
        (["plan", "x", "--image", "missing.png"], 2, "missing.png: no such file"),
        (["plan", "x", "--trajectory", "missing.txt"], 2, "missing.txt"),
        (["inspect", "missing.mp4"], 2, "missing.mp4"),
        (["rerun", "missing.mp4"], 2, "missing.mp4"),
        (["models", "show", "nope"], 2, "No model 'nope'"),
        (["models", "add", "missing"], 2, "no such folder"),
        (["models", "check", "wan2.1-t2v-1.3b"], 1, "kinema models pull"),
        (["generate", "x", "--resume", "missing.state"], 2, "missing.state"),
        (["generate", "--resume", "missing.state"], 2, "missing.state"),
        (["generate", "x", "--keep-every", "2"], 2, "--keep-state"),
        (["generate", "x", "--model", "wan2.1-t2v-1.3b"], 1, "kinema models pull"),
        (["toyland", "render", "-o", "here", "--num", "0"], 2, "num"),
        (["toyland", "render", "-o", "no/here"], 2, "does not exist"),
    ],
)
def test_exit_code_and_message(arguments: list[str], code: int, told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["plan", "generate"])
def test_the_name_of_a_file_is_not_a_prompt(tmp_path: Path, monkeypatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "a.txt", "a.mp4"):
        Path(name).write_text("{}")
    for prompt, legal in (
        ("a.json", "--request a.json"), ("a.txt", "--prompts a.txt"), ("a.mp4", "--source a.mp4"), ("-", "--request -"),
    ):  # fmt: skip
        result = run(command, prompt)
        assert result.exit_code == 2 and legal in result.stderr, result.output
    assert run("plan", "a red ball.json").exit_code == 0, "no such file"


def test_error_as_json() -> None:
    result = run("plan", "x", "--size", "65x64", "--json")
    assert result.exit_code == 2
    found = answer(result)
    assert found["error"] == "RequestError"
    assert (found["field"], found["value"], found["nearest"]) == ("size", "65x64", "64x64")
    assert result.stderr == ""
    assert answer(run("plan", "x", "--model", "nope", "--json"))["error"] == "ModelError"
    assert answer(run("inspect", "no.mp4", "--json"))["error"] == "MediaError"


def test_misspelt_option_as_json(tmp_path: Path) -> None:
    with process("-m", "kinema", "plan", "x", "--nope", "--json", cwd=tmp_path) as command:
        out, _ = command.communicate(timeout=60)
    assert command.returncode == 2
    assert json.loads(out)["error"] == "UsageError"


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        ("clip.avi", 2, "clip.mp4"),
        ("no/clip.mp4", 2, "does not exist"),
        ("/proc/clip.mp4", 2, "cannot be written"),
        ("taken.mp4", 2, "is a folder"),
        ("taken.mp4/", 2, "not a folder of frames that Kinema wrote"),
    ],
)
def test_output_is_refused_before_work(target: str, code: int, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if target.startswith("/proc") and sys.platform != "linux":
        pytest.skip("there is no /proc here")
    import kinema.engine.load

    Path("taken.mp4").mkdir()
    Path("taken.mp4/letter.txt").write_text("hello")
    monkeypatch.setattr(kinema.engine.load, "load", lambda *_, **__: pytest.fail("work was begun"))
    result = run("generate", "x", "-o", target)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert [path.name for path in Path().iterdir()] == ["taken.mp4"]


@pytest.mark.parametrize(("sheet", "told"), [("sheet.mp4", "sheet.png"), ("no/sheet.png", "does not exist")])
def test_sheet_is_refused_before_work(sheet: str, told: str) -> None:
    result = run("generate", "x", "-o", "x.mp4", "--sheet", sheet)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    with process("-m", "kinema", "models", "list", "--json", cwd=tmp_path) as command:
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        told = command.stderr.read()
        command.wait(timeout=60)
    assert "Traceback" not in told


def test_module_runs_as_a_program(tmp_path: Path) -> None:
    with process("-m", "kinema", "--version", cwd=tmp_path) as command:
        out, told = command.communicate(timeout=60)
    assert (command.returncode, told) == (0, "")
    assert out.startswith("kinema ")
