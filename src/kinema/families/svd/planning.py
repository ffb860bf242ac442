"""Planning for Stable Video Diffusion: the picture decides the shape. No torch, no weights."""

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
    """The request resolved against a card of this family. RequestError, or MediaError for a picture that cannot be
    read."""
    resolve(request, card, known)  # refuse what the card refuses, before any file is opened
    picture = next(condition for condition in request.conditions if condition.kind == "image")
    rows, columns = inputs.picture(picture.image).shape[:2]
    if request.width is None and card.size.any_aspect:
        width, height = card.size.like(columns, rows)
        request = request.changed(width=width, height=height)
    found = resolve(request, card, known)
    notes = list(found.notes)
    if not SLOWEST <= found.fps <= FASTEST:
        notes.append(f"{found.fps:g} frames a second is outside {SLOWEST} to {FASTEST}, which the weights know.")
    if (motion := SvdOptions.of(found).motion) > MOST_MOTION:
        notes.append(f"motion {motion} is above {MOST_MOTION}, the most that the weights know.")
    if found.prompt.strip():
        notes.append(f"{card.id} reads no words; the prompt changes nothing.")
    return found.model_copy(update={"notes": tuple(notes)})
