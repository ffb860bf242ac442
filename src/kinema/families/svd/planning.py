"""Planning for Stable Video Diffusion: the image sets the aspect ratio. No torch, no weights."""

from __future__ import annotations

from collections.abc import Sequence

from ...conditions import inputs
from ...core.card import Card
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve
from .options import SvdOptions

SLOWEST, FASTEST, MOST_MOTION = 5, 30, 255


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family. RequestError, or MediaError for an unreadable image."""
    resolve(request, card, known)  # the card's refusals, before any file is opened
    picture = next(condition for condition in request.conditions if condition.kind == "image")
    rows, columns = inputs.picture(picture.image).shape[:2]
    if request.width is None and card.size.any_aspect:
        width, height = card.size.like(columns, rows)
        request = request.changed(width=width, height=height)
    found = resolve(request, card, known)
    notes = list(found.notes)
    if not SLOWEST <= found.fps <= FASTEST:
        notes.append(f"{found.fps:g} fps is outside the range of the training, {SLOWEST} to {FASTEST} fps.")
    if (motion := SvdOptions.of(found).motion) > MOST_MOTION:
        notes.append(f"motion {motion} is above {MOST_MOTION}, the maximum of the training.")
    if found.prompt.strip():
        notes.append(f"{card.id} ignores the prompt.")
    return found.model_copy(update={"notes": tuple(notes)})
