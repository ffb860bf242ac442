"""Clocks of the playout: a monotonic clock for pacing and the wall clock for dates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """steady: monotonic seconds. wall: seconds since 1970, adjustable at any time. boot: identifies the system boot
    that `steady` counts from."""

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
    """A simulated clock on which sleeping takes no time. `set_wall` adjusts the wall clock."""

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
