"""Work for the pools' tests, in a module of its own: a worker process imports nothing else."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadly:
    """Returns an item's square; dies on 3, raises on 4."""

    def open(self) -> None:
        pass

    def __call__(self, item):
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 4:
            raise ValueError("four")
        return item * item

    def failed(self, item, why):
        return item, why
