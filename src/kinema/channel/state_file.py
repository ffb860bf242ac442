"""How a channel's processes are, in small JSON files that they replace every second or so and others read.

Each is made anew by the process that it is of, so that a damaged one is not kept; one of a later version is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.json_state import JsonState
from ..core.outside import of_kind
from ..core.whole import write_bytes

VERSION = 1


def encoded(path: Path, value: dict[str, Any]) -> bytes:
    """The bytes of such a file."""
    return _state(path).encoded(value)


def write_state(path: Path, value: dict[str, Any]) -> None:
    """Replace a file; the disk is not waited for. OSError where it refuses (nothing half-written stays)."""
    write_bytes(path, encoded(path, value), durable=False)


def read_state(path: Path) -> dict[str, Any] | None:
    """The value, or None where the file is missing, damaged or of a later version."""
    return _state(path).read().value or None


def _state(path: Path) -> JsonState:
    return JsonState(path, VERSION, {0: lambda value: of_kind(value, str(path), dict)}, indent=None)
