"""A channel whose jobs a test runs itself, one after the other, in its own process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from episode_of import plan

from kinema.channel.config import ChannelConfig, Making, Music, Picture
from kinema.channel.making.producer import Producer
from kinema.jobs.attempts import Worker
from kinema.jobs.claims import Claims
from kinema.jobs.job import Job
from kinema.jobs.pool import EnginePool

THEME = "a ball on a meadow"


class ShotRunner:
    """continuities: of the shots of one episode; none: the test plans its own. making: settings of `[making]`."""

    def __init__(self, folder: Path, continuities: Sequence[str] = (), *, quality: str = "draft", seconds: float = 2.0,
                 music: Music | None = None, picture: Picture | None = None, **making: Any) -> None:  # fmt: skip
        config = ChannelConfig(
            folder=str(folder), theme=THEME, picture=picture or Picture(width=64, height=64),
            making=Making(**({"pause_s": 0.0} | making)), music=music or Music(beds=0),
        )  # fmt: skip
        self.producer, self.quality = Producer(config), quality
        self.store, self.ledger, self.library = self.producer.store, self.producer.ledger, self.producer.library
        self.worker = Worker(self.store, "w", EnginePool("cpu"))
        self.ids = plan(self.ledger, THEME, continuities, seconds=seconds) if continuities else []

    def begin(self) -> str:
        shot = self.ledger.begin(THEME, self.quality, in_order=self.producer.able)
        assert shot is not None
        return shot.id

    def step(self, stop: threading.Event | None = None) -> Job | None:
        """Run one job and return it as it ended; None if there is none. stop: of the worker."""
        self.producer.dispatch.advance()
        claim = Claims(self.store, "w").take()
        if claim is None:
            return None
        self.worker._attempt(claim, stop or threading.Event())
        return self.store.get(claim.job.id)

    def finish(self) -> list[Job]:
        """Run all jobs; return them as they ended."""
        found = []
        while (job := self.step()) is not None:
            found.append(job)
        return found

    def file(self, job: Job, name: str = "media") -> Path:
        """A file of a job's result."""
        return self.store.media.path(job.result[name])

    def left(self) -> list[str]:
        """The names of the jobs that are stored, and the number of media beyond theirs."""
        self.producer.dispatch.advance()
        jobs = self.store.list()
        named = {job.result[name] for job in jobs for name in ("media", "tail") if job.result and name in job.result}
        with self.store.database.look() as do:
            stored = do("SELECT count(*) AS num FROM kinema_media")[0]["num"]
        return sorted([job.name for job in jobs] + ["media"] * (stored - len(named)))
