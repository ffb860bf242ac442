"""How the channel is: state/status.json, replaced every second, and a beat that a full disk cannot stop."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ..state_file import write_state

BEAT_FD = "KINEMA_BEAT_FD"
"""The environment's name for the pipe that the supervisor listens to."""


class Health:
    """`tell` is called about once a second of the output's clock; it never raises. alone: the supervisor is gone."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "status.json"
        self.trouble, self.alone = "", False
        named = os.environ.pop(BEAT_FD, "")
        self._beat = int(named) if named.isdigit() else None
        if self._beat is not None:
            os.set_blocking(self._beat, False)
            os.set_inheritable(self._beat, False)

    def tell(self, status: dict[str, Any]) -> None:
        if self._beat is not None:
            try:
                os.write(self._beat, f"{status['frame']}\n".encode())
            except BlockingIOError:
                pass
            except OSError:
                self.alone = True
        try:
            write_state(self.path, status)
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def last(self) -> None:
        """The process ends in order: what is written then is no longer true."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
