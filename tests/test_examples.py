"""Every program in examples/ runs as it is: in this process, and in `make test-all` in one of its own."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
DEAR = {"a_picture_that_moves", "a_camera_move"}
"""Two and three clips of the dearest miniatures; test_cli_animate.py, test_svd.py and test_styles.py ask the same with
fewer steps, or of smaller networks."""
OF_ITS_OWN = {"refusals"}
"""Run in a process of its own by default, too: it loads no weights."""


def here(path: Path, folder: Path, monkeypatch, capsys) -> str:
    monkeypatch.chdir(folder)
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


def apart(path: Path, folder: Path, *_) -> str:
    run = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(path.parents[1] / "src")},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def case(how, path: Path):
    slow = path.stem in DEAR or (how is apart and path.stem not in OF_ITS_OWN)
    return pytest.param(how, path, id=f"{path.stem}-{how.__name__}", marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(("how", "path"), [case(how, path) for path in EXAMPLES for how in (here, apart)])
def test_it_runs(how, path, tmp_path, mini_path, monkeypatch, capsys):
    told = how(path, tmp_path, monkeypatch, capsys)
    assert told.strip()
    for line in told.splitlines():
        if line.endswith((".mp4", ".gif")):
            assert (tmp_path / line).stat().st_size > 1000
