"""Planning from outside: find the card, let the family resolve the request, add the estimate. No torch, no weights."""

from __future__ import annotations

from ..core.card import Card
from ..core.plan import Plan
from ..core.registry import family_module
from ..core.request import Request
from ..weights import store
from .estimate import estimate, this_device


def plan(request: Request, card: Card | None = None, device: str | None = None) -> Plan:
    """The request resolved: everything filled in, legal, with its estimated cost on `device` (None: this machine's
    best). Raises RequestError, ModelError or MediaError."""
    card = card or store.find(request.model)
    found = family_module(card.family).plan(request, card, store.known_cards())
    return found.model_copy(update={"estimate": estimate(found, card, device or this_device())})
