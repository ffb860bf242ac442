"""Shell completion: the script for bash in a real bash, the answers for zsh and fish, and no torch for any of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_tools import SOURCE, run

BASH = shutil.which("bash")


@pytest.fixture
def kinema(tmp_path: Path) -> Path:
    """`kinema` as a command of this checkout, which fails where torch is imported."""
    command = tmp_path / "bin" / "kinema"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {SOURCE!r})\nsys.modules['torch'] = None\n"
        "from kinema.cli.main import main\nmain()\n"
    )
    command.chmod(0o755)
    return command


LINES = {
    "kinema gener": ["generate"],
    "kinema generate x --profi": ["--profile"],
    "kinema generate x --model kinema-mini-w": ["kinema-mini-wan"],
    "kinema generate x --style mini-zoom": ["mini-zoom-in", "mini-zoom-out"],
}


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_bash_completes(kinema: Path, tmp_path: Path) -> None:
    script = 'eval "$(kinema completion bash)"\ncomplete -p kinema >/dev/null || exit 9\n'
    for line in LINES:
        words = line.split()
        script += (
            f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _kinema_completion kinema\n"
            'echo "${COMPREPLY[@]}"\n'
        )
    path = f"{kinema.parent}{os.pathsep}{os.environ['PATH']}"
    assert BASH is not None
    done = subprocess.run(
        [BASH, "--norc", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == list(LINES.values())


@pytest.mark.parametrize(
    ("shell", "setting", "mark"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "kinema generate x --model kinema-mini-w"}, "#compdef kinema"),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "kinema generate x --model kinema-mini-w",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "complete --command kinema",
        ),
    ],
)
def test_zsh_and_fish_are_answered(
    kinema: Path, tmp_path: Path, shell: str, setting: dict[str, str], mark: str
) -> None:
    """The scripts' own syntax is not run: neither shell is on the machines where the tests run."""
    assert mark in run("completion", shell).stdout
    done = subprocess.run(
        [str(kinema)], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "_KINEMA_COMPLETE": f"complete_{shell}", **setting},
    )  # fmt: skip
    assert "kinema-mini-wan" in done.stdout, done.stderr


def test_a_broken_list_of_models_garbles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from kinema.cli import completion
    from kinema.weights import store

    def fail() -> None:
        raise ValueError("damaged")

    monkeypatch.setattr(store, "known_cards", fail)
    assert completion.models("kin") == []


def test_an_unknown_shell() -> None:
    result = run("completion", "tcsh")
    assert result.exit_code == 2
    assert "bash" in result.stderr
