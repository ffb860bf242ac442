"""Small JSON files that are replaced whole: a reader sees the old one or the new one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def replace_bytes(path: Path, data: bytes) -> None:
    """Write beside and rename. OSError where the disk refuses (nothing half-written stays)."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temp.write_bytes(data)
        temp.replace(path)
    except OSError:
        temp.unlink(missing_ok=True)
        raise


def write_state(path: Path, value: Any) -> None:
    replace_bytes(path, json.dumps(value).encode())


def read_state(path: Path) -> Any:
    """The value, or None where the file is missing, unreadable or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
