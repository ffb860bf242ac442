"""How long a mask clip must be: checked from headers when an edit is planned, and from frames when they are read."""

from __future__ import annotations

from ..core.errors import RequestError


def check_length(given: int, wanted: int) -> None:
    """RequestError where a mask clip of `given` frames is shorter than the work."""
    if given < wanted:
        raise RequestError(
            f"The mask clip has {given} frames, the work has {wanted}.",
            field="conditions.mask.video",
            value=given,
            legal=f"{wanted} frames or more",
        )
