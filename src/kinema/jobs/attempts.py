"""The work of one worker: take a job, run an attempt, end it, and send heartbeats meanwhile."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import Cancelled, KinemaError, MediaError, ModelError, RequestError
from ..core.leftovers import temporary_folder
from ..core.sqlite_state import StateBusy
from .claims import LOST_S, Claim, ClaimLost, Claims
from .context import Context, GivenUp, Returned, TryLater
from .database import outlast
from .job import NoSuchMedia
from .outbox import Outbox
from .pool import EnginePool, is_out_of_memory
from .retention import Retention, clean
from .store import JobStore

IDLE_S, CLEAN_S = 1.0, 600.0
"""Seconds between looks at an idle queue that has not changed, and between cleanings of the store."""
HUNG = 71
"""Exit code of a worker whose job hung."""
PERMANENT = (RequestError, ModelError, MediaError, GivenUp)
"""Errors that another attempt would meet again."""
log = logging.getLogger("kinema")


@dataclass
class Worker:
    """store: its jobs. id: the same after a restart. engines: its models. keep_s: see Context. retention: None leaves
    the cleaning of the store to others. hanging_s: a job that says nothing for so long hangs: its attempt ends, and the
    process with it, because nothing else stops a thread; None in a process that does other work too."""

    store: JobStore
    id: str
    engines: EnginePool
    lost_s: float = LOST_S
    keep_s: float = 2.0
    retention: Retention | None = None
    hanging_s: float | None = None
    job: str = field(default="", init=False)
    """The id of the job that runs; "" between two."""
    _running: tuple[Claim, Context] | None = field(default=None, init=False)

    def run(self, stop: threading.Event) -> None:
        """Run jobs until `stop` is set. KinemaError if the database cannot be used at the start."""
        claims = Claims(self.store, self.id, lost_s=self.lost_s)
        claims.begin(self.facts())
        ended = threading.Event()
        beats = threading.Thread(target=self._beat, args=(claims, ended), name="heartbeat", daemon=True)
        beats.start()
        log.info("the worker %s is ready", self.id)
        try:
            seen, looked_s = "", 0.0
            while not stop.is_set():
                try:
                    now = self.store.wait(seen, IDLE_S, stop) if seen else self.store.version()
                    if now == seen and time.monotonic() - looked_s < IDLE_S:
                        continue
                    seen, looked_s = now, time.monotonic()
                    while not stop.is_set() and (claim := claims.take()) is not None:
                        self._attempt(claim, stop)
                except StateBusy as error:
                    log.warning("%s", error)
                    stop.wait(IDLE_S)
        finally:
            ended.set()
            beats.join()
            with suppress(KinemaError):
                claims.leave()

    def facts(self) -> dict[str, Any]:
        """What the worker tells about itself."""
        return {
            "job": self.job, "device": self.engines.device or "", "models": self.engines.models(),
            "kinds": list(self.store.kinds),
        }  # fmt: skip

    def _beat(self, claims: Claims, ended: threading.Event) -> None:
        cleaned_s = time.monotonic() - CLEAN_S + 60
        while not ended.wait(min(5.0, self.lost_s / 4)):
            try:
                self._end_if_it_hangs()
                claims.beat(self.facts())
                claims.look_after()
                if self.retention is not None and time.monotonic() - cleaned_s > CLEAN_S:
                    cleaned_s = time.monotonic()
                    clean(self.store, self.retention)
            except Exception as error:  # without heartbeats, the job would be given to another worker
                log.warning("%s", error, exc_info=not isinstance(error, KinemaError))

    def _end_if_it_hangs(self) -> None:
        """End the attempt and the process if the job says nothing any more."""
        if (running := self._running) is None or self.hanging_s is None:
            return
        claim, context = running
        silent_s = time.monotonic() - context.sign_s
        if silent_s > self.hanging_s:
            reason = f"It did nothing for {silent_s:.0f} s."
            log.error("the job %s hangs: %s", claim.job.id, reason)
            with suppress(ClaimLost):
                claim.again(reason)
            os._exit(HUNG)

    def _attempt(self, claim: Claim, stop: threading.Event) -> None:
        self.job = claim.job.id
        try:
            end = self._run(claim, stop)
            while True:
                try:
                    return outlast(end)
                except StateBusy as error:  # the work is done, and not lost while the database is away
                    if stop.is_set():
                        raise
                    log.warning("%s", error)
        except ClaimLost as error:
            log.warning("%s", error)
        finally:
            self.job = ""

    def _run(self, claim: Claim, stop: threading.Event) -> Callable[[], None]:
        """Run an attempt; return how it ends."""
        kind = self.store.kinds[claim.job.kind]
        with temporary_folder("job") as folder, Outbox(claim) as outbox:
            context = Context(
                claim.job, self.store.media, self.engines, folder, outbox, claim, stop, keep_s=self.keep_s
            )  # fmt: skip
            self._running = (claim, context)
            try:
                result = kind.run(context, claim.job.body)
                return lambda: _succeed(claim, result, context.results)
            except Returned:
                return claim.give_back
            except Cancelled:
                return claim.cancel
            except TryLater as error:
                later = error
                return lambda: claim.later(str(later), later.pause_s, later.facts)
            except PERMANENT as error:
                failed = error
                return lambda: claim.fail(failed)
            except (Exception, SystemExit) as error:  # which a library may raise
                reason = _reason(error)
                log.exception("the job %s failed", claim.job.id)
                if is_out_of_memory(error):
                    self.engines.clear()
                if is_broken(error):
                    outlast(lambda: claim.again(reason))
                    raise
                return lambda: claim.again(reason)
            finally:
                self._running = None


def _succeed(claim: Claim, result: dict[str, Any], media: list[str]) -> None:
    try:
        claim.succeed(result, media)
    except NoSuchMedia as error:  # another job with the same media was deleted in this moment
        claim.again(str(error))


def is_broken(error: BaseException) -> bool:
    """Whether no later work of this process can succeed: a fault of a GPU ends its context."""
    torch = sys.modules.get("torch")
    fault = getattr(torch, "AcceleratorError", None)
    return (fault is not None and isinstance(error, fault)) or (
        isinstance(error, RuntimeError) and "CUDA error" in str(error) and not is_out_of_memory(error)
    )


def _reason(error: BaseException) -> str:
    if is_out_of_memory(error):
        return f"Not enough memory: {error}"
    return str(error) if isinstance(error, KinemaError) else f"{type(error).__name__}: {error}"
