"""What everybody may ask of a channel's site: now and next, the day, the guide, how many watch; and suggest a theme."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...core.errors import KinemaError, RequestError
from ...core.numerals import decimal
from ...core.outside import parse_json
from ..airing import guide
from ..writing.moderation import LIMITS
from .allowance import Allowance
from .audience import Audience
from .board import Board
from .site_guard import refusal
from .site_media import FRESH, OPEN, address_of
from .verbs import Verbs

log = logging.getLogger("kinema.channel")
BODY_BYTES = 4096
CHANNEL_ID = "kinema"
NO_SUCH_WORDS = "There is a word in it that this channel does not show. Please use others."
"""The word itself stays with the owner: a sieve that explains its holes is none."""


class PublicRoutes:
    """suggesting: how often themes are taken; None: not at all."""

    def __init__(self, board: Board, audience: Audience, verbs: Verbs, suggesting: Allowance | None) -> None:
        self.board, self.audience, self.verbs, self.suggesting = board, audience, verbs, suggesting

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
        """?at=: a program date-time, in seconds since 1970 or as ISO 8601."""
        try:
            at = moment(request.query_params["at"]) if "at" in request.query_params else None
        except ValueError:
            return refusal(400, "`at` is seconds since 1970 or a date and time as 2026-05-04T12:00:00Z.")
        told = await run_in_threadpool(self.board.now, at)
        told |= {"viewers": self.audience.count(), "suggestions": self.suggesting is not None}
        return JSONResponse(told | {"longest_theme": LIMITS["theme"]}, headers=OPEN)

    async def schedule(self, request: Request) -> Response:
        parts = await run_in_threadpool(self.board.schedule)
        now = await run_in_threadpool(self.board.now)
        return JSONResponse({"time": now["time"], "parts": parts, "coming": now["coming"]}, headers=OPEN)

    async def count(self, request: Request) -> Response:
        return JSONResponse({"viewers": self.audience.count()}, headers=OPEN)

    async def guide(self, request: Request) -> Response:
        """XMLTV."""
        text = await run_in_threadpool(self.board.guide, CHANNEL_ID)
        return Response(text.encode(), media_type="application/xml", headers=FRESH)

    async def m3u(self, request: Request) -> Response:
        """For television software: addresses as the asker knows this site."""
        view = await run_in_threadpool(self.board.look)
        base = str(request.base_url).rstrip("/")
        text = guide.m3u(CHANNEL_ID, view.name, f"{base}/live.m3u8", guide_url=f"{base}/guide.xml")
        return Response(text.encode(), media_type="audio/x-mpegurl", headers=FRESH)

    async def suggest(self, request: Request) -> Response:
        """{"theme": "..."}: moderated, then kept for the director, as data."""
        if self.suggesting is None:
            return refusal(403, "This channel takes no suggestions.")
        said = await body(request)
        if isinstance(said, Response):
            return said
        theme = said.get("theme")
        if not isinstance(theme, str):
            return refusal(400, 'A suggestion is {"theme": "words"}.')
        who = address_of(request)
        if wait_s := self.suggesting.wait_s(who):
            minutes = max(1, round(wait_s / 60))
            return refusal(
                429,
                f"Thank you, that is a lot of ideas. Please come back in {minutes} min.",
                {"retry-after": str(wait_s)},
            )
        self.suggesting.use(who)
        try:
            waiting = await run_in_threadpool(self.verbs.suggest, theme)
        except RequestError as refused:
            return refusal(422, NO_SUCH_WORDS if refused.legal == "other words" else refused.message)
        except KinemaError as error:
            log.warning("a suggestion could not be kept: %s", error)
            return refusal(503, "The suggestion could not be kept just now; please try again.", {"retry-after": "10"})
        return JSONResponse({"waiting": waiting}, 201)


def moment(text: str) -> float:
    """Seconds since 1970. ValueError."""
    try:
        at = decimal(text)
    except ValueError:
        when = datetime.fromisoformat(text)
        at = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    if not 0 <= at < 1e11:
        raise ValueError(text)
    return at


async def body(request: Request) -> dict[str, Any] | Response:
    """The JSON object of a request, or the refusal."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return refusal(415, "The body is JSON (content-type: application/json).")
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > BODY_BYTES:
            return refusal(413, f"The body has more than {BODY_BYTES} bytes.", {"connection": "close"})
    try:
        said: dict[str, Any] = parse_json(data, "The body", dict, max_bytes=BODY_BYTES)
    except KinemaError as error:
        return refusal(400, str(error))
    return said
