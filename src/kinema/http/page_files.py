"""The files of a page (HTML, CSS, ES modules, pictures), read once and served by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .refusal import refusal

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webp": "image/webp",
    "txt": "text/plain; charset=utf-8",
}


class PageFiles:
    """folder: the files. disallow: paths that crawlers are asked not to read."""

    def __init__(self, folder: Traversable, disallow: Iterable[str] = ()) -> None:
        self._files = {
            item.name: item.read_bytes() for item in folder.iterdir() if item.name.rpartition(".")[2] in TYPES
        }
        self._robots = "User-agent: *\n" + "".join(f"Disallow: {path}\n" for path in disallow)
        self._tags = {name: f'"{hashlib.sha256(data).hexdigest()[:20]}"' for name, data in self._files.items()}

    def routes(self) -> list[Route]:
        return [
            Route("/", lambda request: self._file(request, "index.html")),
            Route("/favicon.ico", lambda request: self._file(request, "icon.svg")),
            Route("/robots.txt", lambda request: Response(self._robots, media_type="text/plain")),
            Route("/page/{name}", lambda request: self._file(request, request.path_params["name"])),
        ]

    def _file(self, request: Request, name: str) -> Response:
        data = self._files.get(name)
        if data is None:
            return refusal(404, "No such page.")
        headers = {"cache-control": "no-cache", "etag": self._tags[name]}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=TYPES[name.rpartition(".")[2]], headers=headers)
