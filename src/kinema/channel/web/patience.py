"""How long and how often a server of the channel's is patient with who connects to it, before anybody's code runs.

Each request has a time for its head and one for its body, from the first byte on, however slowly the others follow; an
answer that its reader does not take has one too. One address (allowance.py: household) has so many connections at most,
and no more than all of them together, so that nobody's half-open ones keep everybody else out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from .allowance import household


@dataclass(frozen=True)
class ConnectionLimits:
    """head_s: from a connection, or the first byte of its next request, until the end of a request's head. body_s: from
    there until the body's. answer_s: that a reader may take nothing of an answer. idle_s: between two requests. each:
    connections of one address; all: together. exempt: addresses (proxies) that have no limit of their own."""

    head_s: float = 10.0
    body_s: float = 20.0
    answer_s: float = 60.0
    idle_s: int = 20
    each: int = 200
    all: int = 2000
    exempt: Collection[str] = ()


FOR_VIEWERS = ConnectionLimits()
FOR_ORDERS = ConnectionLimits(each=32, all=200)


def protocol(patience: ConnectionLimits) -> type[Any]:
    """uvicorn's HTTP protocol with this patience."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    connected: Counter[str] = Counter()

    class PatientProtocol(H11Protocol):
        _timer: Any = None
        _waits_for: object = None
        _address: str | None = None
        _stalled: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            host = self.client[0] if self.client else ""
            if host not in patience.exempt:
                address = household(host)
                if connected[address] >= patience.each or connected.total() >= patience.all:
                    transport.abort()
                    return
                self._address = address
                connected[address] += 1
            self._wait("head")

        def connection_lost(self, exc: Exception | None) -> None:
            if self._address is not None:
                connected[self._address] -= 1
                if connected[self._address] <= 0:
                    del connected[self._address]
                self._address = None
            self._wait(None)
            self._stop_stalled()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.transport.is_closing():
                return
            state = self.conn.their_state
            self._wait("head" if state is h11.IDLE else "body" if state is h11.SEND_BODY else None)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stop_stalled()
            self._stalled = self.loop.call_later(patience.answer_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_stalled()

        def _wait(self, what: str | None) -> None:
            """For the end of this; a wait that has begun is not begun anew by more bytes."""
            if what == self._waits_for:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._waits_for, self._timer = what, None
            if what is not None:
                limit_s = patience.head_s if what == "head" else patience.body_s
                self._timer = self.loop.call_later(limit_s, self._too_late)

        def _too_late(self) -> None:
            if not self.transport.is_closing():
                self.transport.abort()

        def _stop_stalled(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None

    return PatientProtocol
