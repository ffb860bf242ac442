"""New jobs of clients, in whatever form they were sent: checked, bounded by the queue, and stored once per key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..core.errors import KinemaError, RequestError
from ..jobs.job import Job, NoSuchMedia
from ..jobs.store import JobStore

Check = Callable[[Any], Awaitable[None]]
"""Of a kind of jobs: RequestError for a body that a client may not send or that cannot be done."""


class QueueFull(KinemaError):
    """Too many jobs wait."""


class Submissions:
    """store: the jobs. checks: the kinds of jobs that clients may submit. max_queued: jobs that wait."""

    def __init__(self, store: JobStore, checks: Mapping[str, Check], max_queued: int) -> None:
        self.store, self.checks, self.max_queued = store, checks, max_queued

    async def submit(self, kind: Any, body: Any, key: str | None = None, **more: Any) -> tuple[Job, bool]:
        """Store a job; return it, and whether it is new. more: as for JobStore.submit. RequestError, KeyReused,
        QueueFull."""
        check = self.checks.get(kind) if isinstance(kind, str) else None
        if check is None:
            raise RequestError(f"No kind of job {str(kind)[:50]!r}.", field="kind", value=str(kind)[:50],
                               legal=", ".join(self.checks))  # fmt: skip
        if key is not None:
            earlier = await run_in_threadpool(self.store.submitted, kind, body, key)
            if earlier is not None:
                return earlier, False
        if (await run_in_threadpool(self.store.counts))["queued"] >= self.max_queued:
            raise QueueFull(f"The queue is full ({self.max_queued} jobs).")
        await check(body)
        try:
            return await run_in_threadpool(self.store.submit, kind, body, key=key, **more)
        except NoSuchMedia as error:
            raise RequestError(str(error), field="body", legal="media that were uploaded with POST /media") from None
