"""Small JSON files that are replaced whole: a reader sees the old one or the new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError
from ..core.outside import read_json
from ..core.whole import whole


def replace_bytes(path: Path, data: bytes) -> None:
    """Write beside and rename; the disk is not waited for. OSError where it refuses (nothing half-written stays)."""
    with whole(path, durable=False) as beside:
        beside.write_bytes(data)


def write_state(path: Path, value: Any) -> None:
    replace_bytes(path, json.dumps(value).encode())


def read_state(path: Path) -> Any:
    """The value, or None where the file is missing, unreadable or no JSON."""
    try:
        return read_json(path)
    except (OSError, KinemaError):
        return None
