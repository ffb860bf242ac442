"""The models of this machine."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..core.card import Card
from ..weights import store
from .answers import answer


class ModelRoutes:
    """models: the ids that clients may use; empty: all."""

    def __init__(self, models: Collection[str] = ()) -> None:
        self.models = models

    def routes(self) -> list[BaseRoute]:
        return [Route("/models", self.show)]

    async def show(self, _request: Request) -> Response:
        cards = await run_in_threadpool(here, self.models)
        return answer({"models": [facts(card) for card in cards]})


def here(models: Collection[str]) -> list[Card]:
    """The models of this machine; of some models, if there are any."""
    return [card for card in store.known_cards() if (not models or card.id in models) and store.here(card)]


def facts(card: Card) -> dict[str, Any]:
    """What a client needs to offer a model. No path of the machine."""
    frames, defaults = card.frames, card.defaults
    return {
        "id": card.id, "title": card.title, "family": card.family, "licence": card.licence, "hub": card.hub,
        "sizes": [f"{width}x{height}" for width, height in card.size.trained], "accepts": list(card.accepts),
        "needs": list(card.needs), "profiles": list(card.profiles),
        "frames": {"step": frames.step, "trained": frames.trained, "minimum": frames.minimum,
                   "maximum": frames.maximum},
        "defaults": {"fps": defaults.fps, "steps": defaults.steps, "guidance": defaults.guidance},
        "options": {name: option.model_dump(mode="json") for name, option in card.options.items()},
    }  # fmt: skip
