"""Planning for AnimateDiff: the image model decides sizes; a clip that is given decides length and rate. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from ...conditions import upscale
from ...conditions.source_clip import from_source, source_of
from ...core.card import Card
from ...core.errors import RequestError
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve
from ...sd.bases import named, with_base
from . import beside
from .options import AnimateDiffOptions


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """The request resolved against a card of this family and its image model, where that is on this machine (else as
    Stable Diffusion 1.5 is). RequestError, or MediaError for a clip that cannot be read."""
    card = with_base(named(request, card), card)
    to_upscale = request.canvas == "upscale"
    resolved = upscale.plan if to_upscale else resolve
    found = resolved(request, card, known)  # refuse what the card refuses, before any file is opened
    options = AnimateDiffOptions.of(found)
    length, overlap = options.context_length, options.context_overlap
    if overlap >= length:
        raise RequestError(
            f"Windows of {length} frames cannot share {overlap}.",
            field="options.context_overlap", value=overlap, legal=f"1 to {length - 1}", nearest=length // 2,
        )  # fmt: skip
    beside.check(request)
    if to_upscale:
        return found
    source = source_of(request)
    return _said(found if source is None else from_source(source, request, card, known), length)


def _said(found: Plan, length: int) -> Plan:
    """With a note on windows in the place of the one on length: the adapter never sees more than it knows."""
    if found.frames <= length:
        return found
    notes = [note for note in found.notes if "these weights were trained on" not in note or "frames" not in note]
    notes.append(f"{found.frames} frames go through in windows of {length}; memory does not grow with them.")
    return found.model_copy(update={"notes": tuple(notes)})
