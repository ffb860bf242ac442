"""Planning for AnimateDiff: the image model sets the sizes, a source clip the duration and fps. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from ...conditions import upscale
from ...conditions.source_clip import from_source, source_of
from ...core.card import Card
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve
from ...sd.bases import named, with_base
from . import controlnet
from .options import AnimateDiffOptions


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family and its image model (if not on this machine, assume Stable
    Diffusion 1.5). RequestError, or MediaError for an unreadable clip."""
    card = with_base(named(request, card), card)
    to_upscale = request.canvas == "upscale"
    resolved = upscale.plan if to_upscale else resolve
    found = resolved(request, card, known)  # the card's refusals, before any file is opened
    options = AnimateDiffOptions.of(found)
    length = options.context_length
    options.check_windows()
    controlnet.check(request)
    if to_upscale:
        return found
    source = source_of(request)
    return _with_window_note(found if source is None else from_source(source, request, card, known), length)


def _with_window_note(found: Plan, length: int) -> Plan:
    """The plan with a note on windows instead of the one on too many frames, which windows avoid."""
    if found.frames <= length:
        return found
    notes = [note for note in found.notes if "these weights were trained on" not in note or "frames" not in note]
    notes.append(f"{found.frames} frames are generated in windows of {length}; memory does not grow with duration.")
    return found.model_copy(update={"notes": tuple(notes)})
