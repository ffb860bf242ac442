"""Tora's long clips: sampled in windows of context frames (engine/context.py). No torch."""

from __future__ import annotations

from ....core.errors import RequestError
from ....core.plan import Plan
from ..options import CogVideoXOptions

STEP, SHORTEST = 8, 9


def with_windows(found: Plan) -> Plan:
    """The plan, with a note if it is sampled in windows. RequestError for windows of an illegal length or overlap."""
    options = CogVideoXOptions.of(found)
    length, overlap = options.context_length, options.context_overlap
    if not length:
        return found
    if length < SHORTEST or (length - 1) % STEP:
        near = max(SHORTEST, round((length - 1) / STEP) * STEP + 1)
        raise RequestError(
            f"Windows of {length} frames are not possible.", field="options.context_length", value=length,
            legal=f"0 (no windows), or {STEP}n+1 frames from {SHORTEST}", nearest=near,
        )  # fmt: skip
    options.check_windows()
    if found.frames <= length:
        return found
    notes = [note for note in found.notes if not note.startswith(f"{found.frames} frames are more than")]
    notes.append(f"{found.frames} frames are sampled in windows of {length}, which share {overlap} or more.")
    return found.model_copy(update={"notes": tuple(notes)})
