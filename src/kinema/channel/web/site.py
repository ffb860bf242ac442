"""The channel's site: its page, its HLS, now and next, the guide, suggestions, the owner's verbs. A process of its own.

It only reads what the playout leaves in the channel's folder. When it dies, nobody on air notices; when the playout
dies, the page stays up and says so.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from .allowance import Allowance
from .audience import Audience
from .board import Board
from .owner import Owner
from .patience import FOR_VIEWERS, ConnectionLimits, protocol
from .site_guard import Guard
from .site_media import SiteMedia
from .site_owner import OwnerRoutes
from .site_page import Page
from .site_public import PublicRoutes
from .verbs import Verbs

GRACE_S = 3


@dataclass(frozen=True)
class SiteSettings:
    """name: of the channel, until its playout says so. theme: what is on where the schedule (day parts, by the clock
    of timezone) is silent. names: hosts that the site goes by, besides localhost and bare addresses. token: the owner's
    secret; None: no verbs. suggestions: are viewers asked. proxies: addresses whose word on who is asking is taken."""

    name: str = "Kinema"
    theme: str = ""
    schedule: Sequence[Sequence[str]] = ()
    timezone: str = ""
    names: Sequence[str] = ()
    token: str | None = None
    suggestions: bool = True
    proxies: Sequence[str] = ()


def site(
    folder: Path, verbs: Verbs, settings: SiteSettings | None = None, *, board: Board | None = None,
    suggesting: Allowance | None = None,
) -> Any:  # fmt: skip
    """The ASGI application. RequestError: a token that is too short, a schedule that is none."""
    known = settings or SiteSettings()
    board = board or Board(folder, known.name, known.schedule, known.theme, timezone=known.timezone)
    audience = Audience()
    suggesting = suggesting or Allowance(each=3, all=60, per_s=600.0)
    routes = [
        *Page().routes(),
        *SiteMedia(folder, audience).routes(),
        *PublicRoutes(board, audience, verbs, suggesting if known.suggestions else None).routes(),
        *OwnerRoutes(verbs, Owner(known.token), Allowance(each=10, all=100, per_s=60.0)).routes(),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        board.close()

    return Guard(Starlette(routes=routes, lifespan=lifespan), known.names)


def serve(app: Any, sock: socket.socket, proxies: Sequence[str] = (), patience: ConnectionLimits = FOR_VIEWERS) -> None:
    """Serve until SIGTERM or SIGINT."""
    server(app, proxies, patience).run(sockets=[sock])


def server(app: Any, proxies: Sequence[str] = (), patience: ConnectionLimits = FOR_VIEWERS) -> Any:
    """The uvicorn server, not yet running. proxies: whose word on who is asking is taken; they bring everybody's
    requests, so they may have any number of connections."""
    import uvicorn

    patient = protocol(replace(patience, exempt=tuple(proxies)))
    config = uvicorn.Config(
        app, http=patient, ws="none", log_level="warning", access_log=False, server_header=False,
        limit_concurrency=patience.all, timeout_keep_alive=patience.idle_s, timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies),
    )  # fmt: skip
    return uvicorn.Server(config)
