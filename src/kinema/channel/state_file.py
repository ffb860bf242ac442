"""Status of a channel's processes, in small JSON files that are replaced about once a second.

The owning process rewrites its file, so a damaged one is not preserved; files of a later version are not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.json_state import JsonState
from ..core.outside import of_kind
from ..core.whole import write_bytes

VERSION = 1


def encoded(path: Path, value: dict[str, Any]) -> bytes:
    """The bytes of a state file."""
    return _state(path).encoded(value)


def write_state(path: Path, value: dict[str, Any]) -> None:
    """Replace a state file atomically, without fsync. OSError if the disk refuses."""
    write_bytes(path, encoded(path, value), durable=False)


def read_state(path: Path) -> dict[str, Any] | None:
    """The value, or None if the file is missing, damaged or of a later version."""
    return _state(path).read().value or None


def _state(path: Path) -> JsonState:
    return JsonState(path, VERSION, {0: lambda value: of_kind(value, str(path), dict)}, indent=None)
