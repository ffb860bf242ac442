"""Is a process that owes a beat hung, or is it only that the machine is busy?

A stopped process says so in /proc (state T). One that hangs in a system call, a lock or a loop does not; what tells
it from one that waits for a core is the time that its threads spent in the run queue (schedstat), which is not held
against it. Neither is time in which the watcher itself was not run. Where /proc does not tell, the longest patience
holds.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.2
"""How often the watcher asks. An interval that was much longer is one in which it did not run itself."""


@dataclass(frozen=True)
class PulseLimits:
    """first_s: from the start to the first beat. stopped_s: in state T. hung_s: without a beat, of the time in which it
    could have run. stall_s: without a beat, whatever the machine is doing. quick_s: a run shorter than this failed to
    start, and each such failure in a row doubles the pause, up to longest_pause_s."""

    first_s: float = 45.0
    stopped_s: float = 0.4
    hung_s: float = 1.5
    stall_s: float = 4.0
    quick_s: float = 10.0
    pause_s: float = 0.1
    longest_pause_s: float = 10.0


class Pulse:
    """Ask `trouble` every LOOK_S. factor: stretches hung_s, after alarms that did not help. proc: as /proc."""

    def __init__(self, pid: int, patience: PulseLimits, factor: float = 1.0, proc: Path = Path("/proc")) -> None:
        self.patience, self.factor, self._folder = patience, factor, proc / str(pid)
        now = time.monotonic()
        self._heard = self._asked = now
        self._lost = 0.0
        self._beaten, self._stopped_at = False, -1.0
        self._late: tuple[float, dict[str, float]] | None = None

    def beat(self, now: float) -> None:
        self._heard = self._asked = now
        self._beaten, self._late, self._lost = True, None, 0.0

    def trouble(self, now: float) -> str:
        """What is the matter; "" while there is hope."""
        patience, away = self.patience, now - self._asked - LOOK_S
        self._asked = now
        if away > 2 * LOOK_S:
            self._lost += away
        silent = now - self._heard - self._lost
        if self._stopped():
            if self._stopped_at < 0:
                self._stopped_at = now
            if now - self._stopped_at >= patience.stopped_s:
                return "it was stopped"
        else:
            self._stopped_at = -1.0
        if silent > (patience.stall_s if self._beaten else patience.first_s):
            return "its output clock stood still"
        if not self._beaten or silent < min(2 * LOOK_S, patience.hung_s):
            return ""
        waited = self._waited()
        if self._late is None:
            self._late = (silent, waited)
        since, before = self._late
        if not any(waited.values()):  # this system keeps no such counts
            return ""
        starved = max((spent - before.get(thread, 0.0) for thread, spent in waited.items()), default=0.0)
        if silent - min(starved, silent - since) > patience.hung_s * self.factor:
            return "its output clock stood still"
        return ""

    def _stopped(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            return (self._folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][0] == "T"
        return False

    def _waited(self) -> dict[str, float]:
        """Seconds that each thread was ready to run and got no core."""
        found = {}
        with contextlib.suppress(OSError):
            for task in (self._folder / "task").iterdir():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    found[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        return found
