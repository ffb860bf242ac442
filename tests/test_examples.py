"""Every program in examples/ runs as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, mini_path):
    source = str(EXAMPLES[0].parents[1] / "src")
    run = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    for line in run.stdout.splitlines():
        if line.endswith((".mp4", ".gif")):
            assert (tmp_path / line).stat().st_size > 1000
