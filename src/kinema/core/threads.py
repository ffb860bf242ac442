"""How the threads of numerical libraries wait, and how many of them a process may keep busy.

OpenMP threads that wait for each other spin by default. Beside other work on the same cores a spinning thread holds
the core that the thread it waits for needs, and a generation takes ten times as long. These settings count only if
they are in the environment before the OpenMP library is loaded, so before torch is imported; that is why the package
applies them when it is itself imported, and why every process that it starts inherits them.
"""

from __future__ import annotations

import os
from pathlib import Path

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Whoever sets one of these has decided how threads wait."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def settle() -> None:
    """Let OpenMP threads sleep while they wait, and start no more of them than this process has cores. Settings that
    the user has made stay as they are."""
    if not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if "OMP_NUM_THREADS" not in os.environ and cores() < _affinity():
        os.environ["OMP_NUM_THREADS"] = str(cores())


def cores() -> int:
    """Cores that this process may run on: its affinity, and the share that its container grants."""
    limit = quota()
    return _affinity() if limit is None else min(_affinity(), limit)


CROWDED = 1.5
"""Other work that makes this one take so many times as long is worth a word."""


def crowd() -> float:
    """How many times as long work takes as on an idle machine, roughly; 1 where the system does not tell.

    The load average of the last minute is an upper bound: it lags, and counts work of low priority, which makes way.
    Its root lies in the middle, in ratio, between that bound and none."""
    try:
        waiting = os.getloadavg()[0]
    except (OSError, AttributeError):
        return 1.0
    return float(max(1.0, (waiting + 1) / cores()) ** 0.5)


def alone(wall_s: float, processor_s: float) -> float:
    """Seconds that work would have taken on an idle machine: those on the wall, or, on a crowded one, those that its
    processor time says, if they are fewer."""
    return min(wall_s, processor_s) if crowd() >= CROWDED else wall_s


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
