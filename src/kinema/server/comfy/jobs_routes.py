"""ComfyUI's /api/jobs: workflows of every status, in pages. Without /api, Kinema's own jobs come first."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.numerals import integer
from ...http.json_body import json_body
from ...jobs.store import JobStore
from ..answers import answer
from .prompts import SORTS, STATUSES, PromptRecord, Prompts, prompt_id
from .queue_routes import MAX_BODY_BYTES, cancel_one, jobs_of
from .shown_jobs import detail_of, job_of

DEFAULT_LIMIT, MOST_LISTED, MOST_OFFSET = 100, 1000, 10**9


class ComfyJobRoutes:
    """store: the jobs."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.prompts = store, Prompts(store)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/jobs", self.list_jobs),
            Route("/jobs/cancel", self.cancel_jobs, methods=["POST"]),
            Route("/jobs/{id}", self.show_job),
            Route("/jobs/{id}/cancel", self.cancel_job, methods=["POST"]),
        ]

    async def list_jobs(self, request: Request) -> Response:
        """Query: status (comma-separated), workflow_id, sort_by (created_at, execution_duration), sort_order (asc,
        desc), limit (100, at most 1000), offset."""
        query = request.query_params
        statuses = [each.strip() for each in query.get("status", "").split(",") if each.strip()]
        sort, order = query.get("sort_by", "created_at"), query.get("sort_order", "desc").lower()
        try:
            limit, offset = integer(query.get("limit", str(DEFAULT_LIMIT))), integer(query.get("offset", "0"))
        except ValueError:
            limit = offset = -1
        for wrong, why in (
            (any(each not in STATUSES for each in statuses), f"status: one of {', '.join(STATUSES)}."),
            (sort not in SORTS, f"sort_by: one of {', '.join(SORTS)}."),
            (order not in ("asc", "desc"), "sort_order: asc or desc."),
            (not (1 <= limit <= MOST_LISTED and 0 <= offset <= MOST_OFFSET),
             f"limit: 1 to {MOST_LISTED}; offset: from 0."),
        ):  # fmt: skip
            if wrong:
                return answer({"error": why}, 400)
        page, total = await run_in_threadpool(
            lambda: self.prompts.page(statuses, limit=limit, offset=offset, workflow=query.get("workflow_id", ""),
                                      sort=sort, newest_first=order == "desc")
        )  # fmt: skip
        pages = {"offset": offset, "limit": limit, "total": total, "has_more": offset + len(page) < total}
        return answer({"jobs": [job_of(each) for each in page], "pagination": pages})

    async def show_job(self, request: Request) -> Response:
        """A job from its submission on, with its outputs so far, its prompt and its page."""
        record = await self._found(request.path_params["id"])
        if record is None:
            return answer({"error": "No such job."}, 404)
        return answer(await run_in_threadpool(self._detail, record))

    def _detail(self, record: PromptRecord) -> dict[str, Any]:
        return detail_of(self.prompts, record, self.prompts.whole_body(record.job))

    async def cancel_job(self, request: Request) -> Response:
        """{"cancelled": whether it was queued or ran}."""
        if prompt_id(request.path_params["id"]) is None:
            return _invalid([request.path_params["id"]])
        record = await self._found(request.path_params["id"])
        done = record is not None and await run_in_threadpool(cancel_one, self.store, record.job)
        return answer({"cancelled": done})

    async def cancel_jobs(self, request: Request) -> Response:
        """Body: {"job_ids": [ids]}. {"cancelled": whether any was queued or ran}."""
        data = await json_body(request, MAX_BODY_BYTES, any_type=True)
        if isinstance(data, Response):
            return data
        ids = data.get("job_ids")
        if not isinstance(ids, list):
            return answer({"error": "job_ids: a list of ids."}, 400)
        if wrong := [each for each in ids if prompt_id(each) is None]:
            return _invalid(wrong)
        return answer({"cancelled": bool(await run_in_threadpool(self._cancel, ids))})

    def _cancel(self, ids: list[str]) -> int:
        return sum(cancel_one(self.store, job) for job in jobs_of(self.prompts, ids))

    async def _found(self, text: str) -> PromptRecord | None:
        id = prompt_id(text)
        return None if id is None else await run_in_threadpool(self.prompts.find, id)


def _invalid(ids: list[Any]) -> Response:
    return answer({"error": "Not an id of a job.", "invalid_ids": [str(each)[:100] for each in ids[:100]]}, 400)
