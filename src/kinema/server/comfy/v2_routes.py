"""Comfy API v2: workflows as jobs that are polled or listened to, over the same queue as ComfyUI's own API."""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...http.changes import Changes
from ...http.json_body import json_body
from ...http.server_events import TYPE, ServerEvent, event_stream
from ...jobs.database import Do
from ...jobs.job import WrongState
from ...jobs.store import JobStore
from ..answers import answer
from ..job_routes import known, whole
from .labels import Labels, filters_of, labels_of
from .outputs import ResultNames
from .prompt_routes import PromptRoutes, title_of
from .prompts import KIND, PromptRecord, Prompts, prompt_id
from .v2_assets import V2AssetRoutes, base_of
from .v2_errors import V2Refused, enveloped, in_envelope
from .v2_events import V2Events
from .v2_inputs import NamedAssets, with_references
from .v2_jobs import API, JobsShown, line_of
from .v2_results import ResultFiles
from .validation import PromptRefused

SUBMITTED = ("workflow", "extra_data", "metadata")
SECRETS = ("api_key_comfy_org", "auth_token_comfy_org")
"""Keys of paid services in extra_data. No node here uses them, and they are not stored."""
DEFAULT_LIMIT, MOST_LISTED = 50, 100
MAX_KEY_CHARS = 255
_CURSOR = re.compile(r"[0-9a-f]{8,40}")
_OF_PAGES = ("nodes", "links")


class V2Routes:
    """store: the jobs. prompts: how a prompt is checked and stored. changes: wakes streams. max_upload_bytes: of an
    asset."""

    def __init__(self, store: JobStore, prompts: PromptRoutes, changes: Changes, max_upload_bytes: int) -> None:
        self.store, self.submitting, self.changes = store, prompts, changes
        self.prompts, self.labels = Prompts(store), Labels(store.database)
        self.shown = JobsShown(self.prompts, ResultFiles(ResultNames(store.database), store.media))
        self.assets = V2AssetRoutes(store, self.shown, max_upload_bytes)

    def routes(self) -> list[BaseRoute]:
        one = f"{API}/jobs/{{id}}"
        return [
            Route(f"{API}/jobs", in_envelope(self.create_job), methods=["POST"]),
            Route(f"{API}/jobs", in_envelope(self.list_jobs)),
            Route(one, in_envelope(self.show_job)),
            Route(f"{one}/events", in_envelope(self.job_events)),
            Route(f"{one}/workflow", in_envelope(self.job_workflow)),
            Route(f"{one}/cancel", in_envelope(self.cancel_job), methods=["POST"]),
            *self.assets.routes(),
        ]

    async def create_job(self, request: Request) -> Response:
        """Body: {"workflow", "extra_data", "metadata"}; header Idempotency-Key. 201; 422: the workflow cannot run, an
        asset is missing, or the key was used before."""
        data = await json_body(request, self.submitting.max_body_bytes)
        if isinstance(data, Response):
            return enveloped(data)
        known(data, SUBMITTED)
        key = request.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
            raise V2Refused(400, "invalid_request", f"Idempotency-Key is not 1 to {MAX_KEY_CHARS} characters.")
        labels, id = labels_of(data.get("metadata")), str(uuid.uuid4())

        def also(do: Do, job: str) -> None:
            self.prompts.add(do, job, id, "", "", None, False)
            self.labels.add(do, job, labels)

        body = await run_in_threadpool(self._body, data.get("workflow"), data.get("extra_data"))
        job, is_new = await self.submitting.submissions.submit(
            KIND, body, f"prompt:{id}" if key is None else f"v2:{hashlib.sha256(key.encode()).hexdigest()}",
            name=title_of(body["prompt"]),
            also=also,
        )  # fmt: skip
        if not is_new:
            earlier = await run_in_threadpool(self.prompts.of_job, job.id)
            details = {} if earlier is None else {"job_id": earlier.id}
            raise V2Refused(422, "idempotency_key_reuse", "A job was created with this key before.", details)
        record = await self._found(id)
        return answer(await self._detail(record, request), 201, {"location": f"{API}/jobs/{id}"})

    def _body(self, workflow: Any, extra: Any) -> dict[str, Any]:
        """The body of the job. V2Refused."""
        if not isinstance(workflow, dict):
            raise V2Refused(422, "invalid_workflow", "workflow is not an object of nodes by id.")
        if all(isinstance(workflow.get(name), list) for name in _OF_PAGES):
            why = (
                "workflow is a saved page; send it in API form (File, Export (API), or: kinema workflow convert FILE)."
            )
            raise V2Refused(422, "workflow_format_ui", why)
        if extra is not None and not isinstance(extra, dict):
            raise V2Refused(400, "invalid_request", "extra_data is not an object.")
        kept = {name: value for name, value in (extra or {}).items() if name not in SECRETS}
        assets = NamedAssets(self.assets.file_of)
        prompt = assets.named(workflow)
        try:
            checked, body = self.submitting.checked_body({"prompt": prompt}, "", kept, assets.files)
        except PromptRefused as refused:
            raise _invalid(refused.message, refused.details, refused.node_errors) from None
        if checked.node_errors:
            raise _invalid("An output of the workflow cannot run.", "", checked.node_errors)
        self.assets.assets.use(list(assets.ids))
        references = {name: each for name, each in assets.references.items() if name in body["files"]}
        return body | {"workflow": None, "extra": body["extra"] | ({"assets": references} if references else {})}

    async def list_jobs(self, request: Request) -> Response:
        """Query: limit (50, at most 100), cursor, metadata[NAME]=VALUE (three at most). The newest first; next_cursor
        is the cursor of the next page."""
        query = request.query_params
        limit = whole("limit", query.get("limit", str(DEFAULT_LIMIT)))
        if not 1 <= limit <= MOST_LISTED:
            raise V2Refused(400, "invalid_request", f"limit = {limit}. Legal: 1 to {MOST_LISTED}.", {"field": "limit"})
        cursor, wanted = query.get("cursor"), filters_of(query.multi_items())
        if cursor is not None and _CURSOR.fullmatch(cursor) is None:
            raise V2Refused(400, "invalid_cursor", "The cursor is none of this server.")
        page, labels = await run_in_threadpool(self._page, limit, cursor, wanted)
        shown: dict[str, Any] = {"jobs": [line_of(each, labels[each.job]) for each in page[:limit]]}
        return answer(shown | ({"next_cursor": page[limit - 1].job} if len(page) > limit else {}))

    def _page(
        self, limit: int, cursor: str | None, wanted: Mapping[str, str]
    ) -> tuple[list[PromptRecord], dict[str, dict[str, str]]]:  # fmt: skip
        page = self.prompts.before(cursor, limit + 1, wanted)
        return page, self.labels.of([each.job for each in page])

    async def show_job(self, request: Request) -> Response:
        return answer(await self._detail(await self._found(request.path_params["id"]), request))

    async def job_workflow(self, request: Request) -> Response:
        """The nodes that run, with references to assets as they were sent."""
        record = await self._found(request.path_params["id"])
        body = (await run_in_threadpool(self.prompts.bodies, [record.job])).get(record.job, {})
        references = body.get("extra", {}).get("assets")
        prompt = with_references(body.get("prompt", {}), references if isinstance(references, dict) else {})
        return answer({"workflow": prompt, "format": "api"})

    async def cancel_job(self, request: Request) -> Response:
        """Ask a job to end. One that has ended is shown as it is."""
        record = await self._found(request.path_params["id"])
        if not record.ended:
            with contextlib.suppress(WrongState):  # it has ended in this moment
                await run_in_threadpool(self.store.cancel, record.job)
            record = await self._found(record.id)
        return answer(await self._detail(record, request))

    async def job_events(self, request: Request) -> Response:
        """A stream of status, progress, output, preview and log, up to the end of the job. Last-Event-ID: the number
        of the last event that the client has; without it the stream begins with the present. 204: it has the end."""
        record = await self._found(request.path_params["id"])
        if request.method == "HEAD":  # a stream without a body would not end
            return Response(media_type=TYPE)
        text = request.headers.get("last-event-id", "")
        resumed = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
        at = record.last_event if resumed is None else min(resumed, record.last_event)
        if resumed is not None and record.ended and at == record.last_event:
            return Response(status_code=204)  # tells a browser not to reconnect
        events = await run_in_threadpool(self._events, record, at, resumed is None, base_of(request))

        async def read(after: int) -> Sequence[ServerEvent]:
            return await run_in_threadpool(events.read, after)

        return event_stream(read, self.changes, at)

    def _events(self, record: PromptRecord, at: int, begin: bool, base: str) -> V2Events:
        count, position = self.shown.count(record, at), self._position(record)
        if begin:
            return V2Events(self.prompts, self.shown, record, base, position, count, at, begin)
        sent = {each.id for each in self.shown.results.so_far(record.job, count.outputs)}
        return V2Events(self.prompts, self.shown, record, base, position, count, at, begin, count.snapshot(), sent)

    async def _detail(self, record: PromptRecord, request: Request) -> dict[str, Any]:
        return await run_in_threadpool(self._shown, record, base_of(request))

    def _shown(self, record: PromptRecord, base: str) -> dict[str, Any]:
        labels = self.labels.of([record.job])[record.job]
        return self.shown.detail(record, labels, self._position(record), base)

    def _position(self, record: PromptRecord) -> int | None:
        return self.store.get(record.job).position if record.state == "queued" else None

    async def _found(self, text: str) -> PromptRecord:
        """The workflow of an id. V2Refused: there is none."""
        id = prompt_id(text)
        record = None if id is None else await run_in_threadpool(self.prompts.find, id)
        if record is None:
            raise V2Refused(404, "not_found", "There is no such job.")
        return record


def _invalid(message: str, details: str, nodes: Mapping[str, Any]) -> V2Refused:
    """A workflow that cannot run: the first error as the message, all of them as details."""
    errors = {
        key: [{"field": error["extra_info"].get("input_name"), "reason": error["type"], "message": error["message"],
               "details": error["details"]} for error in found["errors"]]
        for key, found in nodes.items()
    }  # fmt: skip
    for key, found in nodes.items():
        for error in found["errors"][:1]:
            text = f"Node {key} ({found['class_type']}): {error['message']} {error['details']}".strip()
            return V2Refused(422, "invalid_workflow", text, {"node_errors": errors})
    return V2Refused(422, "invalid_workflow", f"{message} {details}".strip())
