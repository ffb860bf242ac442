"""Request checks and security headers for every route of a server.

Host: only accepted names or bare addresses, against DNS rebinding. Writing requests and sockets from pages of another
origin are refused (CSRF).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from .refusal import refusal

READING = ("GET", "HEAD", "OPTIONS")
SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """ASGI middleware. names: accepted host names, without a port, besides localhost; None accepts any, for sites whose
    requests all require a token."""

    def __init__(self, app: Any, names: Collection[str] | None = ()) -> None:
        self.app = app
        self.names = None if names is None else {"localhost", *(name.lower().rstrip(".") for name in names)}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and self._refusal("CONNECT", Headers(scope=scope)) is not None:
            await send({"type": "websocket.close", "code": 1008, "reason": "Unknown host or origin."})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("cross-origin-resource-policy", "same-origin")
            await send(message)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        await (refused or self.app)(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return refusal(421, f"Unknown host name: {host[:100]!r}.")
        if method in READING:
            return None
        origin = headers.get("origin")
        if origin is not None and host_of(origin) != host.lower():
            return refusal(403, "Requests from pages of other sites are refused.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return refusal(403, "Requests from pages of other sites are refused.")
        return None

    def _is_ours(self, host: str) -> bool:
        if self.names is None:
            return True
        try:
            parts = urlsplit(f"//{host}")
            name, _ = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:  # an illegal port
            return False
        if "@" in host or not name:
            return False
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return name in self.names


def host_of(origin: str) -> str:
    """Host and port of an origin; empty if it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
