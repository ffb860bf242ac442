"""Planning with a source clip that determines length and frame rate. Requires neither torch nor weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.card import Card
from ..core.errors import RequestError
from ..core.plan import Plan
from ..core.request import Request
from ..core.resolve import resolve
from . import inputs


def source_of(request: Request) -> Any:
    """The source clip of a request, or None. Raises RequestError if `strength` is given without one."""
    source = next((condition for condition in request.conditions if condition.kind == "source"), None)
    if source is None and "strength" in request.options:
        raise RequestError(
            "strength requires a source clip.",
            field="options.strength", value=request.options["strength"], legal="a request with a source",
        )  # fmt: skip
    return source


def from_source(source: Any, request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve a request with the length and frame rate of its clip. Raises RequestError if more frames are requested
    than it has or for outpainting, MediaError if it cannot be read."""
    if any(source.grow):
        raise RequestError(
            f"{card.id} does not support outpainting (grow).", field="conditions.source.grow",
            value=source.grow, legal="0, 0, 0, 0",
            models=[other.id for other in known if "mask" in other.accepts],
        )  # fmt: skip
    given = inputs.info(source.video)
    changes: dict[str, Any] = {}
    if request.frames is None and request.seconds is None:
        changes["frames"] = card.frames.at_most(given.num_frames)
    if request.fps is None:
        changes["fps"] = given.fps
    found = resolve(request.changed(**changes), card, known)
    if found.frames > given.num_frames:
        raise RequestError(
            f"The clip has {given.num_frames} frames, but {found.frames} are requested.", field="frames",
            value=found.frames, legal=f"{card.frames.minimum} to {given.num_frames}", nearest=given.num_frames,
        )  # fmt: skip
    return found
