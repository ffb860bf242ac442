"""The states of samplers in files while they run, so that one that is killed goes on where it was."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError

KEEP_S = 30.0
"""Seconds between two states."""


class DraftStates:
    """The states of one run's samplers. file: of the key of a result, which stands for the plan and the steps."""

    def __init__(self, file: Callable[[str], Path]) -> None:
        self.file = file
        self.since = time.monotonic()

    def kept(self, key: str, /) -> Any:
        """The state that an interrupted run left; None if there is none, or it cannot be read."""
        from ...engine.resume import SamplingState

        self.since = time.monotonic()
        path = self.file(key)
        try:
            return SamplingState.read(path) if path.is_file() else None
        except (KinemaError, OSError):
            return None

    def keep(self, key: str, _node: str, state: Any, /) -> None:
        """Store a state, if the last one is old. A full disk only means that it is not kept."""
        if time.monotonic() - self.since >= KEEP_S:
            path = self.file(key)
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                state.save(path)
            self.since = time.monotonic()
