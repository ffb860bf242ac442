"""The owner's verbs over HTTP: status, queue, skip, ban and stop, for whoever sends `Authorization: Bearer TOKEN`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...core.errors import KinemaError, RequestError
from .allowance import Allowance
from .owner import TOKEN_ENV, Owner
from .site_guard import refusal
from .site_media import address_of
from .site_public import body
from .verbs import Verbs


class OwnerRoutes:
    """trying: how often somebody may have the token wrong."""

    def __init__(self, verbs: Verbs, owner: Owner, trying: Allowance) -> None:
        self.verbs, self.owner, self.trying = verbs, owner, trying

    def routes(self) -> list[Route]:
        return [
            Route("/api/status", self.status),
            Route("/api/queue", self.queue),
            Route("/api/skip", self.skip, methods=["POST"]),
            Route("/api/ban", self.ban, methods=["POST"]),
            Route("/api/queue", self.put, methods=["POST"]),
            Route("/api/stop", self.stop, methods=["POST"]),
        ]

    async def status(self, request: Request) -> Response:
        return self._stranger(request) or await self._done(self.verbs.status)

    async def queue(self, request: Request) -> Response:
        return self._stranger(request) or await self._done(self.verbs.queue, 50)

    async def skip(self, request: Request) -> Response:
        return self._stranger(request) or await self._done(self.verbs.skip)

    async def ban(self, request: Request) -> Response:
        """{"id": "...", "reason": "..."}"""
        if (refused := self._stranger(request)) is not None:
            return refused
        said = await body(request)
        if isinstance(said, Response):
            return said
        id, reason = said.get("id"), said.get("reason", "")
        if not isinstance(id, str) or not isinstance(reason, str) or len(reason) > 500:
            return refusal(400, 'A ban is {"id": "...", "reason": "..."}; the reason may be left out.')
        return await self._done(self.verbs.ban, id, reason)

    async def put(self, request: Request) -> Response:
        """{"id": "...", "place": 0}: next, or at the end without a place."""
        if (refused := self._stranger(request)) is not None:
            return refused
        said = await body(request)
        if isinstance(said, Response):
            return said
        id, place = said.get("id"), said.get("place")
        if not isinstance(id, str) or not (place is None or (type(place) is int and 0 <= place < 10_000)):
            return refusal(400, 'Queueing is {"id": "...", "place": 0}; without a place it goes to the end.')
        return await self._done(self.verbs.put, id, place)

    async def stop(self, request: Request) -> Response:
        """Answered first and done then: this site may be among what stops."""
        if (refused := self._stranger(request)) is not None:
            return refused

        async def later() -> None:
            await self._done(self.verbs.stop)

        return JSONResponse({"stopping": True}, 202, background=BackgroundTask(later))

    def _stranger(self, request: Request) -> Response | None:
        """The refusal of whoever is not the owner. The right token is never refused, whatever was sent before it: only
        wrong tokens count, so no page that merely asks can lock the owner out."""
        if not self.owner.has_token:
            return refusal(403, f"The owner's verbs are off; {TOKEN_ENV} or a token's file turns them on.")
        said = request.headers.get("authorization", "")
        if self.owner.is_owner(said):
            return None
        who = address_of(request)
        if said.strip():
            if wait_s := self.trying.wait_s(who):
                return refusal(429, "Too many wrong tokens.", {"retry-after": str(wait_s)})
            self.trying.use(who)
        return refusal(401, "This is for the owner of the channel.", {"www-authenticate": "Bearer"})

    @staticmethod
    async def _done(verb: Callable[..., Any], *what: Any) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(verb, *what))
        except RequestError as refused:
            return refusal(422, str(refused))
        except KinemaError as error:
            return refusal(503, str(error), {"retry-after": "5"})
