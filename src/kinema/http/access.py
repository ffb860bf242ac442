"""Access by token for every route of a server, but those that are open.

The right token is always accepted, whatever was sent before, and requests without a token do not count as tries: no
client can lock the owner out. Wrong tokens are limited by client and in total.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request

from .rate_limit import RateLimit
from .refusal import address_of, refusal
from .token import COOKIE, BearerToken


class Access:
    """ASGI middleware. token: the required token; if it is not set, everything is open. is_open: whether a path needs
    no token."""

    def __init__(
        self, app: Any, token: BearerToken, is_open: Callable[[str], bool], trying: RateLimit | None = None
    ) -> None:  # fmt: skip
        self.app, self.token, self.is_open = app, token, is_open
        self.trying = trying or RateLimit(each=10, all=100, per_s=60.0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_open = scope["type"] not in ("http", "websocket") or not self.token.is_set or self.is_open(scope["path"])
        authorization = "" if is_open else _authorization(scope)
        if is_open or self.token.allows(authorization) or self._has_cookie(scope):
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            address = address_of(HTTPConnection(scope))
            if authorization.strip() and not self.trying.wait_s(address):
                self.trying.use(address)
            await send({"type": "websocket.close", "code": 1008, "reason": "A valid token is required."})
            return
        await self._refusal(Request(scope), authorization)(scope, receive, send)

    def _has_cookie(self, scope: Any) -> bool:
        """Whether a request proves the token by a cookie, which browsers send only from pages of this site."""
        return self.token.allows_cookie(HTTPConnection(scope).cookies.get(COOKIE, ""))

    def _refusal(self, request: Request, authorization: str) -> Any:
        address = address_of(request)
        if authorization.strip():
            if wait_s := self.trying.wait_s(address):
                return refusal(429, "Too many wrong tokens.", {"retry-after": str(wait_s)})
            self.trying.use(address)
        return refusal(401, "A valid token is required.", {"www-authenticate": "Bearer"})


def _authorization(scope: Any) -> str:
    """The Authorization header; of a socket, for which browsers send none, also the query `token`."""
    found = Headers(scope=scope).get("authorization", "")
    if not found and scope["type"] == "websocket" and (token := HTTPConnection(scope).query_params.get("token")):
        return f"Bearer {token}"
    return found
