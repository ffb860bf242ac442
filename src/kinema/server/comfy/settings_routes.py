"""Settings of ComfyUI's interface, each a JSON value in the database of jobs; and its users: one."""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.errors import KinemaError, RequestError
from ...core.outside import parse_json
from ...http.refusal import refusal
from ...jobs.store import JobStore
from ..answers import answer

MAX_BYTES, MOST, MOST_ID = 2**20, 3_000, 300


class SettingsRoutes:
    """store: its database has the settings."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/users", self.users), Route("/settings", self.show_all),
            Route("/settings", self.change, methods=["POST"]), Route("/settings/{id}", self.show),
            Route("/settings/{id}", self.change_one, methods=["POST"]),
        ]  # fmt: skip

    async def users(self, _request: Request) -> Response:
        return answer({"storage": "server", "migrated": True})

    async def show_all(self, _request: Request) -> Response:
        return answer(await run_in_threadpool(self._all))

    async def show(self, request: Request) -> Response:
        found = await run_in_threadpool(self._all)
        return answer(found.get(request.path_params["id"]))

    async def change(self, request: Request) -> Response:
        """Body: an object of settings."""
        values = await _json(request)
        if isinstance(values, Response):
            return values
        if not isinstance(values, dict):
            raise RequestError("The settings are not an object.", field="body", legal="an object")
        await run_in_threadpool(self._store, values)
        return answer(None)

    async def change_one(self, request: Request) -> Response:
        """Body: the bare JSON value."""
        value = await _json(request)
        if isinstance(value, Response):
            return value
        await run_in_threadpool(self._store, {request.path_params["id"]: value})
        return answer(None)

    def _all(self) -> dict[str, Any]:
        with self.store.database.look() as do:
            return {row["id"]: json.loads(row["value"]) for row in do("SELECT id, value FROM kinema_settings")}

    def _store(self, values: dict[str, Any]) -> None:
        """RequestError: too many settings, or a name that is too long."""
        with self.store.database.work() as do:
            count = int(do("SELECT count(*) AS count FROM kinema_settings")[0]["count"])
            if count + len(values) > MOST or any(not 0 < len(id) <= MOST_ID or not id.isprintable() for id in values):
                raise RequestError("Too many settings, or an illegal name.", field="settings",
                                   legal=f"{MOST:,} settings, names of {MOST_ID} characters")  # fmt: skip
            for id, value in values.items():
                do("INSERT INTO kinema_settings (id, value) VALUES (:id, :value) ON CONFLICT (id) DO UPDATE SET "
                   "value = excluded.value", id=id, value=json.dumps(value))  # fmt: skip


async def _json(request: Request) -> Any:
    """The JSON value of a body, whatever its type; or an error response: 413 too large, 400 not JSON."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BYTES:
            return refusal(413, f"The settings have more than {MAX_BYTES:,} bytes.", {"connection": "close"})
    try:
        return parse_json(bytes(data), "The body", max_bytes=MAX_BYTES)
    except KinemaError as error:
        return refusal(400, str(error))
