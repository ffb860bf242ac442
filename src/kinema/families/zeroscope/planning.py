"""Planning for ModelScope and Zeroscope: a clip that is given decides length and rate. No torch, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...conditions import inputs
from ...core.card import Card
from ...core.errors import RequestError
from ...core.plan import Plan, resolve
from ...core.request import Request


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """The request resolved against a card of this family. RequestError, or MediaError for a clip that cannot be
    read."""
    resolve(request, card, known)  # refuse what the card refuses, before any file is opened
    source: Any = next((condition for condition in request.conditions if condition.kind == "source"), None)
    if source is None:
        if "strength" in request.options:
            raise RequestError(
                "strength is how far a clip is taken back to noise; none is given.",
                field="options.strength", value=request.options["strength"], legal="a request with a source",
            )  # fmt: skip
        return resolve(request, card, known)
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
            f"The clip has {given.num_frames} frames, {found.frames} are asked for.",
            field="frames", value=found.frames, legal=f"1 to {given.num_frames}", nearest=given.num_frames,
        )  # fmt: skip
    return found
