"""Outputs of the playout. No output may block the playout: one that can block runs in a thread with a queue."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .output_hls import HlsOutput
from .stream import MediaPacket
from .timeline import PlayoutTimeline

log = logging.getLogger("kinema.channel")


class Output(Protocol):
    """A destination of packets. begin: sets the timeline of the following packets."""

    name: str

    def begin(self, timeline: PlayoutTimeline) -> None: ...

    def send(self, media: MediaPacket) -> None: ...

    def status(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


class InThread:
    """An HLS output in its own thread, for slow disks. Beyond `most` queued calls, packets are dropped."""

    def __init__(self, output: HlsOutput, most: int = 20_000) -> None:
        self.output, self.name, self.most = output, output.name, most
        self._queue: deque[Callable[[], None] | None] = deque()
        self._queued = threading.Semaphore(0)
        self._since: float | None = None
        self._thread = threading.Thread(target=self._run, name="kinema-hls", daemon=True)
        self._thread.start()

    def begin(self, timeline: PlayoutTimeline) -> None:
        self._put(lambda: self.output.begin(timeline))

    def send(self, media: MediaPacket) -> None:
        if len(self._queue) < self.most:
            self._put(lambda: self.output.send(media))

    def status(self) -> dict[str, Any]:
        return {**self.output.status(), "queued": len(self._queue)}

    @property
    def busy_s(self) -> float:
        """Seconds spent on the current packet."""
        since = self._since
        return time.monotonic() - since if since is not None else 0.0

    def close(self) -> None:
        self._put(None)
        self._thread.join(timeout=10)

    def _put(self, work: Callable[[], None] | None) -> None:
        self._queue.append(work)
        self._queued.release()

    def _run(self) -> None:
        while True:
            self._queued.acquire()
            work = self._queue.popleft()
            if work is None:
                self.output.close()
                return
            self._since = time.monotonic()
            try:
                work()
            except Exception:
                log.exception("HLS: a packet was lost")
            self._since = None
