"""Counters of a server in Prometheus' text format."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

BUCKETS_S = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """ASGI middleware that counts responses by route and status, and the time to their first byte. Routes are named by
    their handler, never by the path, so that clients cannot add names."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.began_at = time.time()
        self.responses: Counter[tuple[str, str, int]] = Counter()
        self.buckets: Counter[float] = Counter()
        self.seconds, self.count, self.open = 0.0, 0, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"], time.perf_counter() - began)
            await send(message)

        self.open += 1
        try:
            await self.app(scope, receive, counted)
        finally:
            self.open -= 1

    def text(self, facts: Mapping[str, tuple[str, Mapping[str, float]]]) -> str:
        """The page. facts: name -> (help, {labels: value}), gauges of the moment."""
        lines: list[str] = []
        for name, (help, values) in facts.items():
            lines += [f"# HELP {name} {help}", f"# TYPE {name} gauge"]
            lines += [f"{name}{labels} {value:g}" for labels, value in values.items()]
        lines += ["# HELP kinema_http_responses_total Responses.", "# TYPE kinema_http_responses_total counter"]
        for (method, route, status), count in sorted(self.responses.items()):
            lines.append(f'kinema_http_responses_total{{method="{method}",route="{route}",status="{status}"}} {count}')
        name = "kinema_http_response_seconds"
        lines += [f"# HELP {name} Time to the first byte of a response.", f"# TYPE {name} histogram"]
        lines += [f'{name}_bucket{{le="{bound:g}"}} {self.buckets[bound]}' for bound in BUCKETS_S]
        lines += [f'{name}_bucket{{le="+Inf"}} {self.count}', f"{name}_sum {self.seconds:g}",
                  f"{name}_count {self.count}"]  # fmt: skip
        lines += ["# HELP kinema_http_open Requests in progress, event streams included.",
                  "# TYPE kinema_http_open gauge", f"kinema_http_open {self.open}"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _count(self, scope: Any, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        endpoint = scope.get("endpoint")
        route = getattr(endpoint, "__name__", "none") if endpoint is not None else "none"
        self.responses[method, route.strip("<>"), status] += 1
        self.count += 1
        self.seconds += seconds
        for bound in BUCKETS_S:
            if seconds <= bound:
                self.buckets[bound] += 1
