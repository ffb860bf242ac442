"""Planning for CogVideoX: a source clip sets the duration and fps, an image the aspect. No torch, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...conditions import inputs, upscale
from ...conditions.source_clip import from_source, source_of
from ...core.card import Card
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family. RequestError, or MediaError for an unreadable input."""
    if request.canvas == "upscale":
        return upscale.plan(request, card, known)
    found = resolve(request, card, known)  # the card's refusals, before any file is opened
    source = source_of(request)
    if source is not None:
        return from_source(source, request, card, known)
    first: Any = next((condition for condition in request.conditions if condition.kind == "image"), None)
    if first is None:
        return found
    rows, columns = inputs.picture(first.image).shape[:2]
    if request.width is None and card.size.any_aspect:
        width, height = card.size.like(columns, rows)
        return resolve(request.changed(width=width, height=height), card, known)
    return found
