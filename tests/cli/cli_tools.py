"""Running the command line: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

import kinema
from kinema.cli.main import app

SOURCE = str(Path(kinema.__file__).parents[1])


def run(*arguments: str, text: str | None = None) -> Result:
    """The command in this process. Errors that are not meant for people come through."""
    return CliRunner().invoke(app, list(arguments), input=text, catch_exceptions=False, prog_name="kinema")


def answer(result: Result) -> Any:
    """The JSON that a command printed."""
    return json.loads(result.stdout)


def process(*arguments: str, cwd: Path, **settings: Any) -> subprocess.Popen[str]:
    """Python in a process of its own, with Kinema on its path, and Ctrl-C heard: a test run in the background of a
    shell ignores it, and would hand that down."""
    path = os.pathsep.join(part for part in (SOURCE, os.environ.get("PYTHONPATH", "")) if part)
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **settings,
    )
