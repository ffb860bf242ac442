"""A maker for tests (`model = "python:fake_maker:FakeMaker"`) that logs its calls and fails on request.

FAKE_LOG: a file that gets a line for each begin and end. FAKE_SECONDS: the duration of a call. FAKE_POISON: suffixes of
ids that always fail; FAKE_KILLER: suffixes of ids that kill the process. FakeContinuer can continue a clip and logs the
background gray of its tail, which depends on the seed.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from kinema.channel.making.job import KNOWN_FRAMES, ShotOrder
from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError
from kinema.media.read import read_video
from kinema.media.write import write


def _ends(job: ShotOrder, name: str) -> bool:
    return any(job.id.endswith(end) for end in os.environ.get(name, "").split())


class FakeMaker:
    def check(self, job: ShotOrder) -> None:
        pass

    def make(self, job: ShotOrder, target: Path) -> None:
        self._note("begin", job)
        if _ends(job, "FAKE_KILLER"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0.1")))
        if _ends(job, "FAKE_POISON"):
            raise KinemaError("this one cannot be drawn")
        frames = np.full((8, 32, 32, 3), job.seed % 200, np.uint8)
        frames[:, 8:24, 8:24] = np.arange(0, 240, 30, dtype=np.uint8)[:, None, None, None]
        write([Chunk(frames, 0, 8.0)], target, quality="draft")
        self._note("end", job)

    def _note(self, event: str, job: ShotOrder) -> None:
        with Path(os.environ["FAKE_LOG"]).open("a") as log:
            log.write(f"{event} {job.id.split('-')[-1]} {job.profile} {os.getpid()}\n")


class FakeContinuer(FakeMaker):
    def continues(self) -> bool:
        return True

    def make(self, job: ShotOrder, target: Path) -> None:
        if job.tail:
            frames, _ = read_video(job.tail)
            assert frames.shape == (KNOWN_FRAMES, 32, 32, 3)  # the size before upscaling
            with Path(os.environ["FAKE_LOG"]).open("a") as log:
                log.write(f"tail {job.id.split('-')[-1]} {round(float(frames[:, :4].mean()))}\n")
        super().make(job, target)
