"""Workers: processes on any machine that generate shots for the channels of one PostgreSQL database.

Each sends a heartbeat every few seconds. The shots of a dead worker are requeued by the channel or another worker.
Times are those of the database, so the machines' clocks need not agree.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from ...core.errors import KinemaError
from ...core.leftovers import temporary_folder
from . import durable
from .postgres import Tables
from .steps import Workspace

BEAT_S = 5.0
log = logging.getLogger("kinema.channel")


@dataclass(frozen=True)
class WorkerState:
    """A worker process: name, host, process id, current step, and seconds since its last heartbeat."""

    id: str
    host: str
    pid: int
    doing: str
    silent_s: float


class Heartbeats:
    """The table kinema_workers of a database. url: with the password."""

    def __init__(self, url: str) -> None:
        self._tables = Tables(
            url,
            "CREATE TABLE IF NOT EXISTS kinema_workers (id text PRIMARY KEY, host text NOT NULL, pid integer NOT NULL, "
            "doing text NOT NULL, seen timestamptz NOT NULL)",
        )

    def beat(self, id: str, doing: str) -> None:
        self._tables.do(
            "INSERT INTO kinema_workers (id, host, pid, doing, seen) VALUES (:id, :host, :pid, :doing, now()) "
            "ON CONFLICT (id) DO UPDATE SET doing = excluded.doing, seen = now()",
            id=id, host=socket.gethostname(), pid=os.getpid(), doing=doing,
        )  # fmt: skip

    def leave(self, id: str) -> None:
        """Mark a worker as dead at once."""
        self._tables.do("UPDATE kinema_workers SET seen = now() - interval '1 year' WHERE id = :id", id=id)

    def gone(self, id: str) -> None:
        self._tables.do("DELETE FROM kinema_workers WHERE id = :id", id=id)

    def all(self) -> list[WorkerState]:
        rows = self._tables.do(
            "SELECT id, host, pid, doing, extract(epoch FROM now() - seen) FROM kinema_workers ORDER BY id"
        )
        return [WorkerState(id, host, pid, doing, float(silent_s)) for id, host, pid, doing, silent_s in rows]

    def requeue_lost(self, lost_s: float, own: str) -> list[str]:
        """Requeue the shots of silent workers and return the workers' ids. Requires `durable.launch`."""
        lost = [worker.id for worker in self.all() if worker.silent_s > lost_s and worker.id != own]
        for id in lost:
            num_shots = durable.requeue(id)
            self.gone(id)
            log.warning("%s sends no heartbeats; requeued %d of its shots", id, num_shots)
        return lost


def work(
    url: str, stop: threading.Event, *, lost_s: float = 60.0, report: Callable[[str], Any] = lambda _line: None
) -> None:
    """Generate shots of a database until `stop` is set. url: with the password. report: called with status lines.
    KinemaError if the database cannot be reached."""
    id = f"worker-{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"
    beats = Heartbeats(url)
    doing = {"now": ""}

    def on_step(shot: str, step: str) -> None:
        doing["now"] = f"{shot} {step}"
        report(doing["now"])

    with temporary_folder("worker") as folder:
        workspace = Workspace(url, folder, on_step)
        beats.beat(id, "")
        durable.launch(url, id, durable.ProcessRole(workspace), draws=True)
        report(f"{id} is waiting for shots")
        try:
            while not stop.wait(min(BEAT_S, lost_s / 4)):
                try:
                    beats.beat(id, doing["now"])
                    beats.requeue_lost(lost_s, id)
                except Exception as error:  # keep running: without heartbeats its shots would be requeued
                    log.warning("%s", error, exc_info=not isinstance(error, KinemaError))
        finally:
            beats.leave(id)  # requeueing here could give the shot to this process again
