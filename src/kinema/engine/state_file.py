"""Recognition of saved states by their header. Requires no torch."""

from __future__ import annotations

import json
from pathlib import Path

from ..core.errors import KinemaError, MediaError
from ..core.outside import exists
from ..weights.headers import header


def check(path: Path) -> None:
    """Raise MediaError if the file does not exist or is not a saved state."""
    kind(path)


def kind(path: Path) -> str:
    """Return the kind of a saved state: "fill", or "" for a sampling state. Raises MediaError as `check`."""
    if not exists(path):
        raise MediaError(f"{path}: no such file.")
    try:
        notes = header(path).get("__metadata__")
    except KinemaError:
        notes = None
    if not isinstance(notes, dict) or "kinema" not in notes:
        raise MediaError(f"{path}: not a saved sampling state (`kinema generate --keep-state FILE` writes one).")
    try:
        facts = json.loads(notes["kinema"])
    except (ValueError, TypeError, RecursionError):
        facts = None
    return str(facts.get("kind", "")) if isinstance(facts, dict) else ""
