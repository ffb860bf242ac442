"""What a running job reports, written to the store by a thread of its own, so that the work never waits for the
database. It also learns there whether the job should stop."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from ..core.errors import KinemaError
from .claims import Claim, ClaimLost

EVERY_S, END_S = 0.1, 15.0
"""Seconds between two reports; how long the last one is tried."""
log = logging.getLogger("kinema")


class Outbox:
    """The reports of one claim; use it as a context manager. asked: "", "cancel", "pause" or "lost" (another worker has
    the job)."""

    def __init__(self, claim: Claim) -> None:
        self.claim, self.asked = claim, ""
        self._progress: dict[str, Any] | None = None
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._late_s = 0.0
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def __enter__(self) -> Outbox:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left."""
        self._end.set()
        self._thread.join()

    def progress(self, progress: dict[str, Any]) -> None:
        """Set the progress; of several within EVERY_S, only the last is stored."""
        with self._lock:
            self._progress = progress

    def event(self, kind: str, data: dict[str, Any]) -> None:
        with self._lock:
            self._events.append((kind, data))

    def _wait_at_end(self) -> bool:
        """Wait a moment for the database, unless that took END_S already."""
        self._late_s = self._late_s or time.monotonic()
        time.sleep(EVERY_S)
        return time.monotonic() - self._late_s < END_S

    def _run(self) -> None:
        warned = False
        while True:
            ended = self._end.wait(EVERY_S)
            with self._lock:
                progress, events = self._progress, self._events
                self._progress, self._events = None, []
            try:
                self.asked = self.claim.report(progress, events)
                warned = False
            except ClaimLost:
                self.asked = "lost"
                return
            except Exception as error:  # such as a database that cannot be reached now; the work goes on
                if not warned:
                    log.warning("%s", error, exc_info=not isinstance(error, KinemaError))
                warned = True
                with self._lock:
                    self._progress, self._events = self._progress or progress, events + self._events
                ended = ended and not self._wait_at_end()
            if ended:
                return
