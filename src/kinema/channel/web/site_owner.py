"""The owner's API: status, queue, skip, ban and stop, with `Authorization: Bearer TOKEN`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...core.errors import KinemaError, RequestError
from ...http.json_body import json_body
from ...http.rate_limit import RateLimit
from ...http.refusal import address_of, refusal
from ...http.token import BearerToken
from .commands import Commands
from .owner import TOKEN_ENV

BODY_BYTES = 4096


class OwnerRoutes:
    """Routes of the owner's API. trying: the rate limit of wrong tokens."""

    def __init__(self, commands: Commands, owner: BearerToken, trying: RateLimit) -> None:
        self.commands, self.owner, self.trying = commands, owner, trying

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
        return self._refusal(request) or await self._run(self.commands.status)

    async def queue(self, request: Request) -> Response:
        return self._refusal(request) or await self._run(self.commands.queue, 50)

    async def skip(self, request: Request) -> Response:
        return self._refusal(request) or await self._run(self.commands.skip)

    async def ban(self, request: Request) -> Response:
        """Body: {"id": "...", "reason": "..."}."""
        if (refused := self._refusal(request)) is not None:
            return refused
        data = await json_body(request, BODY_BYTES)
        if isinstance(data, Response):
            return data
        id, reason = data.get("id"), data.get("reason", "")
        if not isinstance(id, str) or not isinstance(reason, str) or len(reason) > 500:
            return refusal(400, 'The body is {"id": "...", "reason": "..."}; the reason is optional.')
        return await self._run(self.commands.ban, id, reason)

    async def put(self, request: Request) -> Response:
        """Body: {"id": "...", "place": 0}. 0 is next; without a place, the clip is queued at the end."""
        if (refused := self._refusal(request)) is not None:
            return refused
        data = await json_body(request, BODY_BYTES)
        if isinstance(data, Response):
            return data
        id, place = data.get("id"), data.get("place")
        if not isinstance(id, str) or not (place is None or (type(place) is int and 0 <= place < 10_000)):
            return refusal(
                400, 'The body is {"id": "...", "place": 0}; without a place, the clip is queued at the end.'
            )
        return await self._run(self.commands.put, id, place)

    async def stop(self, request: Request) -> Response:
        """Respond first, then stop: the channel may include this site."""
        if (refused := self._refusal(request)) is not None:
            return refused

        async def later() -> None:
            await self._run(self.commands.stop)

        return JSONResponse({"stopping": True}, 202, background=BackgroundTask(later))

    def _refusal(self, request: Request) -> Response | None:
        """The error response for clients other than the owner, or None. The right token is always accepted, whatever
        was sent before, and requests without a token do not count, so no client can lock the owner out."""
        if not self.owner.is_set:
            return refusal(403, f"The owner's API is disabled; set {TOKEN_ENV} or use a token file.")
        authorization = request.headers.get("authorization", "")
        if self.owner.allows(authorization):
            return None
        address = address_of(request)
        if authorization.strip():
            if wait_s := self.trying.wait_s(address):
                return refusal(429, "Too many wrong tokens.", {"retry-after": str(wait_s)})
            self.trying.use(address)
        return refusal(401, "The owner's token is required.", {"www-authenticate": "Bearer"})

    @staticmethod
    async def _run(function: Callable[..., Any], *arguments: Any) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(function, *arguments))
        except RequestError as refused:
            return refusal(422, str(refused))
        except KinemaError as error:
            return refusal(503, str(error), {"retry-after": "5"})
