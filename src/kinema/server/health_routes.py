"""Health for people and machines: alive, ready, and numbers for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ..core.errors import KinemaError
from ..jobs.store import JobStore
from .answers import answer
from .metrics import Metrics

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class HealthRoutes:
    """store: the jobs. version: of Kinema. workers: how many workers take jobs now. metrics: the counters; listeners:
    open event streams that wait."""

    def __init__(
        self, store: JobStore, version: str, workers: Callable[[], int], listeners: Callable[[], int]
    ) -> None:  # fmt: skip
        self.store, self.version, self.workers, self.listeners = store, version, workers, listeners
        self.metrics: Metrics | None = None

    def routes(self) -> list[BaseRoute]:
        return [Route("/healthz", self.alive), Route("/readyz", self.ready), Route("/metrics", self.numbers)]

    async def alive(self, _request: Request) -> Response:
        return answer({"kinema": "server", "version": self.version, "pid": os.getpid()})

    async def ready(self, _request: Request) -> Response:
        """200: the store answers and a worker takes jobs; else 503 with the reason."""
        try:
            workers = await run_in_threadpool(self.workers)
            counts = await run_in_threadpool(self.store.counts)
        except KinemaError as error:
            return answer({"ready": False, "error": str(error)}, 503)
        facts: dict[str, Any] = {"ready": workers > 0, "workers": workers, "queued": counts["queued"]}
        if not workers:
            return answer(facts | {"error": "No worker takes jobs."}, 503, {"retry-after": "5"})
        return answer(facts)

    async def numbers(self, _request: Request) -> Response:
        facts = await run_in_threadpool(self._facts)
        assert self.metrics is not None
        return PlainTextResponse(self.metrics.text(facts), media_type=PROMETHEUS)

    def _facts(self) -> dict[str, tuple[str, dict[str, float]]]:
        counts = self.store.counts()
        return {
            "kinema_jobs": ("Jobs by state.", {f'{{state="{state}"}}': count for state, count in counts.items()}),
            "kinema_workers": ("Workers that take jobs.", {"": self.workers()}),
            "kinema_media_bytes": ("Bytes of all media.", {"": self.store.media.total_bytes()}),
            "kinema_listeners": ("Event streams that wait for an event.", {"": self.listeners()}),
            "kinema_info": ("The version of Kinema.", {f'{{version="{self.version}"}}': 1}),
        }
