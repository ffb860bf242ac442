"""How the threads of numerical libraries wait, and how many of them a process keeps busy.

OpenMP threads that wait for each other spin for a long time by default. Beside other work on the same cores a spinning
thread holds the core that the thread it waits for needs, and a generation takes fifty times as long. How long they spin
counts only if it is in the environment before the OpenMP library is loaded, so before torch is imported; that is why
the package settles it when it is itself imported, and why every process that it starts inherits it. Where other work
keeps cores busy, fewer threads are faster still.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Whoever sets one of these has decided how threads wait."""
SPINS, BLOCKTIME_MS = "10000", "1"
"""A fraction of a millisecond: a thread that is ready soon is still met awake (docs/performance.md)."""

WATCHED_S = 0.15
"""So long at least it is looked how busy the machine is."""
CROWDED = 1.5
"""Other work that makes this one take so many times as long is worth a word."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
STAT = Path("/proc/stat")
SCHEDSTAT = Path("/proc/self/schedstat")
TELLING_S = 0.3
"""Seconds of running after which it is known anew how crowded the machine is."""

_decided: int | None = None
_queue = (0.0, 0.0)
"""Seconds run and waited when `crowd` answered last."""
_crowd: float | None = None


class Look(NamedTuple):
    """A moment: seconds on the clock, and seconds that all cores were busy for others until then; None where the system
    does not tell."""

    at_s: float
    busy_s: float | None


def settle() -> None:
    """Let OpenMP threads spin only shortly while they wait, and start no more of them than this process has cores.
    Settings that the user has made stay as they are."""
    if not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"] = SPINS, BLOCKTIME_MS
    if "OMP_NUM_THREADS" not in os.environ and cores() < _affinity():
        os.environ["OMP_NUM_THREADS"] = str(cores())


def look() -> Look:
    return Look(time.monotonic(), _busy_s())


def free(since: Look | None = None) -> int:
    """Cores that other work leaves to this process, one at least: decided at the first call, by how busy the machine
    was `since` then (None: now), and kept, since the last bits of a result depend on the number of threads. The user's
    OMP_NUM_THREADS where that is set."""
    global _decided
    if _decided is None:
        given = os.environ.get("OMP_NUM_THREADS", "")
        _decided = int(given) if given.isdigit() and int(given) else max(1, cores() - round(_others_busy(since)))
    return _decided


def take(threads: int) -> None:
    """Let `free` give this number from now on, as a clip that is made again needs it; the user's own setting stays."""
    global _decided
    if 0 < threads <= cores() and not os.environ.get("OMP_NUM_THREADS"):
        _decided = threads


def _others_busy(since: Look | None = None) -> float:
    """Cores that other processes keep busy, those of low priority apart; 0 where the system does not tell."""
    before = since or look()
    if before.busy_s is None or cores() < (os.cpu_count() or 1):
        return 0.0
    time.sleep(max(0.0, before.at_s + WATCHED_S - time.monotonic()))
    after = look()
    return 0.0 if after.busy_s is None else max(0.0, (after.busy_s - before.busy_s) / (after.at_s - before.at_s))


def _busy_s() -> float | None:
    """Seconds that all cores were busy for others so far, in work of ordinary priority."""
    try:
        user, _low, system = (int(each) for each in STAT.read_text(encoding="ascii").split()[1:4])
        return (user + system) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:2])
    except (OSError, ValueError, AttributeError):
        return None


def cores() -> int:
    """Cores that this process may run on: its affinity, and the share that its container grants."""
    limit = quota()
    return _affinity() if limit is None else min(_affinity(), limit)


def crowd() -> float:
    """How many times as long work takes as on an idle machine; 1 where the system does not tell.

    Linux tells how long this process ran and how long it was ready to run and got no core: their sum is to the first as
    it is for the work to come, if that goes on beside the same other work. Counted is what has happened since the last
    answer, if it is enough to tell. Elsewhere the load average of the last minute is an upper bound: it lags, and
    counts work of low priority, which makes way; its root lies in the middle, in ratio, between that bound and none."""
    global _queue, _crowd
    now = _queued()
    if now is not None:
        ran, waited = now[0] - _queue[0], now[1] - _queue[1]
        if ran >= TELLING_S or (_crowd is None and ran > 0.02):
            _queue, _crowd = now, (ran + waited) / ran
        if _crowd is not None:
            return max(1.0, _crowd)
    try:
        waiting = os.getloadavg()[0]
    except (OSError, AttributeError):
        return 1.0
    return float(max(1.0, (waiting + 1) / cores()) ** 0.5)


def is_crowded() -> bool:
    """Is there so much other work that it is worth a word?"""
    return crowd() >= CROWDED


def _queued() -> tuple[float, float] | None:
    """Seconds that this process's first thread ran so far, and waited for a core; None where the system does not
    tell."""
    try:
        ran, waited = SCHEDSTAT.read_text(encoding="ascii").split()[:2]
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return None


def alone(wall_s: float, processor_s: float) -> float:
    """Seconds that work would have taken on an idle machine: those on the wall, or, on a crowded one, those that its
    processor time says, if they are fewer."""
    return min(wall_s, processor_s) if is_crowded() else wall_s


def quota() -> int | None:
    """Whole cores' worth of time that the container grants (cgroup v2, rounded up); None without a limit. OpenMP does
    not look at it: with 64 cores and a grant of two it would start 64 threads."""
    try:
        granted, period = QUOTA.read_text(encoding="ascii").split()[:2]
        return None if granted == "max" else max(1, -(-int(granted) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
