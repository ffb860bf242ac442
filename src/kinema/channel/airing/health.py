"""How the channel is: state/status.json, replaced every second, and a beat that a full disk cannot stop."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ..state_file import encoded
from .reserve import Reserve

BEAT_FD = "KINEMA_BEAT_FD"
"""The environment's name for the pipe that the supervisor listens to."""


class Health:
    """`beat` is called some times in a second of the output's clock, `tell` about once; they never wait or raise.
    alone: the supervisor is gone."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "status.json"
        self.trouble, self.alone = "", False
        self.reserve = Reserve(self.path.parent, "status")
        named = os.environ.pop(BEAT_FD, "")
        self._beat = int(named) if named.isdigit() else None
        if self._beat is not None:
            os.set_blocking(self._beat, False)
            os.set_inheritable(self._beat, False)

    def beat(self, frame: int) -> None:
        if self._beat is not None:
            try:
                os.write(self._beat, f"{frame}\n".encode())
            except BlockingIOError:
                pass
            except OSError:
                self.alone = True

    def tell(self, status: dict[str, Any]) -> None:
        try:
            self.reserve.put(self.path, encoded(self.path, status))
            self.reserve.provide([16_384])
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def last(self) -> None:
        """The process ends in order: what is written then is no longer true."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
