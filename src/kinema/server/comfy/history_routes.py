"""The history: workflows that have ended, in ComfyUI's form."""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.numerals import integer
from ...http.json_body import json_body
from ...jobs.several import remove_ended
from ...jobs.store import JobStore
from ..answers import answer
from .prompts import ENDED_STATUSES, KIND, PromptRecord, Prompts, prompt_id
from .queue_routes import MAX_BODY_BYTES, PAGE_BYTES, READ_BODIES, jobs_of
from .shown_jobs import history_of

DEFAULT_ITEMS, MOST_ITEMS, MOST_OFFSET = 200, 10_000, 10**9


class HistoryRoutes:
    """store: the jobs."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.prompts = store, Prompts(store)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/history", self.show_history),
            Route("/history", self.change_history, methods=["POST"]),
            Route("/history/{id}", self.show_one),
        ]

    async def show_history(self, request: Request) -> Response:
        """{id: record}, the oldest first. Query: max_items (200), offset: of the first one, counted from the oldest;
        without it the newest ones. An answer ends after 8 MiB."""
        query = request.query_params
        most, offset = _number(query.get("max_items"), DEFAULT_ITEMS), _number(query.get("offset"), -1)
        if most is None or offset is None or most < 0 or not -1 <= offset <= MOST_OFFSET:
            return answer({"error": "max_items and offset are whole numbers from 0."}, 400)
        return answer(await run_in_threadpool(self._history, min(most, MOST_ITEMS), offset))

    def _history(self, most: int, offset: int) -> dict[str, Any]:
        newest = offset < 0
        found: dict[str, Any] = {}
        size, at = 0, max(0, offset)
        while len(found) < most and size < PAGE_BYTES:
            wanted = min(READ_BODIES, most - len(found))
            page, _ = self.prompts.page(ENDED_STATUSES, limit=wanted, offset=at, newest_first=newest)
            bodies = self.prompts.bodies([each.job for each in page])
            for record in page:
                shown = history_of(self.prompts, record, bodies.get(record.job, {}))
                size += len(json.dumps(shown))
                found[record.id] = shown
                if size >= PAGE_BYTES:
                    break
            if len(page) < wanted:
                break
            at += len(page)
        return dict(reversed(found.items())) if newest else found

    async def show_one(self, request: Request) -> Response:
        """{id: record}, or {} until it has ended: clients wait for it so. Query: unfinished=true: also before, with
        the outputs so far."""
        id = prompt_id(request.path_params["id"])
        early = request.query_params.get("unfinished") == "true"
        record = None if id is None else await run_in_threadpool(self.prompts.find, id)
        if record is None or not (record.ended or early):
            return answer({})
        return answer({record.id: await run_in_threadpool(self._one, record)})

    def _one(self, record: PromptRecord) -> dict[str, Any]:
        return history_of(self.prompts, record, self.prompts.whole_body(record.job))

    async def change_history(self, request: Request) -> Response:
        """Body: {"clear": true} or {"delete": [ids]}: delete those that have ended."""
        data = await json_body(request, MAX_BODY_BYTES, any_type=True)
        if isinstance(data, Response):
            return data
        if data.get("clear") is True:
            await run_in_threadpool(remove_ended, self.store, KIND)
        if isinstance(data.get("delete"), list):
            jobs = await run_in_threadpool(jobs_of, self.prompts, data["delete"])
            await run_in_threadpool(remove_ended, self.store, KIND, jobs)
        return Response(status_code=200)


def _number(text: str | None, default: int) -> int | None:
    """A whole number of a query; None for a text that is none."""
    try:
        return default if text is None else integer(text)
    except ValueError:
        return None
