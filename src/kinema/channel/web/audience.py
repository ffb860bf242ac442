"""The number of viewers: clients that requested the live playlist within the last seconds. No cookies, no storage."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

HELD_S = 10.0
MOST = 50_000


class Audience:
    """Viewers are identified by a random token in the playlist address, or by address and user agent if the player
    requests the playlist directly. Not thread-safe."""

    def __init__(self, held_s: float = HELD_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.held_s, self._clock = held_s, clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    @staticmethod
    def new_token() -> str:
        return secrets.token_urlsafe(9)

    def seen(self, viewer: str) -> None:
        """Record a request of a viewer."""
        self._seen[viewer] = self._clock()
        self._seen.move_to_end(viewer)
        self._expire()

    def count(self) -> int:
        self._expire()
        return len(self._seen)

    def _expire(self) -> None:
        since = self._clock() - self.held_s
        while self._seen and (len(self._seen) > MOST or next(iter(self._seen.values())) < since):
            self._seen.popitem(last=False)
