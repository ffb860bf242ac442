"""The web server of an ASGI application, with limits on time and connections."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .connection_limits import FOR_VIEWERS, ConnectionLimits, protocol, sockets

GRACE_S = 3
SOCKET_BYTES = 64 * 2**10
"""The largest message that a client may send."""


def serve(
    app: Any, sock: socket.socket, proxies: Sequence[str] = (), limits: ConnectionLimits = FOR_VIEWERS,
    closing: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Serve until SIGTERM or SIGINT."""
    server(app, proxies, limits, closing).run(sockets=[sock])


def server(
    app: Any, proxies: Sequence[str] = (), limits: ConnectionLimits = FOR_VIEWERS,
    closing: Callable[[], None] = lambda: None,
) -> Any:  # fmt: skip
    """The uvicorn server, not yet running. proxies: trusted for client addresses, and exempt from the connection limit
    since they forward the requests of all clients. closing: called when a signal ends it, to end streams at once."""
    import uvicorn

    limited = protocol(replace(limits, exempt=tuple(proxies)))
    config = uvicorn.Config(
        app, http=limited, ws=sockets(limits) or "none", ws_max_size=SOCKET_BYTES, ws_per_message_deflate=False,
        log_level="warning", access_log=False, server_header=False,
        limit_concurrency=limits.all, timeout_keep_alive=limits.idle_s, timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies),
    )  # fmt: skip

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            closing()  # not in the signal's handler, which may interrupt any line
            await super().shutdown(sockets)

    return Server(config)
