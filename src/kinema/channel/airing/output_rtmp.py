"""RTMP output through a sidecar process, so that `send` never blocks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from typing import Any

from .address import check_address, public_address
from .backlog import Backlog
from .rtmp_wire import hello, pack
from .stream import MediaPacket, StreamFormat
from .timeline import PlayoutTimeline

log = logging.getLogger("kinema.channel")
HELD_S = 10.0
TOGETHER, GATHER_S, LOOK_S = 16, 0.02, 0.5
"""TOGETHER: maximum number of packets per write to the pipe. GATHER_S: time to collect them, so that a frame and its
audio wake the sidecar once. LOOK_S: interval between reads of the sidecar's status."""
STALL_S = 10.0
"""A sidecar that has packets but sends none for this long is killed and restarted."""


class RtmpOutput:
    """The output to one RTMP server. RequestError: illegal address. `close` ends the session."""

    def __init__(
        self, url: str, shape: StreamFormat, *, stall_s: float = STALL_S, session_s: float = 47 * 3600.0
    ) -> None:
        self._url, self.name = check_address(url), public_address(url)
        self.shape, self.stall_s, self.session_s = shape, stall_s, session_s
        self.waiting = Backlog(round(HELD_S * (float(shape.fps) + 47)))
        self.starts = 0
        self._reported: dict[str, Any] = {"state": "starting", "trouble": "", "sent": 0}
        self._process: subprocess.Popen[bytes] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kinema-rtmp", daemon=True)
        self._thread.start()

    def begin(self, timeline: PlayoutTimeline) -> None:
        """Do nothing: RTMP has no dates."""

    def send(self, media: MediaPacket) -> None:
        self.waiting.put(media)

    def status(self) -> dict[str, Any]:
        reported = self._reported
        return {
            "output": self.name, "state": reported["state"], "trouble": reported["trouble"], "sent": reported["sent"],
            "dropped": self.waiting.dropped + reported.get("dropped", 0), "sessions": reported.get("sessions", 0),
            "starts": self.starts,
        }  # fmt: skip

    @property
    def pid(self) -> int | None:
        """The process id of the running sidecar, or None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def close(self) -> None:
        self._end.set()
        self.waiting.end()
        self._thread.join(timeout=6)

    def _run(self) -> None:
        pause_s = 1.0
        while not self._end.is_set():
            began = time.monotonic()
            try:
                self._feed()
            except OSError as error:
                self._reported = {**self._reported, "trouble": error.strerror or "the sidecar exited"}
            except Exception:
                log.exception("%s: feeding the sidecar failed", self.name)
            finally:
                self._stop()
            if self._end.is_set():
                return
            self._reported = {**self._reported, "state": "restarting"}
            pause_s = 1.0 if time.monotonic() - began > 60 else min(15.0, 2 * pause_s)
            trouble = self._reported["trouble"]
            log.warning("%s: the sidecar exited (%s); restart in %g s", self.name, trouble, pause_s)
            self._end.wait(pause_s)

    def _feed(self) -> None:
        """Start a sidecar and feed it until it exits or stops sending."""
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "kinema.channel.airing.rtmp_sidecar"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        self.starts += 1
        into, out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(into, False)
        os.set_blocking(out, False)
        left, heard = memoryview(hello(self._url, self.shape, session_s=self.session_s)), b""
        sent, moved, owed = -1, time.monotonic(), 0
        while process.poll() is None:
            if self._end.is_set() and not left and not self.waiting:
                return
            if not left and self.waiting.wait(LOOK_S):
                self._end.wait(GATHER_S)
                together = self.waiting.take(TOGETHER)
                left = memoryview(b"".join(pack(media) for media in together))
                owed += len(together)
            readable, writable, _ = select.select([out], [into] if left else [], [], LOOK_S if left else 0.0)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(into, left) :]
            if readable:
                *lines, heard = (heard + os.read(out, 65536)).split(b"\n")
                if lines:
                    self._reported = json.loads(lines[-1])
                    if self._reported["state"] == "retrying":
                        moved = time.monotonic()  # not stalled: the sidecar reconnects by itself
            if self._reported["sent"] != sent or not owed:
                sent, moved, owed = self._reported["sent"], time.monotonic(), 0
            if time.monotonic() - moved > self.stall_s:
                self._reported = {**self._reported, "trouble": f"sent nothing for {self.stall_s:g} s"}
                return

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(timeout=4 if self._end.is_set() else 0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
