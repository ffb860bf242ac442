"""Time as the playout sees it. It paces by a clock that nobody can set; the wall clock only dates what goes out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """steady: seconds that only go forward. wall: seconds since 1970, which may be set at any moment. boot: names the
    run of the machine that `steady` counts in."""

    boot: str

    def steady(self) -> float: ...

    def wall(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def __init__(self) -> None:
        try:
            self.boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            self.boot = ""

    steady = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
    sleep = staticmethod(time.sleep)


class FastClock:
    """Sleeping takes no time: a day passes as quickly as its work is done. `set_wall` is somebody setting the clock."""

    def __init__(self, steady: float = 1000.0, wall: float = 1_800_000_000.0, boot: str = "fast") -> None:
        self.now, self.offset, self.boot = steady, wall - steady, boot

    def steady(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

    def set_wall(self, step_s: float) -> None:
        self.offset += step_s
