"""Jobs over HTTP: submit, list, show, cancel, retry, pause, resume, move, delete, result."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from ..core.errors import RequestError
from ..core.numerals import integer
from ..core.outside import for_terminal
from ..http.json_body import json_body
from ..http.refusal import refusal
from ..jobs.job import Job, NoSuchJob, WrongState
from ..jobs.store import MOST_LISTED, JobStore
from .answers import answer
from .media_types import headers_of
from .submissions import QueueFull, Submissions

ID = "{id}"
_ID = re.compile(r"[0-9a-f]{8,40}")
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,100}")
PAGE_BYTES, READ_JOBS = 8 * 2**20, 20
"""Bytes of jobs after which a page of the list ends; jobs that are read at once."""
SUBMITTED = ("kind", "body", "priority", "name", "expires_s")


class JobRoutes:
    """store: the jobs. submissions: of new ones. max_body_bytes: of a submitted job."""

    def __init__(self, store: JobStore, submissions: Submissions, max_body_bytes: int) -> None:
        self.store, self.submissions, self.max_body_bytes = store, submissions, max_body_bytes

    def routes(self) -> list[BaseRoute]:
        verbs = {"cancel": self.store.cancel, "retry": self.store.retry, "pause": self.store.pause,
                 "resume": self.store.resume}  # fmt: skip
        return [
            Route("/jobs", self.submit, methods=["POST"]),
            Route("/jobs", self.show_all),
            Route(f"/jobs/{ID}", self.show),
            Route(f"/jobs/{ID}", self.delete, methods=["DELETE"]),
            Route(f"/jobs/{ID}/move", self.move, methods=["POST"]),
            Route(f"/jobs/{ID}/result", self.result),
            *(Route(f"/jobs/{ID}/{name}", self._verb(verb), methods=["POST"]) for name, verb in verbs.items()),
        ]

    async def submit(self, request: Request) -> Response:
        """Body: {"kind", "body", "priority", "name", "expires_s"}; header Idempotency-Key. 201: new, 200: the same job
        as before with this key."""
        data = await json_body(request, self.max_body_bytes)
        if isinstance(data, Response):
            return data
        known(data, SUBMITTED)
        more = {name: data[name] for name in ("priority", "name", "expires_s") if data.get(name) is not None}
        try:
            job, new = await self.submissions.submit(
                data.get("kind", "clip"), data.get("body"), request.headers.get("idempotency-key") or None, **more
            )
        except QueueFull as error:
            return refusal(429, str(error), {"retry-after": "30"})
        return answer(job.to_dict(), 201 if new else 200, {"location": f"/jobs/{job.id}"})

    async def show_all(self, request: Request) -> Response:
        """Query: state and kind (repeated or comma-separated), limit, before."""
        query = request.query_params
        limit = whole("limit", query.get("limit", "50"))
        if not 1 <= limit <= MOST_LISTED:
            raise RequestError(f"limit = {limit}.", field="limit", value=limit, legal=f"1 to {MOST_LISTED}")
        kinds = [listed("kind", each, _KIND, "the name of a kind") for each in _among(query.getlist("kind"))]
        before = listed("before", query["before"], _ID, "the id of a job") if "before" in query else None
        states = _among(query.getlist("state"))
        found, more = await run_in_threadpool(self._page, states, kinds, limit, before)
        return answer({"jobs": found, "next": found[-1]["id"] if more else None})

    def _page(
        self, states: Sequence[str], kinds: Sequence[str], limit: int, before: str | None
    ) -> tuple[list[dict[str, Any]], bool]:  # fmt: skip
        """Up to `limit` jobs, and whether there are more. A page ends early above PAGE_BYTES: bodies and results may
        hold pictures inline."""
        found: list[dict[str, Any]] = []
        size = 0
        while len(found) < limit and size < PAGE_BYTES:
            wanted = min(READ_JOBS, limit - len(found))
            page = self.store.list(states, kinds, wanted, before)
            shown = [job.to_dict() for job in page]
            found += shown
            if len(page) < wanted:
                return found, False
            size += sum(len(json.dumps(each)) for each in shown)
            before = page[-1].id
        return found, bool(found)

    async def show(self, request: Request) -> Response:
        return answer((await self._job(request)).to_dict())

    async def delete(self, request: Request) -> Response:
        await run_in_threadpool(self.store.delete, id_of(request.path_params["id"]))
        return Response(status_code=204)

    async def move(self, request: Request) -> Response:
        """Body: {"before": id} or {"to": "front" | "back"}."""
        data = await json_body(request, 4096)
        if isinstance(data, Response):
            return data
        known(data, ("before", "to"))
        before, to = data.get("before"), data.get("to")
        if before is not None:
            before = listed("before", before, _ID, "the id of a queued job")
        job = await run_in_threadpool(self.store.move, id_of(request.path_params["id"]), before=before, to=to)
        return answer(job.to_dict())

    async def result(self, request: Request) -> Response:
        """The file of a job that succeeded; ranges are supported."""
        return await file_of(self.store, await self._job(request))

    def _verb(self, change: Callable[[str], Job]) -> Callable[[Request], Awaitable[Response]]:
        async def run(request: Request) -> Response:
            return answer((await run_in_threadpool(change, id_of(request.path_params["id"]))).to_dict())

        run.__name__ = change.__name__
        return run

    async def _job(self, request: Request) -> Job:
        return await run_in_threadpool(self.store.get, id_of(request.path_params["id"]))


async def file_of(store: JobStore, job: Job) -> Response:
    """The file of a job that succeeded. WrongState."""
    if job.state != "succeeded" or not job.result or not job.result.get("media"):
        why = f": {job.reason}" if job.reason else ""
        raise WrongState(f"The job {job.id} is {job.state} and has no result{why}.")
    media = await run_in_threadpool(store.media.find, job.result["media"])
    path = await run_in_threadpool(store.media.path, job.result["media"])
    facts = headers_of(job.result.get("media_type") or media.media_type, media.sha256)
    return FileResponse(path, media_type=facts.media_type, headers=facts.headers,
                        filename=str(job.result.get("name") or media.sha256),
                        content_disposition_type=facts.disposition)  # fmt: skip


def id_of(id: str) -> str:
    """The id of a path. NoSuchJob for a text that no job has."""
    if _ID.fullmatch(id) is None:
        raise NoSuchJob(f"No job {for_terminal(id, 60)}.")
    return id


def listed(field: str, value: Any, pattern: re.Pattern[str], legal: str) -> str:
    """A text that meets a pattern. RequestError."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        shown = str(value)[:50]
        raise RequestError(f"{field} = {shown!r}.", field=field, value=shown, legal=legal)
    return value


def known(data: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """RequestError for a field with another name."""
    for name in data:
        if name not in names:
            raise RequestError(f"Unknown field {name[:50]!r}.", field=name[:50], legal=", ".join(names))


def whole(field: str, text: str) -> int:
    """A whole number of a query. RequestError."""
    try:
        return integer(text)
    except ValueError:
        raise RequestError(f"{field} = {text[:50]!r}.", field=field, value=text[:50], legal="a whole number") from None


def _among(values: list[str]) -> list[str]:
    return [each for value in values for each in value.split(",") if each]
