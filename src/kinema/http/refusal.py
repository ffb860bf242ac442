"""Error responses, the same for every server: JSON with a readable sentence under `error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from ..core.errors import KinemaError, RequestError


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error response with one sentence."""
    return JSONResponse({"error": why}, status, headers)


def refused(error: KinemaError, status: int | None = None) -> JSONResponse:
    """The response of an error: the sentence, and for a RequestError the field, the value, the legal and the nearest
    legal values and the models that accept it, where they are known. status: defaults to 422 for a RequestError and to
    503 for any other."""
    found: dict[str, Any] = error.to_dict()
    body = {"error": found.pop("message")} | {name: value for name, value in found.items() if name != "error"}
    return JSONResponse(body, status or (422 if isinstance(error, RequestError) else 503))


async def on_disconnect(_request: Request, _error: Exception) -> Response:
    """The handler of ClientDisconnect: the client left in the middle of its body, which is no fault of the server, and
    nobody reads this response."""
    return Response(status_code=400)


def address_of(request: HTTPConnection) -> str:
    """The client's address."""
    return request.client.host if request.client is not None else ""
