"""Every program in examples/ runs unchanged: in this process, and with `make test-all` in a separate one."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
EXPENSIVE = {"image_to_video", "camera_move", "picture_to_clip"}
"""Three, two and three clips of slow miniatures; test_cli_animate.py, test_svd.py, test_styles.py and
test_mini_easyanimate.py test the same with fewer steps or smaller networks."""
CHEAP = {"refusals"}
"""Also run in a separate process by default: it loads no weights."""


def in_process(path: Path, folder: Path, monkeypatch, capsys) -> str:
    monkeypatch.chdir(folder)
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


def in_subprocess(path: Path, folder: Path, *_) -> str:
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
    slow = path.stem in EXPENSIVE or (how is in_subprocess and path.stem not in CHEAP)
    return pytest.param(how, path, id=f"{path.stem}-{how.__name__}", marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(("how", "path"), [case(how, path) for path in EXAMPLES for how in (in_process, in_subprocess)])
def test_it_runs(how, path, tmp_path, mini_path, monkeypatch, capsys):
    output = how(path, tmp_path, monkeypatch, capsys)
    assert output.strip()
    for line in output.splitlines():
        if line.endswith((".mp4", ".gif")):
            assert (tmp_path / line).stat().st_size > 1000
