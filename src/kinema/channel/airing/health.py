"""The playout's status file (state/status.json, replaced every second) and its heartbeat, which needs no disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from ..state_file import encoded
from .reserve import Reserve

BEAT_FD = "KINEMA_BEAT_FD"
"""The environment variable with the file descriptor of the heartbeat pipe to the supervisor."""


class Health:
    """Call `beat` several times and `report` about once per second of output; neither blocks nor raises. alone: the
    supervisor has exited."""

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

    def report(self, status: dict[str, Any]) -> None:
        """Write the status file."""
        try:
            self.reserve.put(self.path, encoded(self.path, status))
            self.reserve.provide([16_384])
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def clear(self) -> None:
        """Remove the status file when the playout stops."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
