"""A child process that is restarted when it exits, after a pause that doubles each time and is reset once the process
has run for a while. Exit code 2 means a permanent failure: the process is not restarted.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .whole import put

CANNOT = 2  # exit code of a permanent failure
FIRST_PAUSE_S, LONGEST_PAUSE_S, LIVED_S = 0.5, 60.0, 60.0
log = logging.getLogger("kinema")


@dataclass
class ChildProcess:
    """A restarted process. stop_s: the time between SIGTERM and SIGKILL. log: the file for its output. environ:
    variables added to those of this process. last_code: the exit code of the last death; -N for signal N."""

    name: str
    command: list[str]
    log: Path
    stop_s: float = 10.0
    environ: dict[str, str] = field(default_factory=dict)
    longest_pause_s: float = LONGEST_PAUSE_S
    deaths: int = 0
    last_code: int = 0
    process: subprocess.Popen[bytes] | None = None
    given_up: bool = False
    _pause_s: float = FIRST_PAUSE_S
    _since: float = 0.0
    _again_at: float = 0.0
    _file: IO[bytes] | None = field(default=None, repr=False)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def look(self) -> None:
        """Start the process if it is not running and its pause is over."""
        now = time.monotonic()
        if self.is_alive or self.given_up:
            if self.is_alive and now - self._since > LIVED_S:
                self._pause_s = FIRST_PAUSE_S
            return
        if self.process is not None:
            code, self.process = self.process.returncode, None
            self.deaths, self.last_code = self.deaths + 1, code
            self.given_up = code == CANNOT
            self._again_at = now + self._pause_s
            log.warning(
                "the %s exited (%d)%s", self.name, code, "" if self.given_up else f"; restart in {self._pause_s:g} s"
            )
            self._pause_s = min(2 * self._pause_s, self.longest_pause_s)
        elif now >= self._again_at:
            self._start(now)

    def stop(self) -> None:
        if self.is_alive:
            assert self.process is not None
            self.process.terminate()

    def wait(self) -> None:
        """Wait until the process has stopped; kill it after stop_s."""
        if self.process is not None:
            try:
                self.process.wait(self.stop_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._file is not None:
            self._file.close()
            self._file = None

    def last_log_line(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:500] if lines else ""

    def _start(self, now: float) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._file is None:
            if self.log.is_file() and self.log.stat().st_size > 5_000_000:
                put(self.log, self.log.with_suffix(".old"), durable=False)
            self._file = self.log.open("ab")
        # a separate session: Ctrl-C reaches only the parent, which then stops its children in order
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self._file, stderr=self._file, start_new_session=True,
            env={**os.environ, **self.environ},
        )  # fmt: skip
        self._since = now
