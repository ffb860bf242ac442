"""From errors to status codes: one table for every route."""

from __future__ import annotations

import logging
import math
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ..core.errors import KinemaError, MediaError, ModelError, RequestError
from ..http.refusal import on_disconnect, refusal, refused
from ..jobs.job import KeyReused, NoSuchJob, NoSuchMedia, WrongState

log = logging.getLogger("kinema.server")
STATUS: tuple[tuple[type[KinemaError], int], ...] = (
    (NoSuchJob, 404), (NoSuchMedia, 404), (KeyReused, 409), (WrongState, 409), (RequestError, 422), (MediaError, 422),
    (ModelError, 422), (KinemaError, 503),
)  # fmt: skip


def status_of(error: KinemaError) -> int:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response. Numbers that JSON lacks (infinity, NaN) become null."""
    return JSONResponse(finite(value), status, headers)


async def on_kinema_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, KinemaError)
    return refused(error, status_of(error))


async def on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, f"{error.detail}.", error.headers)


async def on_fault(request: Request, error: Exception) -> Response:
    """A fault of this server: the reason goes to its log, not to the client."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(500, "The server failed; its log has the reason.")


HANDLERS: dict[Any, Any] = {
    KinemaError: on_kinema_error, HTTPException: on_http_error, ClientDisconnect: on_disconnect, Exception: on_fault,
}  # fmt: skip


def finite(value: Any) -> Any:
    """Plain JSON without infinity and NaN, which become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
