"""Channels for tests: a small channel file, a producer process, and waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kinema
from kinema.channel.config import ChannelConfig, read

PATIENCE_S = 90.0  # for a machine under load
FILE = """
title = "Test"
theme = "a ball on a meadow"
[bible]
seconds = 1
[director]
shots = 3
[making]
model = "python:fake_maker:{maker}"
tries = 2
pause_s = 0.1
interpolate = "none"
{making}
[picture]
width = 64
height = 64
fps = 8
[stock]
low = 1
enough = {enough}
[disk]
keep_free = 0
{disk}
[music]
beds = 0
[page]
port = 0
[database]
url = "{database}"
{rest}
"""


def channel_file(folder: Path, *, enough: int = 4, making: str = "", disk: str = "", database: str = "sqlite",
                 rest: str = "", maker: str = "FakeMaker") -> Path:  # fmt: skip
    path = folder / "my.toml"
    path.write_text(FILE.format(enough=enough, making=making, disk=disk, database=database, rest=rest, maker=maker))
    return path


def environment(log: Path, **fake: str) -> dict[str, str]:
    source = str(Path(kinema.__file__).parents[1])
    paths = os.pathsep.join([source, str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "FAKE_LOG": str(log), "OMP_NUM_THREADS": "1", **fake}


class Process:
    """A process of the channel; its output goes to a file next to the log."""

    def __init__(self, command: list[str], log: Path, **fake: str) -> None:
        self.out = log.with_suffix(".out")
        self.file = self.out.open("ab")
        self.popen = subprocess.Popen(command, env=environment(log, **fake), stdout=self.file, stderr=self.file)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self.file.close()

    def words(self) -> str:
        return self.out.read_text(errors="replace")[-3000:]


def producer(file: Path, log: Path, **fake: str) -> Process:
    script = str(Path(__file__).with_name("fast_producer.py"))
    return Process([sys.executable, script, str(file)], log, **fake)


def wait_for(what: Callable[[], Any], process: Process | None = None, patience_s: float = PATIENCE_S) -> Any:
    """Wait until a condition is true and return its value. Fail after the timeout, or if the process exits."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if found := what():
            return found
        if process is not None and process.popen.poll() is not None:
            raise AssertionError(f"the process ended ({process.popen.returncode}): {process.words()}")
        time.sleep(0.05)
    raise AssertionError(f"not within {patience_s:g} s; {process.words() if process else ''}")


def lines(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def ended(log: Path) -> Counter[str]:
    """The number of times each shot was generated completely."""
    return Counter(words[1] for words in lines(log) if words[0] == "end")


def config_of(file: Path) -> ChannelConfig:
    return read(file)
