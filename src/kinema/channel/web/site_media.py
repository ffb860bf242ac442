"""HLS over HTTP: playlists are not cached, segments are immutable.

Playlists are those of the playout with two changes. A player that requests /live.m3u8 gets a viewer token in the
address of its playlist, to count viewers. The address of each segment has its date, so that no cache returns a segment
of an earlier channel with the same number.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...http.refusal import address_of, refusal
from .audience import Audience

SEGMENT = re.compile(r"s\d{9}\.ts")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,40}")
PLAYLIST_TYPE, SEGMENT_TYPE = "application/vnd.apple.mpegurl", "video/mp2t"
OPEN = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
FRESH = {**OPEN, "cache-control": "no-cache"}
FOR_LONG = {**OPEN, "cache-control": "public, max-age=86400, immutable"}
_DATE = "#EXT-X-PROGRAM-DATE-TIME:"


class SiteMedia:
    """Routes of the HLS files. folder: the channel's."""

    def __init__(self, folder: Path, audience: Audience) -> None:
        self.on_air, self.audience = folder / "on_air", audience

    def routes(self) -> list[Route]:
        return [
            Route("/live.m3u8", self.channel),
            Route("/on_air/index.m3u8", self.channel),
            Route("/on_air/live.m3u8", self.live),
            Route("/on_air/{name}", self.segment),
        ]

    async def channel(self, request: Request) -> Response:
        """The multivariant playlist, with a viewer token."""
        data = await self._read("index.m3u8")
        if data is None:
            return refusal(503, "The channel has not been on air yet.", {**OPEN, "retry-after": "2"})
        where = "" if request.url.path.startswith("/on_air/") else "on_air/"
        return self._playlist(with_viewer(data.decode(), self.audience.new_token(), where))

    async def live(self, request: Request) -> Response:
        data = await self._read("live.m3u8")
        if data is None:
            return refusal(503, "The channel has not been on air yet.", {**OPEN, "retry-after": "2"})
        viewer = request.query_params.get("viewer", "")
        if not TOKEN.fullmatch(viewer):
            viewer = f"{address_of(request)} {request.headers.get('user-agent', '')[:200]}"
        self.audience.seen(viewer)
        return self._playlist(with_dates(data.decode()))

    async def segment(self, request: Request) -> Response:
        name = request.path_params["name"]
        data = await self._read(name) if SEGMENT.fullmatch(name) else None
        if data is None:
            return refusal(404, "No such segment; it may have expired.", OPEN)
        return Response(data, media_type=SEGMENT_TYPE, headers=FOR_LONG)

    async def _read(self, name: str) -> bytes | None:
        try:
            return await run_in_threadpool((self.on_air / name).read_bytes)
        except OSError:
            return None

    @staticmethod
    def _playlist(text: str) -> Response:
        return Response(text.encode(), media_type=PLAYLIST_TYPE, headers=FRESH)


def with_viewer(index: str, token: str, where: str) -> str:
    """A multivariant playlist whose entries are prefixed with `where` and carry the viewer's token."""
    return "".join(
        f"{where}{line}?viewer={token}\n" if line and not line.startswith("#") else f"{line}\n"
        for line in index.splitlines()
    )


def with_dates(live: str) -> str:
    """A media playlist with the program date-time in the address of each segment."""
    lines, date = [], ""
    for line in live.splitlines():
        if line.startswith(_DATE):
            date = line.removeprefix(_DATE)
        elif line and not line.startswith("#") and date:
            line = f"{line}?at={round(datetime.fromisoformat(date).timestamp() * 1000)}"
        lines.append(line)
    return "\n".join(lines) + "\n"
