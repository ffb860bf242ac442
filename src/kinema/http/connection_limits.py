"""Timeouts and connection limits of a server, enforced before any request handler runs.

Each request has a timeout for its head and one for its body, counted from the first byte however slowly the rest
arrives; a response that the client does not read has one too. The number of connections is limited per client network
and in total, so that half-open connections of one client do not lock out others.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from .rate_limit import client_network


@dataclass(frozen=True)
class ConnectionLimits:
    """head_s: from the connection, or the first byte of the next request, to the end of the request's head. body_s:
    from there to the end of the body; with body_bytes_per_s, one more second for each so many bytes that have arrived,
    so that large uploads have the time they need. answer_s: maximum time without the client reading. idle_s: between
    two requests. each: connections per client network; all: in total. exempt: addresses (proxies) without a limit."""

    head_s: float = 10.0
    body_s: float = 20.0
    answer_s: float = 60.0
    idle_s: int = 20
    body_bytes_per_s: float = 0.0
    each: int = 200
    all: int = 2000
    exempt: Collection[str] = ()


FOR_VIEWERS = ConnectionLimits()
FOR_JOBS = ConnectionLimits(each=200, all=800, body_bytes_per_s=16_000)


def protocol(limits: ConnectionLimits) -> type[Any]:
    """uvicorn's HTTP protocol with these limits."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    connected: Counter[str] = Counter()

    class LimitedProtocol(H11Protocol):
        _timer: Any = None
        _waits_for: object = None
        _since = 0.0
        _received = 0
        _address: str | None = None
        _stalled: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            host = self.client[0] if self.client else ""
            if host not in limits.exempt:
                address = client_network(host)
                if connected[address] >= limits.each or connected.total() >= limits.all:
                    transport.abort()
                    return
                self._address = address
                connected[address] += 1
            self._wait("head")

        def connection_lost(self, exc: Exception | None) -> None:
            _leave(connected, self._address)
            self._address = None
            self._wait(None)
            self._stop_stalled()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._received += len(data)
            if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a socket has no body
                return
            state = self.conn.their_state
            self._wait("head" if state is h11.IDLE else "body" if state is h11.SEND_BODY else None)

        def handle_websocket_upgrade(self, event: Any) -> None:
            """The socket has the connection from now on, which counts until the socket's end."""
            address, self._address = self._address, None
            self._wait(None)
            super().handle_websocket_upgrade(event)
            socket: Any = self.transport.get_protocol()
            socket.at_end = lambda: _leave(connected, address)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stop_stalled()
            self._stalled = self.loop.call_later(limits.answer_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_stalled()

        def _wait(self, part: str | None) -> None:
            """Start the timer for the "head" or "body"; more bytes of the same part do not restart it."""
            if part == self._waits_for:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._waits_for, self._timer = part, None
            self._since, self._received = self.loop.time(), 0
            if part is not None:
                limit_s = limits.head_s if part == "head" else limits.body_s
                self._timer = self.loop.call_later(limit_s, self._too_late)

        def _too_late(self) -> None:
            if self._waits_for == "body" and limits.body_bytes_per_s:
                end = self._since + limits.body_s + self._received / limits.body_bytes_per_s
                if (left_s := end - self.loop.time()) > 0:
                    self._timer = self.loop.call_later(left_s, self._too_late)
                    return
            if not self.transport.is_closing():
                self.transport.abort()

        def _stop_stalled(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None

    return LimitedProtocol


def sockets(limits: ConnectionLimits) -> type[Any] | None:
    """uvicorn's protocol for sockets with these limits; None if no package for them is installed."""
    if importlib.util.find_spec("websockets") is None:
        return None
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class LimitedSocket(WebSocketsSansIOProtocol):
        at_end: Callable[[], None] = staticmethod(lambda: None)
        _stalled: Any = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_stalled()
            super().connection_lost(exc)
            self.at_end()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stop_stalled()
            self._stalled = self.loop.call_later(limits.answer_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_stalled()

        def _stop_stalled(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None

    return LimitedSocket


def _leave(connected: Counter[str], address: str | None) -> None:
    """One connection of a client less."""
    if address is not None:
        connected[address] -= 1
        if connected[address] <= 0:
            del connected[address]
