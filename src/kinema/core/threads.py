"""The spin time and number of threads of numerical libraries.

OpenMP threads that wait for each other spin for a long time by default. With other work on the same cores, a spinning
thread occupies the core that the awaited thread needs, and a generation takes fifty times as long. The spin time is
read from the environment when the OpenMP library is loaded, that is before torch is imported; therefore the package
sets it at import, and child processes inherit it. When other work occupies cores, fewer threads are faster still.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""If the user has set one of these, none is changed."""
SPINS, BLOCKTIME_MS = "10000", "1"
"""A fraction of a millisecond, enough for threads that are ready soon (docs/performance.md)."""

WATCHED_S = 0.15
"""Minimum duration of a measurement of the machine's load."""
CROWDED = 1.5
"""Slowdown by other work from which the user is informed."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
STAT = Path("/proc/stat")
SCHEDSTAT = Path("/proc/self/schedstat")
TELLING_S = 0.3
"""Seconds of running time between updates of `crowd`."""

_decided: int | None = None
_queue = (0.0, 0.0)
"""Seconds run and waited at the last update of `crowd`."""
_crowd: float | None = None


class LoadSample(NamedTuple):
    """A sample of the load: clock time in seconds, and seconds that all cores have spent on other processes; None if
    the system does not report it."""

    at_s: float
    busy_s: float | None


def settle() -> None:
    """Limit the spin time of OpenMP threads and their number to the cores of this process. Settings of the user take
    precedence."""
    if not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"], os.environ["KMP_BLOCKTIME"] = SPINS, BLOCKTIME_MS
    if "OMP_NUM_THREADS" not in os.environ and cores() < _affinity():
        os.environ["OMP_NUM_THREADS"] = str(cores())


def sample_load() -> LoadSample:
    return LoadSample(time.monotonic(), _busy_s())


def free_cores(since: LoadSample | None = None) -> int:
    """Cores that other work leaves to this process, at least one, or the user's OMP_NUM_THREADS. Decided at the first
    call by the load since `since` (None: now) and then cached, because the last bits of a result depend on the number
    of threads."""
    global _decided
    if _decided is None:
        given = os.environ.get("OMP_NUM_THREADS", "")
        _decided = int(given) if given.isdigit() and int(given) else max(1, cores() - round(_others_busy(since)))
    return _decided


def use_threads(threads: int) -> None:
    """Make `free_cores` return this number, as a rerun requires; the user's own setting takes precedence."""
    global _decided
    if 0 < threads <= cores() and not os.environ.get("OMP_NUM_THREADS"):
        _decided = threads


def _others_busy(since: LoadSample | None = None) -> float:
    """Cores occupied by other processes, except those of low priority; 0 if the system does not report it."""
    before = since or sample_load()
    if before.busy_s is None or cores() < (os.cpu_count() or 1):
        return 0.0
    time.sleep(max(0.0, before.at_s + WATCHED_S - time.monotonic()))
    after = sample_load()
    return 0.0 if after.busy_s is None else max(0.0, (after.busy_s - before.busy_s) / (after.at_s - before.at_s))


def _busy_s() -> float | None:
    """Seconds that all cores have spent on other processes of normal priority."""
    try:
        user, _low, system = (int(each) for each in STAT.read_text(encoding="ascii").split()[1:4])
        return (user + system) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:2])
    except (OSError, ValueError, AttributeError):
        return None


def cores() -> int:
    """Cores that this process may use: its affinity, limited by the quota of its container."""
    limit = quota()
    return _affinity() if limit is None else min(_affinity(), limit)


def crowd() -> float:
    """The slowdown of work relative to an idle machine; 1 if the system does not report it.

    Linux reports how long this process ran and how long it was ready but waited for a core: (ran + waited) / ran,
    measured since the last update if that is long enough. Elsewhere the load average of the last minute is an upper
    bound: it lags, and counts work of low priority, which yields; its square root is the geometric mean of that bound
    and 1."""
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
    """Whether other work slows this process enough to inform the user."""
    return crowd() >= CROWDED


def _queued() -> tuple[float, float] | None:
    """Seconds that this process's main thread has run, and has waited for a core; None if the system does not report
    them."""
    try:
        ran, waited = SCHEDSTAT.read_text(encoding="ascii").split()[:2]
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return None


def alone(wall_s: float, processor_s: float) -> float:
    """Seconds that work would have taken on an idle machine: wall time, or on a crowded machine the processor time if
    that is less."""
    return min(wall_s, processor_s) if is_crowded() else wall_s


def quota() -> int | None:
    """The container's CPU quota in cores (cgroup v2, rounded up); None without a limit. OpenMP ignores it: with 64
    cores and a quota of two it would start 64 threads."""
    try:
        granted, period = QUOTA.read_text(encoding="ascii").split()[:2]
        return None if granted == "max" else max(1, -(-int(granted) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
