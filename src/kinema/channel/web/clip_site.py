"""The HTTP API of `kinema worker --listen`: orders as JSON, clips as .mp4. The client is making/remote.py.

    GET    /               {"kinema": "clips", "models": [...]}
    POST   /clips          {"id", "model", "prompt", "seconds", "seed", ...} -> 202; 409: another order has that id;
                           503: the queue is full
    GET    /clips/ID       {"state": "waiting" | "drawing" | "done" | "failed", "error", "again"}
    GET    /clips/ID.mp4   the clip
    DELETE /clips/ID       delete the order

With a token, each request requires `Authorization: Bearer TOKEN`. The API is not for browsers: requests with an Origin
header are refused, and without a token, so are requests with an unknown Host (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ...core.errors import RequestError
from ...core.outside import parse_json
from ...core.request import Profile
from ...http.guard import Guard
from ...http.token import BearerToken
from ..making.job import ShotOrder
from ..making.order_queue import DONE, IdTaken, Order, OrderQueue, QueueFull

MOST_BYTES = 64_000
PROFILES: tuple[str, ...] = get_args(Profile)
TEXTS = {"id": 200, "model": 300, "prompt": 4000, "negative_prompt": 4000}
NUMBERS = {"seconds": (0.1, 600.0), "seed": (0, 2**63 - 1), "width": (32, 4096), "height": (32, 4096)}


def clip_site(orders: OrderQueue, token: str | None = None, names: Collection[str] = ()) -> Any:
    """The ASGI application. names: host names accepted without a token, besides localhost and bare addresses.
    RequestError: the token is too short."""
    owner = BearerToken(token)

    def allowed(request: Request) -> Response | None:
        if "origin" in request.headers:
            return _error(403, "Requests from web pages are refused.")
        if owner.is_set and not owner.allows(request.headers.get("authorization", "")):
            return _error(401, "A valid token is required.")
        return None

    async def about(request: Request) -> Response:
        return allowed(request) or JSONResponse({"kinema": "clips", "models": list(orders.models)})

    async def post(request: Request) -> Response:
        if refused := allowed(request):
            return refused
        data = b""
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                return _error(413, f"An order has at most {MOST_BYTES:,} bytes.")
        try:
            return JSONResponse(_state(orders.add(job_of(data))), 202)
        except RequestError as error:
            return _error(422, str(error))
        except IdTaken as error:
            return _error(409, str(error))
        except QueueFull as error:
            return _error(503, str(error))

    async def one(request: Request) -> Response:
        if refused := allowed(request):
            return refused
        name = request.path_params["name"]
        if request.method == "DELETE":
            orders.forget(name)
            return Response(status_code=204)
        order = orders.get(name.removesuffix(".mp4"))
        if order is None or (name.endswith(".mp4") and order.state != DONE):
            return _error(404, "No such clip.")
        return (
            FileResponse(order.path, media_type="video/mp4") if name.endswith(".mp4") else JSONResponse(_state(order))
        )

    app = Starlette(
        routes=[
            Route("/", about), Route("/clips", post, methods=["POST"]),
            Route("/clips/{name}", one, methods=["GET", "DELETE"]),
        ]
    )  # fmt: skip
    return Guard(app, None if owner.is_set else names)


def job_of(data: bytes) -> ShotOrder:
    """Parse an untrusted order: only known fields, each of its type and range. RequestError."""
    body: dict[str, Any] = parse_json(data, "The order", dict, error=RequestError, max_bytes=MOST_BYTES)
    fields: dict[str, Any] = {"negative_prompt": "", "seed": 0, "width": 576, "height": 320, "profile": "balanced"}
    fields |= {name: body[name] for name in (*TEXTS, *NUMBERS, "profile") if name in body}
    for name, longest in TEXTS.items():
        if not isinstance(fields.get(name), str) or len(fields[name]) > longest or (name == "id" and not fields[name]):
            raise RequestError(f"Illegal {name}.", field=name, legal=f"a text of at most {longest} characters")
    for name, (low, high) in NUMBERS.items():
        value = fields.get(name)
        kinds = (int, float) if name == "seconds" else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise RequestError(f"{name} = {str(value)[:50]}.", field=name, legal=f"{low} to {high}")
    if not isinstance(fields["profile"], str) or fields["profile"] not in PROFILES:
        raise RequestError(f"profile = {str(fields['profile'])[:50]!r}.", field="profile", legal=", ".join(PROFILES))
    if not all(letter.isalnum() or letter in "-_" for letter in fields["id"]):
        raise RequestError(f"id = {fields['id']!r}.", field="id", legal="letters, digits, - and _")
    return ShotOrder(making={}, **fields)


def _state(order: Order) -> dict[str, Any]:
    return {"state": order.state, "error": order.error, "again": order.again}


def _error(code: int, text: str) -> Response:
    return JSONResponse({"error": text}, code)
