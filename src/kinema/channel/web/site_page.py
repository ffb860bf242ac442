"""The files of the watch page (folder `page`), read once and served by name."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .site_guard import refusal

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


class Page:
    def __init__(self) -> None:
        folder = files(__package__).joinpath("page")
        self._files = {
            item.name: item.read_bytes() for item in folder.iterdir() if item.name.rpartition(".")[2] in TYPES
        }
        self._tags = {name: f'"{hashlib.sha256(data).hexdigest()[:20]}"' for name, data in self._files.items()}

    def routes(self) -> list[Route]:
        return [
            Route("/", lambda request: self._file(request, "index.html")),
            Route("/favicon.ico", lambda request: self._file(request, "icon.svg")),
            Route("/robots.txt", lambda request: Response("User-agent: *\nDisallow: /api/\n", media_type="text/plain")),
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
