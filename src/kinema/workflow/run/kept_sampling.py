"""The state of a sampler on disk while it runs, so that one that is killed goes on where it was."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError
from ...core.plan import Plan

KEEP_S = 30.0
"""Seconds between two states."""


class KeptSampling:
    """One sampler's state in one file. The file's name is the key of the result, so it belongs to the same steps of the
    same plan. every_s: seconds between two states."""

    def __init__(self, path: Path, every_s: float | None = None) -> None:
        self.path, self.every_s = path, KEEP_S if every_s is None else every_s
        self.since = time.monotonic()

    def read(self, plan: Plan) -> Any:
        """The state of an earlier run; None if there is none, or it cannot be used."""
        from ...engine.resume import SamplingState

        try:
            state = SamplingState.read(self.path) if self.path.is_file() else None
        except (KinemaError, OSError):
            return None
        return state if state is not None and state.plan.deciding() == plan.deciding() else None

    def keep(self, state: Any) -> None:
        """Store a state, if the last one is old. A full disk only means that it is not kept."""
        if time.monotonic() - self.since >= self.every_s:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                state.save(self.path)
            self.since = time.monotonic()

    def remove(self) -> None:
        """Remove the state of a finished sampler."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
