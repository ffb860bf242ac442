"""The workers of a producer: a thread that publishes shots and, with `making.here`, a process that generates them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import KinemaError
from ...jobs import claims
from ...jobs.attempts import Worker
from ...jobs.job import NoSuchJob
from ...jobs.kinds import JobKind, Kinds
from ...jobs.pool import EnginePool
from ...jobs.store import JobStore
from ...jobs.supervise import Workers
from .kinds import name_of

if TYPE_CHECKING:
    from ..config import ChannelConfig

KINDS = "kinema.channel.making.kinds:worker_kinds"
STOP_S = 2.0
"""How long a worker may take to stop: its job returns to the queue."""


class Crew:
    """store: the channel's jobs, at url with its media in folder. own: the kind that publishes. token: of the
    channel."""

    def __init__(
        self, config: ChannelConfig, store: JobStore, url: str, folder: Path | None, own: JobKind, token: str
    ) -> None:  # fmt: skip
        self.config, self.store, self._stop = config, store, threading.Event()
        self.id = f"channel-{token}"
        publisher = Worker(
            JobStore(store.database, store.media, Kinds([own])), self.id, EnginePool("cpu"),
            lost_s=config.making.worker_lost_s,
        )  # fmt: skip
        self._thread = threading.Thread(target=publisher.run, args=(self._stop,), name="publisher", daemon=True)
        self._workers: Workers | None = None
        if config.making.here:
            more = ("--kinds", KINDS, "--lost", str(config.making.worker_lost_s))
            self._workers = Workers(
                store, url, folder, device=config.making.device, arguments=more, free=True, stop_s=STOP_S,
                logs=config.root / "state",
            )  # fmt: skip

    def start(self) -> None:
        self._thread.start()
        if self._workers is not None:
            self._workers.__enter__()

    def check(self) -> None:
        """Raise if shots can no longer be made: KinemaError if the worker cannot start."""
        if self._workers is not None and self._workers.given_up:
            raise KinemaError(f"The worker cannot start: {'; '.join(self._workers.given_up)}")
        if self._thread.ident is not None and not self._thread.is_alive():
            raise RuntimeError("the thread that publishes has ended")

    def close(self) -> None:
        """Stop the worker process. The thread ends with this process, or after its job."""
        self._stop.set()
        if self._workers is not None and self._thread.ident is not None:
            self._workers.__exit__()

    def states(self) -> list[dict[str, Any]]:
        """The workers that run shots, here and on other machines: id, host, pid, the job that each runs, and seconds
        since its last heartbeat."""
        found = []
        for worker in claims.workers(self.store):
            if name_of("generate") in worker.facts.get("kinds", ()):
                doing = ""
                with contextlib.suppress(NoSuchJob):
                    doing = self.store.get(worker.facts["job"]).name if worker.facts.get("job") else ""
                found.append({"id": worker.id, "host": worker.host, "pid": worker.pid, "doing": doing,
                              "silent_s": worker.silent_s})  # fmt: skip
        return found
