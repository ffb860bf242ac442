"""The requests of clips that clients send: checked by the media policy, then planned, before they are stored."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..core.by_hash import is_media
from ..core.errors import RequestError
from ..core.request import Request
from ..http.json_body import json_body
from ..http.media_policy import MediaPolicy, texts_of
from ..jobs.clip_body import BESIDE
from ..jobs.job import NoSuchMedia
from ..jobs.store import JobStore
from .answers import answer
from .plan_pool import PlanFailed, PlanPool

QUICK_S = 20.0
"""Time limit of the plan before a job is stored; a job whose plan takes longer is planned by its worker."""
FRESH_S, MOST_FRESH = 60.0, 256
"""How long, and how many, requests that have been planned are known to be sound: a client plans, then submits."""


class ClipRequests:
    """store: the media. policy: what clients may name. plan_s: time limit of a plan that a client asks for."""

    def __init__(
        self, store: JobStore, policy: MediaPolicy, plans: PlanPool, plan_s: float, max_body_bytes: int
    ) -> None:  # fmt: skip
        self.store, self.policy, self.plans = store, policy, plans
        self.plan_s, self.max_body_bytes = plan_s, max_body_bytes
        self._sound: OrderedDict[bytes, float] = OrderedDict()

    def routes(self) -> list[BaseRoute]:
        return [Route("/plan", self.plan, methods=["POST"])]

    async def check(self, body: Any) -> None:
        """Check the body of a job of the kind `clip`. RequestError."""
        fields, request = await run_in_threadpool(self._allowed, body)
        follows = any(each.kind == "mask" and each.follows for each in request.conditions)
        if request.fill != "generate" or follows:  # the plan surveys the whole clip; the worker makes it once
            return
        if time.monotonic() - self._sound.get(_mark(request), -FRESH_S) < FRESH_S:
            return
        try:
            await self._planned(fields, request, QUICK_S)
        except PlanFailed as error:
            if "longer" not in str(error):
                raise RequestError(str(error), field="body") from None

    async def plan(self, http: HttpRequest) -> Response:
        """Body: a request. The plan with its estimate, as `kinema plan --json` prints it."""
        body = await json_body(http, self.max_body_bytes)
        if isinstance(body, Response):
            return body
        fields, request = await run_in_threadpool(self._allowed, body)
        return answer(await self._planned(fields, request, self.plan_s))

    def _allowed(self, body: Any) -> tuple[dict[str, Any], Request]:
        """The fields of a request and the request, which names only what a client may name."""
        if not isinstance(body, dict):
            raise RequestError("The body of a clip is a request.", field="body", value=str(body)[:50],
                               legal="an object with the fields of a request")  # fmt: skip
        fields = {name: value for name, value in body.items() if name not in BESIDE}
        request = Request.from_dict(fields)
        self.policy.check(request)
        return fields, request

    async def _planned(self, fields: dict[str, Any], request: Request, limit_s: float) -> dict[str, Any]:
        media = await run_in_threadpool(self._files, request)
        found = await self.plans.plan(fields, media, limit_s)
        self._sound[_mark(request)] = time.monotonic()
        if len(self._sound) > MOST_FRESH:
            self._sound.popitem(last=False)
        return found

    def _files(self, request: Request) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for field, text, _ in texts_of(request):
            if is_media(text) and text not in found:
                try:
                    found[text] = self.store.media.path(text)
                except NoSuchMedia:
                    raise RequestError(f"{field}: the store has no media {text}.", field=field, value=text,
                                       legal="media that were uploaded with POST /media") from None  # fmt: skip
        return found


def _mark(request: Request) -> bytes:
    """A short mark of a request, which may hold megabytes of pictures."""
    return hashlib.sha256(request.to_json().encode()).digest()
