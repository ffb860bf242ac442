"""The channel's site: watch page, HLS, now and next, guide, suggestions and the owner's API, as a separate process.

It reads the playout's files in the channel's folder. Its failure does not affect the playout; when the playout stops,
the page stays up and shows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect

from ...http.guard import Guard
from ...http.page_files import PageFiles
from ...http.rate_limit import RateLimit
from ...http.refusal import on_disconnect
from ...http.token import BearerToken
from .audience import Audience
from .board import Board
from .commands import Commands
from .site_media import SiteMedia
from .site_owner import OwnerRoutes
from .site_public import PublicRoutes


@dataclass(frozen=True)
class SiteSettings:
    """name: the channel's name until its playout reports one. theme: the theme outside the schedule (day parts in
    `timezone`). names: accepted host names besides localhost and bare addresses. token: the owner's secret; None
    disables the owner's API. suggestions: whether viewers can suggest themes. proxies: addresses of trusted proxies."""

    name: str = "Kinema"
    theme: str = ""
    schedule: Sequence[Sequence[str]] = ()
    timezone: str = ""
    names: Sequence[str] = ()
    token: str | None = None
    suggestions: bool = True
    proxies: Sequence[str] = ()


def site(
    folder: Path, commands: Commands, settings: SiteSettings | None = None, *, board: Board | None = None,
    suggesting: RateLimit | None = None,
) -> Any:  # fmt: skip
    """The ASGI application. RequestError: the token is too short, or an illegal schedule."""
    settings = settings or SiteSettings()
    board = board or Board(folder, settings.name, settings.schedule, settings.theme, timezone=settings.timezone)
    audience = Audience()
    suggesting = suggesting or RateLimit(each=3, all=60, per_s=600.0)
    routes = [
        *PageFiles(files(__package__).joinpath("page"), disallow=("/api/",)).routes(),
        *SiteMedia(folder, audience).routes(),
        *PublicRoutes(board, audience, commands, suggesting if settings.suggestions else None).routes(),
        *OwnerRoutes(
            commands, BearerToken(settings.token, "The owner's token"), RateLimit(each=10, all=100, per_s=60.0)
        ).routes(),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        board.close()

    return Guard(
        Starlette(routes=routes, lifespan=lifespan, exception_handlers={ClientDisconnect: on_disconnect}),
        settings.names,
    )
