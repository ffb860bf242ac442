"""ComfyUI's official web interface, unchanged: the files of a folder, at /ui/.

The interface is a separate program (comfyui-frontend-package, GPL-3.0), which the user installs; Kinema has no part of
it. It runs under a policy of its own, since it has inline scripts; it reaches this server, and the site of its
templates' sample pictures, no other one.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ...http.rate_limit import RateLimit
from ...http.refusal import address_of, refusal
from ...http.token import COOKIE, BearerToken
from .interface_folder import BASE

OPEN = re.compile(rf"{BASE}(/|/token)?|/assets/(favicon\.ico|images/[\w./-]*)")
"""Paths that need no token: the page with its field, and icons, which the interface asks for without its base."""
SAMPLES = "https://raw.githubusercontent.com"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    f"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: {SAMPLES}; media-src 'self' data: blob: {SAMPLES}; "
    f"font-src 'self' data:; connect-src 'self' data: blob: {SAMPLES}; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)
ASKING = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
MAX_FORM_BYTES = 4096
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ComfyUI's interface on Kinema</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>
body{{font:16px/1.5 system-ui,sans-serif;background:#171718;color:#eee;display:grid;place-items:center;min-height:95vh}}
form{{display:grid;gap:12px;width:min(90vw,22em)}}input,button{{font:inherit;padding:8px;border-radius:6px;
border:1px solid #777;background:#222;color:#eee}}button{{background:#2b5fd9;border-color:#2b5fd9}}
p{{color:#ff9a9a;margin:0}}
</style><form method="post" action="{base}/token"><label for="token">The token of this server</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>{wrong}
<button>Open</button></form></html>
"""


class Interface:
    """folder: the interface's files. token: of the server. api: what the interface calls below its own address."""

    def __init__(self, folder: Path, token: BearerToken, api: list[BaseRoute]) -> None:
        self.folder, self.token, self.api = folder, token, api
        self.trying = RateLimit(each=10, all=100, per_s=60.0)

    def routes(self) -> list[BaseRoute]:
        static = StaticFiles(directory=self.folder)
        return [
            Mount("/assets", app=_Cached(StaticFiles(directory=self.folder / "assets", check_dir=False))),
            Mount(BASE, routes=[
                Route("/", self.page), Route("/token", self.enter, methods=["POST"]),
                *self.api, Mount("/", app=_Cached(static)),
            ]),
        ]  # fmt: skip

    async def page(self, request: Request) -> Response:
        """The interface; without a token, the field for it."""
        if self.token.is_set and not self.token.allows_cookie(request.cookies.get(COOKIE, "")):
            return _asking("", 401)
        headers = {"content-security-policy": POLICY, "cache-control": "no-store"}
        return FileResponse(self.folder / "index.html", headers=headers)

    async def enter(self, request: Request) -> Response:
        """A form with the token: the browser gets a cookie, which scripts cannot read."""
        address = address_of(request)
        if wait_s := self.trying.wait_s(address):
            return refusal(429, "Too many wrong tokens.", {"retry-after": str(wait_s)})
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_FORM_BYTES:
                return refusal(413, "The form is too large.", {"connection": "close"})
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not self.token.allows(f"Bearer {given}"):
            self.trying.use(address)
            return _asking("This is not the token.", 401)
        answer = RedirectResponse(f"{BASE}/", 303)
        answer.set_cookie(COOKIE, self.token.cookie(), path=BASE, httponly=True, samesite="strict",
                          secure=request.url.scheme == "https")  # fmt: skip
        return answer


class _Cached:
    """Static files whose names change with their content are kept by the browser."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def kept(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message["headers"] = [*message["headers"], (b"cache-control", b"private, max-age=86400"),
                                      (b"content-security-policy", POLICY.encode())]  # fmt: skip
            await send(message)

        await self.app(scope, receive, kept)


def _asking(wrong: str, status: int) -> Response:
    """The page with the field for the token. Its form sends the page's origin, which the guard requires."""
    text = _PAGE.format(base=BASE, wrong=f'<p role="alert">{escape(wrong)}</p>' if wrong else "")
    headers = {"content-security-policy": ASKING, "referrer-policy": "same-origin", "cache-control": "no-store"}
    return HTMLResponse(text, status, headers)
