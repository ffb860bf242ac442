"""The events of a job: a stream, or a list for clients that accept JSON."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..http.changes import Changes
from ..http.server_events import TYPE, ServerEvent, event_stream, resume_after, wants_stream
from ..jobs.job import ENDED, JobEvent
from ..jobs.store import JobStore
from .answers import answer
from .job_routes import ID, id_of

PAGE = 200
"""Events that are read at once for a stream."""


class EventRoutes:
    """store: the jobs. changes: wakes streams when the store has changed."""

    def __init__(self, store: JobStore, changes: Changes) -> None:
        self.store, self.changes = store, changes

    def routes(self) -> list[BaseRoute]:
        return [Route(f"/jobs/{ID}/events", self.events)]

    async def events(self, request: Request) -> Response:
        """Query: after, or the header Last-Event-ID: the number of the last event that the client has. The stream ends
        after the event of the job's end; 204: the client has that event."""
        id, after = id_of(request.path_params["id"]), resume_after(request)
        job = await run_in_threadpool(self.store.get, id)
        if request.method == "HEAD":  # a stream without a body would not end
            return Response(media_type=TYPE)
        if not wants_stream(request):
            found = await run_in_threadpool(self.store.events, id, after)
            return answer({"events": [event.to_dict() for event in found]})

        async def read(at: int) -> Sequence[ServerEvent]:
            page = await run_in_threadpool(self.store.events, id, at, PAGE)
            return [_sent(event, event is page[-1]) for event in page]

        if job.ended and not await read(after):
            return Response(status_code=204)  # tells a browser not to reconnect
        return event_stream(read, self.changes, after)


def _sent(event: JobEvent, is_newest: bool) -> ServerEvent:
    """The state of an end is the last event of a stream only if nothing follows it: a retried job goes on."""
    ends = event.kind == "state" and event.data.get("state") in ENDED
    return ServerEvent(event.number, event.kind, event.data, ends and is_newest)
