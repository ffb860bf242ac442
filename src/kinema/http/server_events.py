"""Server-sent events: a stream of numbered events that a client resumes where it left off.

    id: 7
    event: progress
    data: {"fraction": 0.4}

A client that reconnects sends the last id in `Last-Event-ID` (browsers do so by themselves) or in the query `after`.
Events are read from their store in pages, only as fast as the client takes them: a slow client costs no memory, and one
that takes nothing is disconnected by the connection limits. A comment line every HEARTBEAT_S keeps proxies from closing
an idle stream, and finds clients that are gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from ..core.errors import RequestError
from .changes import Changes

HEARTBEAT_S = 15.0
RETRY_MS = 1000
MAX_NUMBER = 2**53
TYPE = "text/event-stream"


@dataclass(frozen=True)
class ServerEvent:
    """An event. number: its id, from 1 without gaps. is_last: the stream ends after it."""

    number: int
    kind: str
    data: Any
    is_last: bool = False


def resume_after(request: Request) -> int:
    """The number of the last event that the client has: from Last-Event-ID, else from the query `after`, else 0.
    RequestError: it is not a number."""
    text = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= MAX_NUMBER):
        raise RequestError(f"after = {text[:50]!r}.", field="after", value=text[:50], legal="the number of an event")
    return int(text)


def wants_stream(request: Request) -> bool:
    """Whether the client accepts an event stream; a client that asks for JSON gets a list."""
    accepted = request.headers.get("accept", "")
    return "application/json" not in accepted or TYPE in accepted


def event_stream(
    read: Callable[[int], Awaitable[Sequence[ServerEvent]]], changes: Changes, after: int = 0, *,
    heartbeat_s: float = HEARTBEAT_S, headers: dict[str, str] | None = None,
) -> StreamingResponse:  # fmt: skip
    """The response. read(after): the next events after a number, in order, a bounded page of them; empty if there are
    none yet. changes: wakes the stream when there may be new ones."""

    async def lines() -> AsyncIterator[bytes]:
        at, last_sent = after, time.monotonic()
        yield f"retry: {RETRY_MS}\n\n".encode()
        while not changes.closed:
            seen = changes.now
            page = await read(at)
            for event in page:
                yield encoded(event)
                at, last_sent = event.number, time.monotonic()
                if event.is_last:
                    return
            if page:
                continue
            left_s = heartbeat_s - (time.monotonic() - last_sent)
            if left_s <= 0:
                yield b": still here\n\n"
                last_sent = time.monotonic()
                continue
            await changes.wait(seen, left_s)

    no_buffer = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(lines(), media_type=TYPE, headers={**no_buffer, **(headers or {})})


def encoded(event: ServerEvent) -> bytes:
    """An event as lines. JSON has no line breaks, so that data is one line."""
    data = json.dumps(event.data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    kind = "".join(letter for letter in event.kind if letter.isalnum() or letter in "_-") or "message"
    return f"id: {event.number}\nevent: {kind}\ndata: {data}\n\n".encode("ascii")
