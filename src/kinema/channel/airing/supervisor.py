"""Supervise a playout: start it, monitor its heartbeat, and restart it when it exits or hangs.

The heartbeat is the playout's frame counter, sent through a pipe five times a second, so it shows progress and does not
depend on the disk. A standby process waits with everything loaded and takes over within a few tenths of a second after
the first has exited or hangs (pulse.py), before the buffers of viewers' players run out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import KinemaError
from ..lock import ChannelBusy, ChannelLock
from .health import BEAT_FD
from .playout import PlayoutSettings
from .playout_process import BAD, BUSY, plain
from .pulse import LOOK_S, Pulse, PulseLimits

log = logging.getLogger("kinema.channel")
CALM_S = 60.0
"""If a playout is killed as hung within this time of its start, the next one gets twice the timeout."""


class Supervisor:
    """`run` blocks until `stop`. It raises ChannelBusy if the channel is already on air, KinemaError if the playout
    refuses its settings. schedule: day parts (day_parts.py) in `timezone`; a function cannot be passed to another
    process."""

    def __init__(
        self,
        folder: Path,
        settings: PlayoutSettings | None = None,
        *,
        schedule: Sequence[Sequence[str]] | None = None,
        timezone: str = "",
        limits: PulseLimits | None = None,
    ) -> None:
        self.folder, self.limits = Path(folder), limits or PulseLimits()
        rows = [list(row) for row in schedule] if schedule else None
        self._hello = json.dumps(plain(settings or PlayoutSettings(), rows, timezone)).encode() + b"\n"
        self.starts, self.frame, self.why = 0, -1, ""
        self.factor = 1.0
        self.process: subprocess.Popen[bytes] | None = None
        self._standby: _Run | None = None
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        lock = ChannelLock(self.folder, "supervisor")
        failures = 0
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                code = self._run_once()
                if self._stop.is_set():
                    return
                if code == BUSY and self.frame < 0:
                    raise ChannelBusy(f"{self.folder}: another playout has this channel on air.")
                if code == BAD:
                    raise KinemaError(f"{self.folder}: the playout refuses its settings; see its log.")
                failures = failures + 1 if time.monotonic() - began < self.limits.quick_s else 0
                pause_s = min(self.limits.pause_s * 2**failures, self.limits.longest_pause_s)
                log.error("the playout exited (%s); restart in %.1f s", self.why, pause_s)
                self._stop.wait(pause_s)
        finally:
            if self._standby is not None:
                self._standby.end()
            lock.close()

    def _run_once(self) -> int:
        """Run the playout once and return its exit code."""
        run = self._standby if self._standby is not None and self._standby.process.poll() is None else _Run(self.folder)
        self._standby, self.process = None, run.process
        self.starts += 1
        try:
            run.begin(self._hello)
            return self._listen(run.process, run.beat)
        finally:
            run.end()

    def _listen(self, process: subprocess.Popen[bytes], beat: int) -> int:
        pulse, began = Pulse(process.pid, self.limits, self.factor), time.monotonic()
        frame, heard = -1, b""
        while not self._stop.is_set():
            readable = select.select([beat], [], [], LOOK_S)[0]
            if not readable:
                if trouble := pulse.trouble(time.monotonic()):
                    self.why = trouble
                    self.factor = 2 * self.factor if time.monotonic() - began < CALM_S else 1.0
                    process.kill()
                    with contextlib.suppress(subprocess.TimeoutExpired):  # blocked in a driver: it exits later
                        return process.wait(timeout=5)
                    return -signal.SIGKILL
                continue
            data = os.read(beat, 4096)
            if not data:
                self.why = f"exit code {process.wait()}"
                return process.returncode
            *lines, heard = (heard + data).split(b"\n")
            if lines and int(lines[-1]) > frame:
                frame = self.frame = int(lines[-1])
                if self._standby is None:
                    self._standby = _Run(self.folder)
                pulse.beat(time.monotonic())
        return 0


class _Run:
    """A standby playout process, waiting for its settings; `begin` puts it on air. beat: its heartbeat pipe."""

    def __init__(self, folder: Path) -> None:
        self.beat, theirs = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kinema.channel.airing.playout_process", os.fspath(folder), "--settings"],
                stdin=subprocess.PIPE, pass_fds=[theirs], env=os.environ | {BEAT_FD: str(theirs)},
                start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops it in order
            )  # fmt: skip
        finally:
            os.close(theirs)

    def begin(self, hello: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(hello)
            self.process.stdin.close()

    def end(self) -> None:
        """Stop the process if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError):
                self.process.stdin.close() if self.process.stdin is not None else None
            try:
                self.process.wait(timeout=12)
            except subprocess.TimeoutExpired:
                self.process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=5)
        os.close(self.beat)  # only after its exit: a closed pipe means that the supervisor has exited
