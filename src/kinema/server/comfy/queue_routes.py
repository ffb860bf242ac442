"""The queue of workflows: list, clear, delete, pause; interrupt; free."""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...http.json_body import json_body
from ...jobs.several import cancel_queued, cancel_running, is_paused, pause_kind
from ...jobs.store import JobStore
from ..answers import answer
from .prompts import KIND, PromptRecord, Prompts, prompt_id
from .shown_jobs import queue_item

PAGE_BYTES, READ_BODIES = 8 * 2**20, 100
"""Bytes of prompts in one answer, above which they are left out; bodies that are read at once."""
MAX_BODY_BYTES = 2**20
INTERRUPTED, DELETED = "It was interrupted.", "It was deleted from the queue."


class QueueRoutes:
    """store: the jobs."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.prompts = store, Prompts(store)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/queue", self.show_queue),
            Route("/queue", self.change_queue, methods=["POST"]),
            Route("/interrupt", self.interrupt, methods=["POST"]),
            Route("/free", self.free, methods=["POST"]),
        ]

    async def show_queue(self, _request: Request) -> Response:
        """{"queue_running", "queue_pending"}: lists of [number, id, prompt, extra, outputs], and "paused"."""
        return answer(await run_in_threadpool(self._queue))

    def _queue(self) -> dict[str, Any]:
        running, pending = self.prompts.queue()
        bodies, size = dict[str, Any](), 0
        jobs = [each.job for each in (*running, *pending)]
        for start in range(0, len(jobs), READ_BODIES):
            found = self.prompts.bodies(jobs[start : start + READ_BODIES])
            size += len(json.dumps(found))
            if size > PAGE_BYTES:
                break
            bodies |= found

        def lines(records: list[PromptRecord]) -> list[list[Any]]:
            return [queue_item(each, bodies.get(each.job, {})) for each in records]

        return {"queue_running": lines(running), "queue_pending": lines(pending), "paused": is_paused(self.store, KIND)}

    async def change_queue(self, request: Request) -> Response:
        """Body: {"clear": true}: cancel all that wait; {"delete": [ids]}: those of them; {"paused": true or false}: let
        none start, or let them start again. What runs goes on."""
        data = await json_body(request, MAX_BODY_BYTES, any_type=True)
        if isinstance(data, Response):
            return data
        if data.get("clear") is True:
            await run_in_threadpool(cancel_queued, self.store, KIND, None, DELETED)
        if isinstance(data.get("delete"), list):
            jobs = await run_in_threadpool(jobs_of, self.prompts, data["delete"])
            await run_in_threadpool(cancel_queued, self.store, KIND, jobs, DELETED)
        if isinstance(data.get("paused"), bool):
            await run_in_threadpool(pause_kind, self.store, KIND, data["paused"])
        return Response(status_code=200)

    async def interrupt(self, request: Request) -> Response:
        """Body: {"prompt_id"}: cancel that one; without it, the one that runs at this moment, and never the next."""
        data = await json_body(request, MAX_BODY_BYTES, any_type=True)
        if isinstance(data, Response):
            return data
        await run_in_threadpool(self._interrupt, data)
        return Response(status_code=200)

    def _interrupt(self, data: dict[str, Any]) -> None:
        if data.get("prompt_id") is None:
            cancel_running(self.store, KIND, INTERRUPTED)
            return
        for job in jobs_of(self.prompts, [data["prompt_id"]]):
            cancel_one(self.store, job)

    async def free(self, request: Request) -> Response:
        """Accepted without effect: a worker drops models when it needs their memory."""
        data = await json_body(request, MAX_BODY_BYTES, any_type=True)
        return data if isinstance(data, Response) else Response(status_code=200)


def jobs_of(prompts: Prompts, ids: list[Any]) -> list[str]:
    """The jobs of prompts; ids that are none are left out."""
    known = [id for each in ids if (id := prompt_id(each)) is not None]
    found = [prompts.find(id) for id in dict.fromkeys(known)]
    return [each.job for each in found if each is not None]


def cancel_one(store: JobStore, job: str) -> bool:
    """Cancel a job unless it has ended; whether it was to end."""
    from ...jobs.job import NoSuchJob, WrongState

    try:
        return not store.get(job).ended and bool(store.cancel(job, INTERRUPTED))
    except (NoSuchJob, WrongState):  # it has ended in this moment
        return False
