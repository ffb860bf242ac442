"""Rate limits per client address and in total."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST = 10_000


class RateLimit:
    """At most `each` uses per address and `all` in total within `per_s` seconds. Not thread-safe."""

    def __init__(self, each: int, all: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.each, self.all, self.per_s, self._clock = each, all, per_s, clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._together: deque[float] = deque()

    def wait_s(self, address: str) -> int:
        """Whole seconds until the next use is allowed; 0: now."""
        now = self._clock()
        own = self._by_address.get(client_network(address), deque())
        waits = [
            times[len(times) - most] + self.per_s - now
            for times, most in ((own, self.each), (self._together, self.all))
            if len(times) >= most
        ]
        return max(0, math.ceil(max(waits, default=0.0)))

    def use(self, address: str) -> None:
        """Count one use."""
        now, key = self._clock(), client_network(address)
        own = self._by_address.setdefault(key, deque(maxlen=self.each))
        self._by_address.move_to_end(key)
        own.append(now)
        self._together.append(now)
        while len(self._together) > self.all:
            self._together.popleft()
        while len(self._by_address) > MOST:
            self._by_address.popitem(last=False)


def client_network(address: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 address: what one client typically has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
