"""Planning for ModelScope and Zeroscope: a source clip sets the duration and fps. No torch, no weights."""

from __future__ import annotations

from collections.abc import Sequence

from ...conditions import upscale
from ...conditions.source_clip import from_source, source_of
from ...core.card import Card
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve
from ...sd.bases import named, with_base


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family. RequestError, or MediaError for an unreadable clip."""
    if "base" in card.options:
        card = with_base(named(request, card), card)
    if request.canvas == "upscale":
        return upscale.plan(request, card, known)
    found = resolve(request, card, known)  # the card's refusals, before any file is opened
    source = source_of(request)
    return found if source is None else from_source(source, request, card, known)
