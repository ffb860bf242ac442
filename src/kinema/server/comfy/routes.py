"""All of ComfyUI's API on a server, with and without /api, and below the interface's address; and Comfy API v2."""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from ...http.changes import Changes
from ...http.token import BearerToken
from ...jobs.store import JobStore
from ..settings import ServerSettings
from .about_routes import AboutRoutes
from .history_routes import HistoryRoutes
from .input_routes import MAX_UPLOAD_BYTES, InputRoutes
from .interface import Interface
from .jobs_routes import ComfyJobRoutes
from .prompt_routes import PromptRoutes
from .queue_routes import QueueRoutes
from .settings_routes import SettingsRoutes
from .socket import SocketRoutes
from .templates import name_examples
from .userdata_routes import UserdataRoutes
from .v2_routes import V2Routes
from .view_routes import ViewRoutes


class ComfyRoutes:
    """store: the jobs and media. changes: of the store. token: of the server. settings.ui: the folder of the interface,
    None for the API alone."""

    def __init__(self, store: JobStore, changes: Changes, token: BearerToken, settings: ServerSettings) -> None:
        view = ViewRoutes(store)
        prompts = PromptRoutes(
            store, models=settings.models, find_input=view.media_of, max_body_bytes=settings.max_body_bytes,
            max_queued=settings.max_queued,
        )  # fmt: skip
        parts: list[Any] = [
            prompts, QueueRoutes(store), HistoryRoutes(store), ComfyJobRoutes(store),
            InputRoutes(store, settings.max_upload_bytes), view, UserdataRoutes(store), SettingsRoutes(store),
            AboutRoutes(store, min(settings.max_upload_bytes, MAX_UPLOAD_BYTES)), SocketRoutes(store, changes),
        ]  # fmt: skip
        self.api: list[BaseRoute] = [route for part in parts for route in part.routes()]
        self.v2 = V2Routes(store, prompts, changes, settings.max_upload_bytes)
        self.interface: Interface | None = None
        if settings.ui is not None:
            name_examples(store)
            self.interface = Interface(settings.ui, token, with_api(self.api))

    def routes(self) -> list[BaseRoute]:
        """To be put after all other routes: some of Kinema's have the same paths, and come first without /api."""
        own = self.interface.routes() if self.interface is not None else []
        return [*self.v2.routes(), *own, *with_api(self.api)]


def with_api(routes: list[BaseRoute]) -> list[BaseRoute]:
    """The routes with and without /api."""
    return [_Matching("/api", routes=routes), _Matching("", routes=routes)]


class _Matching(Mount):
    """Routes that leave all other paths and methods to the rest of the application."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is Match.FULL and any(route.matches({**scope, **found})[0] is Match.FULL for route in self.routes):
            return match, found
        return Match.NONE, {}
