"""A circuit breaker, and a writer with a fallback, so that the channel is never without shots.

After several consecutive failures the circuit opens: the first writer is not called for a pause. Then it is tried once,
and each further failure doubles the pause.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ...core.errors import KinemaError
from .shots import Brief, Episode
from .writer import Writer

log = logging.getLogger("kinema.channel")


@dataclass
class Breaker:
    """A circuit breaker. failures: consecutive failures that open it. pause_s: how long it first stays open, doubled up
    to longest_s. clock: monotonic seconds."""

    failures: int = 3
    pause_s: float = 60.0
    longest_s: float = 1800.0
    clock: Callable[[], float] = time.monotonic
    failed_in_a_row: int = field(default=0, init=False)
    _opened: int = field(default=0, init=False)
    _until: float = field(default=0.0, init=False)

    @property
    def is_open(self) -> bool:
        """Whether calls are suspended."""
        return self.clock() < self._until

    def succeeded(self) -> None:
        self.failed_in_a_row = self._opened = 0
        self._until = 0.0

    def failed(self) -> None:
        self.failed_in_a_row += 1
        if self.failed_in_a_row >= self.failures:
            self._until = self.clock() + min(self.pause_s * 2**self._opened, self.longest_s)
            self._opened = min(self._opened + 1, 30)


class SteadyWriter:
    """Uses `first` while it works, else `second`. error: why `first` did not write the last episode; empty if it
    did."""

    def __init__(self, first: Writer, second: Writer, breaker: Breaker | None = None) -> None:
        self.first, self.second = first, second
        self.breaker = breaker if breaker is not None else Breaker()
        self.error = ""
        self.name = f"{first.name}, else {second.name}"

    def episode(self, brief: Brief) -> Episode:
        if not self.breaker.is_open:
            try:
                episode = self.first.episode(brief)
            except KinemaError as error:
                self.breaker.failed()
                self.error = str(error)
                log.warning("the %s failed to write episode %d: %s", self.first.name, brief.number, error)
            else:
                self.breaker.succeeded()
                self.error = ""
                return episode
        return self.second.episode(brief)
