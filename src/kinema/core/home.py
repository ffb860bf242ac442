"""The folder of Kinema's own files on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Kinema's data folder: $KINEMA_HOME, else `kinema` in the user's data folder."""
    if folder := os.environ.get("KINEMA_HOME"):
        return Path(folder).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "kinema"
