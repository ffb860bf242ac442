"""Planning for models of the paper's design: legal windows. No torch, no weights."""

from __future__ import annotations

from collections.abc import Sequence

from ....core.card import Card
from ....core.errors import RequestError
from ....core.plan import Plan
from ....core.request import Request
from ....core.resolve import resolve
from ..options import EasyAnimateOptions

STEP, SHORTEST = 8, 9


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family. RequestError."""
    found = resolve(request, card, known)
    options = EasyAnimateOptions.of(found)
    length = options.context_length
    if length and (length < SHORTEST or (length - 1) % STEP):
        raise RequestError(
            f"Windows of {length} frames are not possible.", field="options.context_length", value=length,
            legal=f"0 (no windows), or {STEP}n+1 frames from {SHORTEST}",
            nearest=max(SHORTEST, round((length - 1) / STEP) * STEP + 1),
        )  # fmt: skip
    options.check_windows()
    return found
