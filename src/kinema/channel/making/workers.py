"""Workers: processes on any machine that draw shots for the channels of one PostgreSQL database.

Each says every few seconds that it lives. What a dead one was drawing is handed on, by the channel or by a worker,
whoever notices first; times are those of the database, so clocks need not agree.
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
from .steps import Desk

BEAT_S = 5.0
log = logging.getLogger("kinema.channel")


@dataclass(frozen=True)
class WorkerState:
    """A process that draws: its name, where it runs, what it does, and seconds since it was last heard of."""

    id: str
    host: str
    pid: int
    doing: str
    silent_s: float


class Heartbeats:
    """The table kinema_workers of a database. url: with its password."""

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
        """Be taken for dead at once."""
        self._tables.do("UPDATE kinema_workers SET seen = now() - interval '1 year' WHERE id = :id", id=id)

    def gone(self, id: str) -> None:
        self._tables.do("DELETE FROM kinema_workers WHERE id = :id", id=id)

    def all(self) -> list[WorkerState]:
        rows = self._tables.do(
            "SELECT id, host, pid, doing, extract(epoch FROM now() - seen) FROM kinema_workers ORDER BY id"
        )
        return [WorkerState(id, host, pid, doing, float(silent_s)) for id, host, pid, doing, silent_s in rows]

    def hand_on_lost(self, lost_s: float, own: str) -> list[str]:
        """Give the shots of silent workers back to the queue; gives who they were. Needs a launched process."""
        lost = [worker.id for worker in self.all() if worker.silent_s > lost_s and worker.id != own]
        for id in lost:
            given = durable.hand_on(id)
            self.gone(id)
            log.warning("%s is not heard of any more; %d of its shots go to others", id, given)
        return lost


def work(
    url: str, stop: threading.Event, *, lost_s: float = 60.0, tell: Callable[[str], Any] = lambda _line: None
) -> None:
    """Draw shots of a database until `stop`. url: with its password. KinemaError where it cannot be reached."""
    id = f"worker-{socket.gethostname()}-{os.getpid()}-{token_hex(3)}"
    beats = Heartbeats(url)
    doing = {"now": ""}

    def told(shot: str, step: str) -> None:
        doing["now"] = f"{shot} {step}"
        tell(doing["now"])

    with temporary_folder("worker") as folder:
        desk = Desk(url, folder, told)
        beats.beat(id, "")
        durable.launch(url, id, durable.ProcessRole(desk), draws=True)
        tell(f"{id} waits for shots")
        try:
            while not stop.wait(min(BEAT_S, lost_s / 4)):
                try:
                    beats.beat(id, doing["now"])
                    beats.hand_on_lost(lost_s, id)
                except Exception as error:  # whatever it is: silence would have its shots handed on
                    log.warning("%s", error, exc_info=not isinstance(error, KinemaError))
        finally:
            beats.leave(id)  # handed on here, its shot could be taken by this very process again
