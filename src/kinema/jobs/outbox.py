"""What a running job reports, written to the store by a thread of its own, so that the work never waits for the
database. It also learns there whether the job should stop."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from ..core.errors import KinemaError
from .claims import Claim, ClaimLost

EVERY_S = 0.1
log = logging.getLogger("kinema")


class Outbox:
    """The reports of one claim; use it as a context manager. asked: "", "cancel", "pause" or "lost" (another worker has
    the job)."""

    def __init__(self, claim: Claim) -> None:
        self.claim, self.asked = claim, ""
        self._progress: dict[str, Any] | None = None
        self._events: list[tuple[str, dict[str, Any]]] = []
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
            except KinemaError as error:  # the database cannot be reached now; the work goes on
                if not warned:
                    log.warning("%s", error)
                warned = True
                with self._lock:
                    self._progress, self._events = self._progress or progress, events + self._events
                time.sleep(EVERY_S)
            if ended:
                return
