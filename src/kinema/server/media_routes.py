"""Media by content hash: upload, look up, download."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from ..core.by_hash import is_sha256
from ..http.uploads import receive
from ..jobs.job import Media, NoSuchMedia
from ..jobs.store import JobStore
from .answers import answer
from .media_types import headers_of


class MediaRoutes:
    """store: the media. max_bytes: of an upload."""

    def __init__(self, store: JobStore, max_bytes: int) -> None:
        self.store, self.max_bytes = store, max_bytes

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/media", self.upload, methods=["POST"]),
            Route("/media/{sha256}", self.download),
        ]

    async def upload(self, request: Request) -> Response:
        """Body: the file; Content-Type: its type; X-Kinema-SHA256: its hash, checked."""
        async with receive(request, self.store.media.folder, self.max_bytes) as found:
            if isinstance(found, Response):
                return found
            media = await run_in_threadpool(
                self.store.media.adopt, found.path, Media(found.sha256, found.bytes, found.media_type)
            )
        return answer({"media": str(media), "bytes": media.bytes, "media_type": media.media_type}, 201,
                      {"location": f"/media/{media.sha256}"})  # fmt: skip

    async def download(self, request: Request) -> Response:
        """GET and HEAD; ranges are supported."""
        sha256 = request.path_params["sha256"]
        if not is_sha256(sha256):
            raise NoSuchMedia("No such media.")
        media = await run_in_threadpool(self.store.media.find, sha256)
        path = await run_in_threadpool(self.store.media.path, sha256)
        facts = headers_of(media.media_type, sha256)
        return FileResponse(path, media_type=facts.media_type, headers=facts.headers, filename=sha256,
                            content_disposition_type=facts.disposition)  # fmt: skip
