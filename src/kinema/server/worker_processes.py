"""The worker processes of a server: started, restarted after a crash, and ended with it.

A worker that dies costs its job one attempt: the job is requeued at once, without waiting for a heartbeat that is
missing. Workers that the server did not start (`kinema worker --database URL`) take the same jobs.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from ..core.child_process import ChildProcess
from ..core.errors import KinemaError
from ..jobs.claims import release_worker
from ..jobs.store import JobStore
from ..weights.store import home

log = logging.getLogger("kinema.server")
LOOK_S = 0.2
STOP_S = 15.0
"""From SIGTERM to SIGKILL: a worker keeps the state of its job meanwhile."""


class WorkerProcesses:
    """A context manager. num_workers: processes; 0: none. database: its URL, None for the default. device: "" is the
    best. warm: models to load at once."""

    def __init__(
        self, store: JobStore, num_workers: int, database: str | None, device: str = "", warm: Sequence[str] = ()
    ) -> None:  # fmt: skip
        self.store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kinema-workers", daemon=True)
        command = [sys.executable, "-m", "kinema.jobs.worker", "--parent", str(os.getpid())]
        command += [*(["--device", device] if device else []), *(word for name in warm for word in ("--warm", name))]
        self._database = database
        self._children = [
            ChildProcess(f"worker {slot}", [*command, "--slot", str(slot)], home() / "server" / f"worker-{slot}.log",
                         stop_s=STOP_S)
            for slot in range(num_workers)
        ]  # fmt: skip
        self._deaths = [0] * num_workers

    def __enter__(self) -> WorkerProcesses:
        if self._database is not None:  # workers inherit it; in their arguments other users would see it
            from ..jobs import worker

            os.environ[worker.DATABASE_ENV] = self._database
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()
        for child in self._children:
            child.stop()
        for child in self._children:
            child.wait()

    def _watch(self) -> None:
        while True:
            for slot, child in enumerate(self._children):
                try:
                    child.look()
                    if child.deaths != self._deaths[slot]:
                        self._deaths[slot] = child.deaths
                        self._release(slot, child)
                except (OSError, KinemaError) as error:
                    log.warning("the %s: %s", child.name, error)
            if self._stop.wait(LOOK_S):
                return

    def _release(self, slot: int, child: ChildProcess) -> None:
        """Requeue what a worker that died was running."""
        from ..jobs import worker

        id = worker.id_of(slot)
        if id is not None:
            release_worker(self.store, id, f"The worker process died: {child.last_log_line() or 'no reason'}")
        if child.given_up:
            log.error("the %s cannot start: %s", child.name, child.last_log_line())
