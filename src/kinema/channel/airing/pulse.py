"""Detect whether a process without heartbeats hangs, or waits for CPU time on a busy machine.

/proc shows a stopped process (state T). A process that hangs in a system call, a lock or a loop is distinguished from
one that waits for a core by the run-queue time of its threads (schedstat), which does not count as silence. Neither
does time in which the watcher itself did not run. Without /proc, only the longest limit applies.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.2
"""Interval of the checks. In a much longer interval, the watcher itself did not run."""


@dataclass(frozen=True)
class PulseLimits:
    """Timeouts of a process. first_s: until the first heartbeat. stopped_s: in state T. hung_s: without a heartbeat,
    excluding time in the run queue. stall_s: without a heartbeat, in any case. quick_s: a run shorter than this failed
    to start; consecutive failures double the pause, up to longest_pause_s."""

    first_s: float = 45.0
    stopped_s: float = 0.4
    hung_s: float = 1.5
    stall_s: float = 4.0
    quick_s: float = 10.0
    pause_s: float = 0.1
    longest_pause_s: float = 10.0


class Pulse:
    """Watches one process; call `trouble` every LOOK_S. factor: multiplies hung_s. proc: the /proc folder."""

    def __init__(self, pid: int, limits: PulseLimits, factor: float = 1.0, proc: Path = Path("/proc")) -> None:
        self.limits, self.factor, self._folder = limits, factor, proc / str(pid)
        now = time.monotonic()
        self._heard = self._asked = now
        self._lost = 0.0
        self._beaten, self._stopped_at = False, -1.0
        self._late: tuple[float, dict[str, float]] | None = None

    def beat(self, now: float) -> None:
        self._heard = self._asked = now
        self._beaten, self._late, self._lost = True, None, 0.0

    def trouble(self, now: float) -> str:
        """The reason to kill the process, or ""."""
        limits, away = self.limits, now - self._asked - LOOK_S
        self._asked = now
        if away > 2 * LOOK_S:
            self._lost += away
        silent = now - self._heard - self._lost
        if self._stopped():
            if self._stopped_at < 0:
                self._stopped_at = now
            if now - self._stopped_at >= limits.stopped_s:
                return "process stopped"
        else:
            self._stopped_at = -1.0
        if silent > (limits.stall_s if self._beaten else limits.first_s):
            return "no heartbeat"
        if not self._beaten or silent < min(2 * LOOK_S, limits.hung_s):
            return ""
        waited = self._waited()
        if self._late is None:
            self._late = (silent, waited)
        since, before = self._late
        if not any(waited.values()):  # the system has no schedstat
            return ""
        starved = max((spent - before.get(thread, 0.0) for thread, spent in waited.items()), default=0.0)
        if silent - min(starved, silent - since) > limits.hung_s * self.factor:
            return "no heartbeat"
        return ""

    def _stopped(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            return (self._folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][0] == "T"
        return False

    def _waited(self) -> dict[str, float]:
        """Seconds that each thread has spent in the run queue."""
        seconds = {}
        with contextlib.suppress(OSError):
            for task in (self._folder / "task").iterdir():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    seconds[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return seconds
