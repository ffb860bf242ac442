"""Planning for AnimateDiff: the image model decides sizes; a clip that is given decides length and rate. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...conditions import inputs
from ...core.card import Card, SizeRule
from ...core.errors import RequestError, WeightsMissing
from ...core.plan import Plan, resolve
from ...core.request import Request
from . import bases


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """The request resolved against a card of this family and its image model, where that is on this machine (else as
    Stable Diffusion 1.5 is). RequestError, or MediaError for a clip that cannot be read."""
    card = _with_base(request, card)
    found = resolve(request, card, known)  # refuse what the card refuses, before any file is opened
    length, overlap = (int(str(found.options[name])) for name in ("context_length", "context_overlap"))
    if overlap >= length:
        raise RequestError(
            f"Windows of {length} frames cannot share {overlap}.",
            field="options.context_overlap", value=overlap, legal=f"1 to {length - 1}", nearest=length // 2,
        )  # fmt: skip
    source: Any = next((condition for condition in request.conditions if condition.kind == "source"), None)
    if source is None:
        if "strength" in request.options:
            raise RequestError(
                "strength is how far a clip is taken back to noise; none is given.",
                field="options.strength", value=request.options["strength"], legal="a request with a source",
            )  # fmt: skip
        return _said(found, length)
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
            field="frames", value=found.frames, legal=f"2 to {given.num_frames}", nearest=given.num_frames,
        )  # fmt: skip
    return _said(found, length)


def _with_base(request: Request, card: Card) -> Card:
    """The card with the sizes of the wanted image model."""
    wanted = request.options.get("base", card.options["base"].default)
    try:
        base = bases.find(str(wanted))
    except WeightsMissing:
        return card
    if (base.stride, base.side_px) == (8, card.size.trained[0][0]):
        return card
    side, grid = base.side_px, base.grid
    size = SizeRule(multiple=grid, trained=((side, side),), min_side=grid, max_side=4 * side, max_area=(2 * side) ** 2)
    return card.model_copy(
        update={"size": size, "network": card.network.model_copy(update={"space_stride": base.stride})}
    )


def _said(found: Plan, length: int) -> Plan:
    """With a note on windows in the place of the one on length: the adapter never sees more than it knows."""
    if found.frames <= length:
        return found
    notes = [note for note in found.notes if "these weights were trained on" not in note or "frames" not in note]
    notes.append(f"{found.frames} frames go through in windows of {length}; memory does not grow with them.")
    return found.model_copy(update={"notes": tuple(notes)})
