"""Worker processes as children of this process: started, restarted when they die, stopped with it.

    with Workers(store, num_workers=1):
        ...

A crash ends one attempt of one job: the job of a dead worker is requeued at once, with the reason. A worker that keeps
dying is restarted after pauses that double (core/child_process.py); the attempts of a job are limited (claims.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from ..core.child_process import ChildProcess
from ..core.errors import KinemaError
from ..weights.store import home
from . import worker
from .claims import release_worker
from .store import JobStore

LOOK_S = 0.2
LONGEST_PAUSE_S = 5.0
"""Before a restart: the attempts of the job that kills its workers are limited, and other jobs wait."""
log = logging.getLogger("kinema")


class Workers:
    """num_workers worker processes on the jobs of a store. url, folder: as for JobStore.open. arguments: more of those
    of `python -m kinema.jobs.worker`. free: in slots that no other workers of this machine have, not the first ones.
    stop_s: how long a worker may take to stop. logs: the folder of their logs; default: KINEMA_HOME/server."""

    def __init__(
        self, store: JobStore, url: str | None = None, folder: Path | None = None, *, num_workers: int = 1,
        device: str = "", dtype: str = "", warm: Sequence[str] = (), arguments: Sequence[str] = (), free: bool = False,
        stop_s: float = 20.0, logs: Path | None = None,
    ) -> None:  # fmt: skip
        self.store, self._end = store, threading.Event()
        command = [sys.executable, "-m", "kinema.jobs.worker", "--parent", str(os.getpid())]
        for name, value in (("--folder", folder), ("--device", device), ("--dtype", dtype)):
            command += [name, str(value)] if value else []
        for model in warm:
            command += ["--warm", model]
        environ = {} if url is None else {worker.DATABASE_ENV: url}
        self._slots = contextlib.ExitStack()
        self.children = {
            slot: ChildProcess(
                f"worker {slot}", [*command, *arguments, "--slot", str(slot)],
                (logs or home() / "server") / f"worker-{slot}.log", stop_s=stop_s, environ=environ,
                longest_pause_s=LONGEST_PAUSE_S,
            )
            for slot in worker.reserved_slots(num_workers, free, self._slots)
        }  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="workers", daemon=True)

    def __enter__(self) -> Workers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers; each keeps the state of its job, which returns to the queue."""
        self._end.set()
        self._thread.join()
        for child in self.children.values():
            child.stop()
        for slot, child in self.children.items():
            child.wait()
            if child.process is not None and child.process.returncode:
                with contextlib.suppress(KinemaError):
                    self._release(slot, child.process.returncode)
        self._slots.close()

    @property
    def num_alive(self) -> int:
        return sum(child.is_alive for child in self.children.values())

    @property
    def given_up(self) -> list[str]:
        """What workers that cannot start said last."""
        return [child.last_log_line() for child in self.children.values() if child.given_up]

    def _run(self) -> None:
        while not self._end.is_set():
            for slot, child in self.children.items():
                deaths = child.deaths
                try:
                    child.look()
                    if child.deaths > deaths:
                        self._release(slot, child.last_code)
                except (KinemaError, OSError) as error:
                    log.warning("%s: %s", child.name, error)
            self._end.wait(LOOK_S)

    def _release(self, slot: int, code: int) -> None:
        """Requeue the job of a dead worker."""
        if (id := worker.id_of(slot)) is not None:
            release_worker(self.store, id, f"The worker {id} {_death(code)} while it ran the job.")


def _death(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
