"""The videos API (/v1/videos), as OpenAI's clients and the servers of open models speak it: a second face of the jobs.

Errors have that API's form: {"error": {"message", "type", "param", "code"}}.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..core.errors import KinemaError, RequestError
from ..http.json_body import json_body
from ..jobs.job import Job, NoSuchJob
from ..jobs.store import JobStore
from .answers import answer, status_of
from .forms import form_fields
from .job_routes import file_of, id_of, whole
from .model_routes import here
from .submissions import QueueFull, Submissions
from .video_request import PREFIX, request_of, video_of

MOST_LISTED = 100
Handler = Callable[[Request], Awaitable[Response]]


class VideoRoutes:
    """store: the jobs, of which those of the kind `clip` are videos. models: as for ModelRoutes. max_body_bytes: of a
    JSON body, and of a form with a picture."""

    def __init__(
        self, store: JobStore, submissions: Submissions, models: Collection[str], max_body_bytes: int
    ) -> None:  # fmt: skip
        self.store, self.submissions, self.models = store, submissions, models
        self.max_body_bytes = max_body_bytes

    def routes(self) -> list[BaseRoute]:
        one = "/v1/videos/{id}"
        return [
            Route("/v1/models", _in_words(self.show_models)),
            Route("/v1/videos", _in_words(self.create), methods=["POST"]),
            Route("/v1/videos", _in_words(self.show_all)),
            Route(one, _in_words(self.show)),
            Route(one, _in_words(self.delete), methods=["DELETE"]),
            Route(f"{one}/content", _in_words(self.content)),
        ]

    async def create(self, request: Request) -> Response:
        """Body: JSON or a form (video_request.py); header Idempotency-Key."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
            data = await form_fields(request, self.store.media, self.max_body_bytes, "input_reference")
        else:
            data = await json_body(request, self.max_body_bytes)
        if isinstance(data, Response):
            return _error(data.status_code, str(json.loads(bytes(data.body))["error"]), headers=dict(data.headers))
        key = request.headers.get("idempotency-key") or None
        job, _ = await self.submissions.submit("clip", request_of(data), key)
        return answer(video_of(job))

    async def show_all(self, request: Request) -> Response:
        """Query: limit (20), after (an id), order (desc)."""
        query = request.query_params
        limit = whole("limit", query.get("limit", "20"))
        if not 1 <= limit <= MOST_LISTED:
            raise RequestError(f"limit = {limit}.", field="limit", value=limit, legal=f"1 to {MOST_LISTED}")
        if (order := query.get("order", "desc")) != "desc":
            raise RequestError(f"order = {order[:50]!r}.", field="order", value=order[:50], legal="desc")
        after = _id(query["after"]) if query.get("after") else None
        jobs = await run_in_threadpool(self.store.list, (), ("clip",), limit + 1, after)
        found = [video_of(job) for job in jobs[:limit]]
        return answer({
            "object": "list", "data": found, "has_more": len(jobs) > limit,
            "first_id": found[0]["id"] if found else None, "last_id": found[-1]["id"] if found else None,
        })  # fmt: skip

    async def show(self, request: Request) -> Response:
        return answer(video_of(await self._job(request)))

    async def delete(self, request: Request) -> Response:
        """Delete an ended video. One that is queued or in progress is canceled, and is there until it has ended."""
        job = await self._job(request)
        if not job.ended:
            job = await run_in_threadpool(self.store.cancel, job.id)
        if job.ended:
            await run_in_threadpool(self.store.delete, job.id)
        return answer({"id": PREFIX + job.id, "object": "video.deleted", "deleted": job.ended})

    async def content(self, request: Request) -> Response:
        """The file; ranges are supported."""
        if (variant := request.query_params.get("variant", "video")) != "video":
            raise RequestError(f"variant = {variant[:50]!r}.", field="variant", value=variant[:50], legal="video")
        return await file_of(self.store, await self._job(request))

    async def show_models(self, _request: Request) -> Response:
        cards = await run_in_threadpool(here, self.models)
        models = [{"id": card.id, "object": "model", "created": 0, "owned_by": "kinema"} for card in cards]
        return answer({"object": "list", "data": models})

    async def _job(self, request: Request) -> Job:
        job = await run_in_threadpool(self.store.get, _id(request.path_params["id"]))
        if job.kind != "clip":
            raise NoSuchJob(f"The job {job.id} is no video.")
        return job


def _id(text: str) -> str:
    """The id of a job, of that of a video. NoSuchJob."""
    if not text.startswith(PREFIX):
        raise NoSuchJob(f"No video {text[:60]!r}.")
    return id_of(text.removeprefix(PREFIX))


def _in_words(handler: Handler) -> Handler:
    """The handler, its errors in the form of this API."""

    async def run(request: Request) -> Response:
        try:
            return await handler(request)
        except QueueFull as error:
            return _error(429, str(error), "rate_limit_error", headers={"retry-after": "30"})
        except KinemaError as error:
            facts, status = error.to_dict(), status_of(error)
            legal = f" Legal: {facts['legal']}." if facts.get("legal") else ""
            kind = "invalid_request_error" if status < 500 else "api_error"
            return _error(400 if status == 422 else status, f"{facts['message']}{legal}", kind, facts.get("field"))

    run.__name__ = handler.__name__
    return run


def _error(
    status: int, message: str, kind: str = "invalid_request_error", param: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    kept = {name: value for name, value in (headers or {}).items() if not name.startswith("content-")}
    body = {"error": {"message": message, "type": kind, "param": param or None, "code": None}}
    return JSONResponse(body, status, kept)
