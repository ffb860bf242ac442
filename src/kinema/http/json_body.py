"""JSON bodies of requests, within a limit of bytes."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ..core.errors import KinemaError
from ..core.outside import parse_json
from .refusal import refusal

IN_PLACE_BYTES = 64 * 2**10
"""Larger bodies are parsed in a thread, so that other requests do not wait."""


async def json_body(request: Request, max_bytes: int, *, any_type: bool = False) -> dict[str, Any] | Response:
    """The JSON object of a request, or an error response: 415 another type, 413 too large, 400 not a JSON object.
    any_type: for clients that send JSON as something else; without a body it is an empty object."""
    if not any_type and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return refusal(415, "The body must be JSON (content-type: application/json).")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > max_bytes:
            return refusal(413, f"The body has more than {max_bytes} bytes.", {"connection": "close"})
    if any_type and not data.strip():
        return {}
    try:
        if len(data) <= IN_PLACE_BYTES:
            return _parsed(bytes(data), max_bytes)
        return await run_in_threadpool(_parsed, bytes(data), max_bytes)
    except KinemaError as error:
        return refusal(400, str(error))


def _parsed(data: bytes, max_bytes: int) -> dict[str, Any]:
    value: dict[str, Any] = parse_json(data, "The body", dict, max_bytes=max_bytes)
    return value
