"""Planning from outside: find the card, let the family resolve the request, add the estimate. No torch, no weights."""

from __future__ import annotations

from ..conditions import opened
from ..core.card import Card
from ..core.errors import RequestError
from ..core.plan import Plan
from ..core.registry import family_module
from ..core.request import Request
from ..weights import store
from . import recommend
from .estimate import device_name, estimate


def plan(request: Request, card: Card | None = None, device: str | None = None) -> Plan:
    """The request resolved: everything filled in, legal, with its estimated cost on `device` (a GPU's name, or as
    `load` takes it; None: this machine's best). Raises RequestError, ModelError or MediaError."""
    card = card or store.find(request.model)
    try:
        found = family_module(card.family).plan(request, card, store.known_cards())
    except RequestError as error:
        raise recommend.whole(error, request) from None
    opened.check(found)
    if request.second_pass is not None:
        from .second_pass import plan_second

        found = found.model_copy(update={"second": plan_second(request, found, card)})
    device = device_name(device)
    cost = estimate(found, card, device)
    if found.second is not None:
        again = estimate(found.second, store.find(found.second.model), device, from_clip=True)
        both = {"seconds": cost.seconds + again.seconds, "pflop": cost.pflop + again.pflop, "gb": cost.gb + again.gb}
        cost = cost.model_copy(update=both)
    return found.model_copy(update={"estimate": cost})
