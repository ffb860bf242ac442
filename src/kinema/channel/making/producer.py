"""The producer of a channel: plans episodes and generates clips, as a separate process.

The ledger and the workflow database record all work before it starts, so the process can be killed at any time and
resumes at the interrupted step. A clean stop is the same as being killed.

FOLDER/state/producer.json holds its status, replaced every second.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...core.child_process import CANNOT
from ...core.errors import KinemaError, ModelError, RequestError
from ...core.sqlite_state import repair
from ..config import ChannelConfig, read, secret
from ..library import Library
from ..lock import ChannelLock
from ..state_file import write_state
from ..writing.breaker import Breaker
from ..writing.moderation import Moderation
from . import durable
from .beds import lacks_beds, make_bed
from .continuity import link_of, sweep
from .finish import check_interpolate
from .job import ShotOrder
from .ledger import Ledger, PlannedShot
from .makers import can_continue, check_upscale, maker
from .planning import Need, Planner, job_of, need
from .steps import Channel, Workspace, set_aside
from .workers import Heartbeats

LOOP_S, LOOK_S, EVICT_S, SWEEP_S = 0.5, 5.0, 10.0, 600.0
MOST_FAILED, LONGEST_PAUSE_S = 12, 30.0
"""MOST_FAILED consecutive rounds take about four minutes with their pauses."""
log = logging.getLogger("kinema.channel")


def database_url(config: ChannelConfig) -> str:
    """The address of the workflow database, with its password. RequestError."""
    if config.database.is_sqlite:
        return f"sqlite:///{config.root / 'state' / 'steps.sqlite'}"
    from .postgres import address

    return address(config.database.url, config.database.password_env)


def work_place(config: ChannelConfig) -> str:
    """The place of files between steps: a folder, or "database"."""
    return str(config.root / "work") if config.database.is_sqlite else config.database.files


def check(config: ChannelConfig) -> None:
    """Check themes, model, weights and keys before anything starts. KinemaError."""
    durable.check()
    moderation = Moderation(config.blocklist)
    for theme in config.themes:
        moderation.theme(theme)
    check_interpolate(config.making.interpolate)
    if config.making.here:
        check_upscale(config.making.upscale)
        trial = PlannedShot(
            "trial", 0, config.theme, "", "a red ball rolls left", {"seconds": config.bible.seconds, "seed": 0}
        )
        maker(config.making.model).check(ShotOrder.from_dict(job_of(config, "", trial, "")))
    secret(config.database.password_env)
    for each in config.rtmp:
        secret(each.key_env)
    if config.director.endpoint is not None:
        from ..writing.chat import Chat

        Chat(config.director.endpoint).check()


class Producer:
    """The producer of one channel. `step` starts at most one shot; `run` repeats it until `stop`."""

    def __init__(self, config: ChannelConfig) -> None:
        self.config = config
        self.library, self.ledger = Library.open(config.root), Ledger(config.root)
        self.planner = Planner(config, self.ledger)
        self.url, self.files = database_url(config), work_place(config)
        self.channel = Channel(config, self.ledger, self.library)
        self.workspace = Workspace(self.url, config.root / "work" / "scratch", self._report_step)
        self.able = _able(config.making.model)
        self.beats = None if config.database.is_sqlite else Heartbeats(self.url)
        self.executor = f"channel-{self.ledger.token}"
        # Consecutive failures are not caused by the shots: start fewer of them until one succeeds.
        self.breaker = Breaker(failures=3, pause_s=15.0, longest_s=900.0)
        self.doing, self.trouble = "starting", ""
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="kinema-producer")
        self._writing: Future[list[str]] | None = None
        self._composing: Future[Path] | None = None
        ended = [shot.id for state in ("published", "aside") for shot in self.ledger.lately(state, 200)]
        self._seen: deque[str] = deque(ended, maxlen=1000)
        self._looked = self._evicted = self._swept = 0.0
        self._full = False

    def launch(self) -> None:
        """Start the workflows of this process."""
        if self.config.database.is_sqlite:  # lost workflows are started again from the ledger
            repair(self.config.root / "state" / "steps.sqlite")
        shutil.rmtree(self.workspace.scratch, ignore_errors=True)
        role = durable.ProcessRole(self.workspace, self.channel)
        durable.launch(self.url, self.executor, role, draws=self.config.making.here)
        self._look(everything=True)

    def run(self, stop: threading.Event, parent: int | None = None) -> None:
        """Run until `stop`, or until the parent process exits. A failed round is reported and retried, after pauses
        that double. KinemaError after MOST_FAILED consecutive rounds with unexpected errors: the parent process then
        restarts this one."""
        failed = unexpected = 0
        while not stop.is_set() and parent in (None, os.getppid()):
            try:
                self.step()
                failed = unexpected = 0
            except Exception as error:
                failed, unexpected = failed + 1, 0 if isinstance(error, KinemaError) else unexpected + 1
                self.trouble = str(error) if isinstance(error, KinemaError) else f"{type(error).__name__}: {error}"
                log.warning("%s", self.trouble, exc_info=not isinstance(error, KinemaError))
                self.doing = f"retrying: {failed} consecutive rounds failed"
            self._report()
            if unexpected >= MOST_FAILED:
                raise KinemaError(f"{unexpected} consecutive rounds failed; the last one: {self.trouble}")
            stop.wait(min(LOOP_S * 2 ** max(0, failed - 1), LONGEST_PAUSE_S))

    def _report(self) -> None:
        """Write the status, a shorter one if the ledger is unavailable."""
        try:
            state = self.state()
        except Exception:
            state = {"pid": os.getpid(), "doing": self.doing, "trouble": self.trouble}
        _write_status(self.config, state)

    def step(self) -> None:
        """Check stock, disk and shots in progress; start at most one shot."""
        self._note_ended()
        now = time.monotonic()
        if now - self._looked > LOOK_S:
            self._looked = now
            self._look()
            self._compose()
        if now - self._evicted > EVICT_S:
            self._evicted = now
            self._evict()
        if now - self._swept > SWEEP_S:
            self._swept = now
            durable.sweep(self.ledger.token)
            sweep(self.ledger, self.workspace.files({"files": self.files}), self.ledger.token)
        wanted = need(self.config, self.config.clock.now(), self._stock)
        if wanted is None:
            self.doing = "enough in stock"
        elif (free := shutil.disk_usage(self.config.root).free) < self.config.disk.keep_free:
            least = self.config.disk.keep_free
            self.doing = f"the disk is full: {free / 1e6:,.0f} MB free, disk.keep_free is {least / 1e6:,.0f} MB"
        elif self._full:
            self.doing = "disk.quota is full of clips that have not aired"
        elif self.ledger.counts()["making"] >= self.config.making.in_flight:
            self.doing = "making"
        elif self.breaker.is_open:
            self.doing = f"waiting: {self.breaker.failed_in_a_row} consecutive shots failed ({self.trouble})"
        else:
            self._begin(wanted)

    def state(self) -> dict[str, Any]:
        """The status, as plain JSON."""
        making = self.ledger.in_state("making", 20)
        workers = [] if self.beats is None else [worker.__dict__ for worker in self.beats.all()]
        return {
            "pid": os.getpid(), "doing": self.doing, "trouble": self.trouble, "writer": self.planner.trouble,
            "making": [{"id": shot.id, "step": shot.step, "quality": shot.quality} for shot in making],
            "shots": self.ledger.counts(), "theme": self.config.theme_at(self.config.clock.now()), "workers": workers,
        }  # fmt: skip

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.library.close()
        self.ledger.close()

    def _begin(self, wanted: Need) -> None:
        shot = self.ledger.begin(wanted.theme, wanted.quality, in_order=self.able)
        if shot is not None:
            self.doing = f"making {shot.id}"
            durable.start(self._job(shot))
        elif self._writing is None:
            self.doing = f"writing an episode: {wanted.theme}"
            self._writing = self._pool.submit(self.planner.write, wanted.theme)
        elif self._writing.done():
            done, self._writing = self._writing, None
            done.result()

    def _job(self, shot: PlannedShot) -> dict[str, Any]:
        link = link_of(self.ledger, shot, self.able)
        return job_of(self.config, self.ledger.token, shot, self.files, link)

    def _stock(self, theme: str) -> tuple[int, int]:
        return self.library.fresh(theme), self.ledger.making(theme)

    def _note_ended(self) -> None:
        """Report the shots that ended since the last call to the breaker."""
        for state in ("published", "aside"):
            for shot in self.ledger.lately(state, 50):
                if shot.id in self._seen:
                    continue
                self._seen.append(shot.id)
                if state == "published":
                    self.breaker.succeeded()
                    self.trouble = ""
                else:
                    self.breaker.failed()
                    self.trouble = f"{shot.id}: {shot.reason}"
                    log.warning("%s is set aside: %s", shot.id, shot.reason)

    def _look(self, everything: bool = False) -> None:
        """Restart shots in progress whose workflow is lost, set aside those whose workflow ended, and requeue the shots
        of silent workers."""
        making = self.ledger.in_state("making")
        token = self.ledger.token
        states = durable.states([f"{token}-{shot.id}" for shot in making])
        for shot in making:
            state, version = states.get(f"{token}-{shot.id}", ("", ""))
            if durable.is_over(state):
                job = self._job(shot)
                if (now := self.ledger.get(shot.id)) is not None and now.state == "making":
                    set_aside(self.channel, self.workspace, job, f"its workflow ended as {state}")
            elif not state or (everything and version != durable.VERSION):
                if state:
                    durable.forget(f"{token}-{shot.id}")
                durable.start(self._job(shot))
        if self.beats is not None:
            self.beats.requeue_lost(self.config.making.worker_lost_s, self.executor)

    def _compose(self) -> None:
        """Compose a music bed for the theme on air in the background, if it needs one."""
        if self._composing is not None and self._composing.done():
            done, self._composing = self._composing, None
            if (error := done.exception()) is not None:
                log.warning("composing a music bed failed: %s", error)
        theme = self.config.theme_at(self.config.clock.now())
        if self._composing is None and lacks_beds(self.config, theme):
            self._composing = self._pool.submit(make_bed, self.config, theme)

    def _evict(self) -> None:
        quota = self.config.disk.quota
        for id in self.library.evict(quota):
            log.info("%s was deleted: disk.quota is reached", id)
        counts = self.library.counts()
        self._full = counts["bytes"] > 0.9 * quota and counts["fresh"] >= counts["ready"]

    def _report_step(self, id: str, step: str) -> None:
        with contextlib.suppress(Exception):
            self.ledger.at_step(id.removeprefix(f"{self.ledger.token}-"), step)


def _able(model: str) -> bool:
    try:
        return can_continue(model)
    except KinemaError:  # a model known only to workers: all shots are cuts
        return False


def _write_status(config: ChannelConfig, state: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk
        write_state(config.root / "state" / "producer.json", state | {"at": time.time()})


def main(argv: list[str]) -> int:
    """`python -m kinema.channel.making.producer FILE [PARENT_PID]`: run the producer until its parent exits."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("kinema.channel").setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    config: ChannelConfig | None = None
    try:
        config = read(argv[0])
        lock = ChannelLock(config.root, "producer")
        producer = Producer(config)
        producer.launch()
        producer.run(stop, int(argv[1]) if len(argv) > 1 else None)
        producer.close()
        lock.close()
    except KinemaError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        if config is not None:
            _write_status(config, {"trouble": str(error)})
        os._exit(CANNOT if isinstance(error, RequestError | ModelError) else 1)  # other errors may be temporary
    except BaseException:  # generation threads would keep the process alive
        log.exception("the producer failed")
        os._exit(1)
    os._exit(0)  # does not wait for generation threads


if __name__ == "__main__":
    main(sys.argv[1:])
