"""Planning for models that begin with a clip: it decides length and rate. No torch, no weights."""

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
    """The clip that is given, or None. RequestError where `strength` is named without one."""
    source = next((condition for condition in request.conditions if condition.kind == "source"), None)
    if source is None and "strength" in request.options:
        raise RequestError(
            "strength is how far a clip is taken back to noise; none is given.",
            field="options.strength", value=request.options["strength"], legal="a request with a source",
        )  # fmt: skip
    return source


def from_source(source: Any, request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """The request with the length and rate of its clip. RequestError where more frames are asked for than it has
    or it is to grow, MediaError where it cannot be read."""
    if any(source.grow):
        raise RequestError(
            f"{card.id} cannot grow a clip.", field="conditions.source.grow", value=source.grow, legal="0, 0, 0, 0",
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
            f"The clip has {given.num_frames} frames, {found.frames} are asked for.", field="frames",
            value=found.frames, legal=f"{card.frames.minimum} to {given.num_frames}", nearest=given.num_frames,
        )  # fmt: skip
    return found
