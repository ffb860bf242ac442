"""A real `kinema serve` in a process of its own, for tests with a browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

START_S = 60


class Served:
    """A server process with one worker, in a folder of its own. more: further arguments."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.more, self.port = folder, more, 0
        self.start()

    def start(self) -> None:
        """Start it, again on the same port."""
        self.log = self.folder / "log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinema", "serve", "--port", str(self.port), *self.more],
            stdout=self.log.open("wb"), stderr=subprocess.STDOUT,
            env={**os.environ, "KINEMA_HOME": str(self.folder / "home")}, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + START_S
        while "http://" not in (said := self.log.read_text("utf-8")):
            assert self.process.poll() is None and time.monotonic() < end, said
            time.sleep(0.05)
        self.url = said[said.index("http://") :].split()[0]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def worker(self) -> int:
        """The process id of the worker."""
        found = [each for each in psutil.Process(self.process.pid).children(recursive=True)
                 if "kinema.jobs.worker" in each.cmdline()]  # fmt: skip
        assert len(found) == 1
        return found[0].pid

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
