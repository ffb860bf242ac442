"""The channel's site: watch page, HLS, now and next, guide, suggestions and the owner's API, as a separate process.

It reads the playout's files in the channel's folder. Its failure does not affect the playout; when the playout stops,
the page stays up and shows it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from .audience import Audience
from .board import Board
from .commands import Commands
from .connection_limits import FOR_VIEWERS, ConnectionLimits, protocol
from .owner import Owner
from .rate_limit import RateLimit
from .site_guard import Guard
from .site_media import SiteMedia
from .site_owner import OwnerRoutes
from .site_page import Page
from .site_public import PublicRoutes

GRACE_S = 3


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
        *Page().routes(),
        *SiteMedia(folder, audience).routes(),
        *PublicRoutes(board, audience, commands, suggesting if settings.suggestions else None).routes(),
        *OwnerRoutes(commands, Owner(settings.token), RateLimit(each=10, all=100, per_s=60.0)).routes(),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        board.close()

    return Guard(Starlette(routes=routes, lifespan=lifespan), settings.names)


def serve(app: Any, sock: socket.socket, proxies: Sequence[str] = (), limits: ConnectionLimits = FOR_VIEWERS) -> None:
    """Serve until SIGTERM or SIGINT."""
    server(app, proxies, limits).run(sockets=[sock])


def server(app: Any, proxies: Sequence[str] = (), limits: ConnectionLimits = FOR_VIEWERS) -> Any:
    """The uvicorn server, not yet running. proxies: trusted for client addresses, and exempt from the connection limit
    since they forward the requests of all clients."""
    import uvicorn

    limited = protocol(replace(limits, exempt=tuple(proxies)))
    config = uvicorn.Config(
        app, http=limited, ws="none", log_level="warning", access_log=False, server_header=False,
        limit_concurrency=limits.all, timeout_keep_alive=limits.idle_s, timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies),
    )  # fmt: skip
    return uvicorn.Server(config)
