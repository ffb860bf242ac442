"""How many watch: who asked for the live playlist within the last seconds. No cookies, nothing is kept."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

HELD_S = 10.0
MOST = 50_000


class Audience:
    """A player that comes by the channel's address gets a word of its own in the address of its playlist; one that does
    not is known by its address and the name of its program. May be used from one thread at a time."""

    def __init__(self, held_s: float = HELD_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.held_s, self._clock = held_s, clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    @staticmethod
    def word() -> str:
        return secrets.token_urlsafe(9)

    def saw(self, who: str) -> None:
        self._seen[who] = self._clock()
        self._seen.move_to_end(who)
        self._forget()

    def count(self) -> int:
        self._forget()
        return len(self._seen)

    def _forget(self) -> None:
        since = self._clock() - self.held_s
        while self._seen and (len(self._seen) > MOST or next(iter(self._seen.values())) < since):
            self._seen.popitem(last=False)
