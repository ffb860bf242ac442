"""A bench over HTTP: orders in JSON, clips as .mp4 (making/remote.py asks).

    GET    /               {"kinema": "clips", "models": [...]}
    POST   /clips          {"id", "model", "prompt", "seconds", "seed", ...} -> 202; 409: another order has that id; 503
                           while there is no room
    GET    /clips/ID       {"state": "waiting" | "drawing" | "done" | "failed", "error", "again"}
    GET    /clips/ID.mp4   the clip
    DELETE /clips/ID       forget it

Where there is a token, each needs `Authorization: Bearer TOKEN`. There is nothing here for browsers: a request that a
page of another origin sends is refused, and so is, without a token, one under a name that is not this machine's (DNS
rebinding; a page that is made to come from here knows no token).
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
from ..making.bench import DONE, Bench, Busy, Order, Taken
from ..making.job import ShotOrder
from .owner import Owner
from .site_guard import Guard

MOST_BYTES = 64_000
PROFILES: tuple[str, ...] = get_args(Profile)
TEXTS = {"id": 200, "model": 300, "prompt": 4000, "negative_prompt": 4000}
NUMBERS = {"seconds": (0.1, 600.0), "seed": (0, 2**63 - 1), "width": (32, 4096), "height": (32, 4096)}


def clip_site(bench: Bench, token: str | None = None, names: Collection[str] = ()) -> Any:
    """The ASGI application. names: host names that it goes by without a token, besides localhost and bare addresses.
    RequestError: a token that is too short."""
    owner = Owner(token)

    def allowed(request: Request) -> Response | None:
        if "origin" in request.headers:
            return _told(403, "Not for pages.")
        if owner.has_token and not owner.is_owner(request.headers.get("authorization", "")):
            return _told(401, "This bench asks for its token.")
        return None

    async def about(request: Request) -> Response:
        return allowed(request) or JSONResponse({"kinema": "clips", "models": list(bench.models)})

    async def order(request: Request) -> Response:
        if refused := allowed(request):
            return refused
        data = b""
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                return _told(413, f"An order has {MOST_BYTES:,} bytes at most.")
        try:
            return JSONResponse(_state(bench.order(job_of(data))), 202)
        except RequestError as error:
            return _told(422, str(error))
        except Taken as error:
            return _told(409, str(error))
        except Busy as error:
            return _told(503, str(error))

    async def one(request: Request) -> Response:
        if refused := allowed(request):
            return refused
        name = request.path_params["name"]
        if request.method == "DELETE":
            bench.forget(name)
            return Response(status_code=204)
        found = bench.get(name.removesuffix(".mp4"))
        if found is None or (name.endswith(".mp4") and found.state != DONE):
            return _told(404, "There is no such clip.")
        return (
            FileResponse(found.path, media_type="video/mp4") if name.endswith(".mp4") else JSONResponse(_state(found))
        )

    app = Starlette(
        routes=[
            Route("/", about), Route("/clips", order, methods=["POST"]),
            Route("/clips/{name}", one, methods=["GET", "DELETE"]),
        ]
    )  # fmt: skip
    return Guard(app, None if owner.has_token else names)


def job_of(data: bytes) -> ShotOrder:
    """An order from a stranger: only what is known, each of its kind and size. RequestError names what is wrong."""
    said: dict[str, Any] = parse_json(data, "The order", dict, error=RequestError, max_bytes=MOST_BYTES)
    found: dict[str, Any] = {"negative_prompt": "", "seed": 0, "width": 576, "height": 320, "profile": "balanced"}
    found |= {name: said[name] for name in (*TEXTS, *NUMBERS, "profile") if name in said}
    for name, longest in TEXTS.items():
        if not isinstance(found.get(name), str) or len(found[name]) > longest or (name == "id" and not found[name]):
            raise RequestError(f"{name} is no text.", field=name, legal=f"a text of {longest} characters at most")
    for name, (low, high) in NUMBERS.items():
        value = found.get(name)
        kinds = (int, float) if name == "seconds" else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise RequestError(f"{name} = {str(value)[:50]}.", field=name, legal=f"{low} to {high}")
    if not isinstance(found["profile"], str) or found["profile"] not in PROFILES:
        raise RequestError(f"profile = {str(found['profile'])[:50]!r}.", field="profile", legal=", ".join(PROFILES))
    if not all(letter.isalnum() or letter in "-_" for letter in found["id"]):
        raise RequestError(f"id = {found['id']!r}.", field="id", legal="letters, digits, - and _")
    return ShotOrder(making={}, **found)


def _state(order: Order) -> dict[str, Any]:
    return {"state": order.state, "error": order.error, "again": order.again}


def _told(code: int, text: str) -> Response:
    return JSONResponse({"error": text}, code)
