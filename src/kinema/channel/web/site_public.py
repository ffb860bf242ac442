"""The public API of a channel's site: now and next, schedule, guide, viewer count, and theme suggestions."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...core.errors import KinemaError, RequestError
from ...core.numerals import decimal
from ...http.json_body import json_body
from ...http.rate_limit import RateLimit
from ...http.refusal import address_of, refusal
from ..airing import guide
from ..writing.moderation import LIMITS
from .audience import Audience
from .board import Board
from .commands import Commands
from .site_media import FRESH, OPEN

log = logging.getLogger("kinema.channel")
BODY_BYTES = 4096
CHANNEL_ID = "kinema"
NO_SUCH_WORDS = "Your suggestion contains a blocked word. Please use other words."
"""The word itself is not shown to viewers, since that would help to evade the blocklist."""


class PublicRoutes:
    """Public routes. suggesting: the rate limit of suggestions; None disables them."""

    def __init__(self, board: Board, audience: Audience, commands: Commands, suggesting: RateLimit | None) -> None:
        self.board, self.audience, self.commands, self.suggesting = board, audience, commands, suggesting

    def routes(self) -> list[Route]:
        return [
            Route("/api/now", self.now),
            Route("/api/schedule", self.schedule),
            Route("/api/viewers", self.count),
            Route("/api/themes", self.suggest, methods=["POST"]),
            Route("/guide.xml", self.guide),
            Route("/channel.m3u", self.m3u),
        ]

    async def now(self, request: Request) -> Response:
        """Query: at, a program date-time in seconds since 1970 or as ISO 8601."""
        try:
            at = moment(request.query_params["at"]) if "at" in request.query_params else None
        except ValueError:
            return refusal(400, "`at` must be seconds since 1970 or a date and time such as 2026-05-04T12:00:00Z.")
        now = await run_in_threadpool(self.board.now, at)
        now |= {"viewers": self.audience.count(), "suggestions": self.suggesting is not None}
        return JSONResponse(now | {"longest_theme": LIMITS["theme"]}, headers=OPEN)

    async def schedule(self, request: Request) -> Response:
        parts = await run_in_threadpool(self.board.schedule)
        now = await run_in_threadpool(self.board.now)
        return JSONResponse({"time": now["time"], "parts": parts, "coming": now["coming"]}, headers=OPEN)

    async def count(self, request: Request) -> Response:
        return JSONResponse({"viewers": self.audience.count()}, headers=OPEN)

    async def guide(self, request: Request) -> Response:
        """The guide as XMLTV."""
        text = await run_in_threadpool(self.board.guide, CHANNEL_ID)
        return Response(text.encode(), media_type="application/xml", headers=FRESH)

    async def m3u(self, request: Request) -> Response:
        """An M3U playlist for television software, with addresses on the requested host."""
        view = await run_in_threadpool(self.board.look)
        base = str(request.base_url).rstrip("/")
        text = guide.m3u(CHANNEL_ID, view.name, f"{base}/live.m3u8", guide_url=f"{base}/guide.xml")
        return Response(text.encode(), media_type="audio/x-mpegurl", headers=FRESH)

    async def suggest(self, request: Request) -> Response:
        """Body: {"theme": "..."}. The theme is moderated and stored for the director as data."""
        if self.suggesting is None:
            return refusal(403, "This channel does not accept suggestions.")
        data = await json_body(request, BODY_BYTES)
        if isinstance(data, Response):
            return data
        theme = data.get("theme")
        if not isinstance(theme, str):
            return refusal(400, 'The body is {"theme": "words"}.')
        address = address_of(request)
        if wait_s := self.suggesting.wait_s(address):
            minutes = max(1, round(wait_s / 60))
            return refusal(
                429, f"Too many suggestions. Please try again in {minutes} min.", {"retry-after": str(wait_s)}
            )
        self.suggesting.use(address)
        try:
            waiting = await run_in_threadpool(self.commands.suggest, theme)
        except RequestError as refused:
            return refusal(422, NO_SUCH_WORDS if refused.legal == "other words" else refused.message)
        except KinemaError as error:
            log.warning("storing a suggestion failed: %s", error)
            return refusal(503, "Your suggestion could not be stored. Please try again.", {"retry-after": "10"})
        return JSONResponse({"waiting": waiting}, 201)


def moment(text: str) -> float:
    """Parse seconds since 1970 or ISO 8601 to seconds since 1970. ValueError."""
    try:
        at = decimal(text)
    except ValueError:
        when = datetime.fromisoformat(text)
        at = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    if not 0 <= at < 1e11:
        raise ValueError(text)
    return at
