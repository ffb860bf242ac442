"""Errors of Comfy API v2: {"error": {"code", "message", "details"}}, with the codes that its clients know."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...core.errors import KinemaError, ModelError
from ...jobs.job import KeyReused, NoSuchJob, NoSuchMedia
from ..answers import status_of
from ..submissions import QueueFull

Handler = Callable[[Request], Awaitable[Response]]
RETRY_S = 30
CODES: dict[int, str] = {400: "invalid_request", 413: "too_large", 415: "invalid_request", 507: "storage_full"}


class V2Refused(Exception):
    """An error of this API. code: for programs; details: JSON-ready."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details

    def response(self, headers: Mapping[str, str] | None = None) -> Response:
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            body["details"] = dict(self.details)
        return JSONResponse({"error": body}, self.status, headers)


def in_envelope(handler: Handler) -> Handler:
    """The handler, its errors in the form of this API."""

    async def run(request: Request) -> Response:
        try:
            return await handler(request)
        except V2Refused as refused:
            return refused.response()
        except QueueFull as error:
            return V2Refused(429, "queue_full", str(error)).response({"retry-after": str(RETRY_S)})
        except KinemaError as error:
            return refused_of(error).response()

    run.__name__ = handler.__name__
    return run


def refused_of(error: KinemaError) -> V2Refused:
    """An error of Kinema as one of this API."""
    if isinstance(error, NoSuchJob | NoSuchMedia):
        return V2Refused(404, "not_found", str(error))
    if isinstance(error, KeyReused):
        return V2Refused(422, "idempotency_key_reuse", str(error))
    status, facts = status_of(error), error.to_dict()
    if isinstance(error, ModelError):  # of the installation: nothing that a client sends is one
        status = 503
    if status >= 500:
        return V2Refused(status, "unavailable", str(error))
    details = {
        name: facts[name] for name in ("field", "value", "legal", "nearest") if facts.get(name) not in (None, "")
    }
    return V2Refused(400 if status == 422 else status, "invalid_request", str(error), details)


def enveloped(response: Response) -> Response:
    """An error response of http/ ({"error": sentence}) in this API's form."""
    message = str(json.loads(bytes(response.body))["error"])
    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return V2Refused(response.status_code, CODES.get(response.status_code, "invalid_request"), message).response(kept)
