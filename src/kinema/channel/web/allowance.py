"""How often somebody may do something: so many times within so many seconds, each address and all together."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST = 10_000


class Allowance:
    """`each` times an address and `all` times together within `per_s` seconds. One thread at a time."""

    def __init__(self, each: int, all: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.each, self.all, self.per_s, self._clock = each, all, per_s, clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._together: deque[float] = deque()

    def wait_s(self, address: str) -> int:
        """Whole seconds until it may be done again; 0: now."""
        now = self._clock()
        own = self._by_address.get(household(address), deque())
        waits = [
            times[len(times) - most] + self.per_s - now
            for times, most in ((own, self.each), (self._together, self.all))
            if len(times) >= most
        ]
        return max(0, math.ceil(max(waits, default=0.0)))

    def use(self, address: str) -> None:
        now, key = self._clock(), household(address)
        own = self._by_address.setdefault(key, deque(maxlen=self.each))
        self._by_address.move_to_end(key)
        own.append(now)
        self._together.append(now)
        while len(self._together) > self.all:
            self._together.popleft()
        while len(self._by_address) > MOST:
            self._by_address.popitem(last=False)


def household(address: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 one: what one household has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
