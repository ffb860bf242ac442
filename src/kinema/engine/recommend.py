"""Models suggested by an error: those that support the whole request, not only the refused value. Requires no torch."""

from __future__ import annotations

from ..core.errors import KinemaError, RequestError
from ..core.registry import family_module
from ..core.request import Request
from ..weights import store


def whole(error: RequestError, request: Request) -> RequestError:
    """The error with its models reduced to those that support the whole request: conditions, canvas, size, length,
    options. Those whose weights are on this machine come first and are marked."""
    if not error.models:
        return error
    known = store.known_cards()
    able: list[str] = []
    here: list[str] = []
    for card in known:
        if card.id in error.models and card.id != request.model and not card.stage:
            try:
                family_module(card.family).plan(request.changed(model=card.id), card, known)
            except KinemaError:
                continue
            (here if store.here(card) else able).append(card.id)
    none = "" if able or here else " No known model supports the whole request."
    return RequestError(
        error.message + none, field=error.field, value=error.value, legal=error.legal, nearest=error.nearest,
        models=[*here, *able], here=here,
    )  # fmt: skip
