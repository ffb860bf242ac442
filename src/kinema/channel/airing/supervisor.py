"""Keeps a playout on air: starts it, listens to its output clock, and starts it anew when it ends or stands still.

The beat is the playout's frame counter, through a pipe, five times a second: not "the process lives", and nothing that
a full disk could stop. A second process waits beside the first, loaded but idle, and is on air a few tenths of a second
after the first was found to be gone or hung (pulse.py): before a viewer's player has used up what it holds.
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
"""A playout that was taken for hung and killed so soon after the one before: the next is given twice the time."""


class Supervisor:
    """`run` blocks until `stop`. It raises ChannelBusy where the channel is on air elsewhere, KinemaError where the
    playout refuses its settings. schedule: day parts (day_parts.py), by the clock of timezone, since a function cannot
    go to another process."""

    def __init__(
        self,
        folder: Path,
        settings: PlayoutSettings | None = None,
        *,
        schedule: Sequence[Sequence[str]] | None = None,
        timezone: str = "",
        patience: PulseLimits | None = None,
    ) -> None:
        self.folder, self.patience = Path(folder), patience or PulseLimits()
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
                code = self._attend()
                if self._stop.is_set():
                    return
                if code == BUSY and self.frame < 0:
                    raise ChannelBusy(f"{self.folder}: another playout has this channel on air.")
                if code == BAD:
                    raise KinemaError(f"{self.folder}: the playout refuses its settings; its log says which.")
                failures = failures + 1 if time.monotonic() - began < self.patience.quick_s else 0
                pause_s = min(self.patience.pause_s * 2**failures, self.patience.longest_pause_s)
                log.error("the playout ended (%s); again in %.1f s", self.why, pause_s)
                self._stop.wait(pause_s)
        finally:
            if self._standby is not None:
                self._standby.end()
            lock.close()

    def _attend(self) -> int:
        """One run of the playout; gives its exit code."""
        run = self._standby if self._standby is not None and self._standby.process.poll() is None else _Run(self.folder)
        self._standby, self.process = None, run.process
        self.starts += 1
        try:
            run.begin(self._hello)
            return self._listen(run.process, run.beat)
        finally:
            run.end()

    def _listen(self, process: subprocess.Popen[bytes], beat: int) -> int:
        pulse, began = Pulse(process.pid, self.patience, self.factor), time.monotonic()
        frame, heard = -1, b""
        while not self._stop.is_set():
            told = select.select([beat], [], [], LOOK_S)[0]
            if not told:
                if trouble := pulse.trouble(time.monotonic()):
                    self.why = trouble
                    self.factor = 2 * self.factor if time.monotonic() - began < CALM_S else 1.0
                    process.kill()
                    with contextlib.suppress(subprocess.TimeoutExpired):  # in the depths of a driver: it dies later
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
    """A playout process that waits, all loaded, for its settings; `begin` puts it on air. beat: a pipe to listen to."""

    def __init__(self, folder: Path) -> None:
        self.beat, theirs = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kinema.channel.airing.playout_process", os.fspath(folder), "--settings"],
                stdin=subprocess.PIPE, pass_fds=[theirs], env=os.environ | {BEAT_FD: str(theirs)},
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops it in order
            )  # fmt: skip
        finally:
            os.close(theirs)

    def begin(self, hello: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(hello)
            self.process.stdin.close()

    def end(self) -> None:
        """Stop it in order where it runs."""
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
        os.close(self.beat)  # before its end, this would tell it that the supervisor is gone
