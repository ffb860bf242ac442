"""All of ComfyUI's API on a server, with and without /api, and below the interface's address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from ...http.token import BearerToken
from ...jobs.store import JobStore
from .about_routes import AboutRoutes
from .input_routes import InputRoutes
from .interface import Interface
from .settings_routes import SettingsRoutes
from .userdata_routes import UserdataRoutes
from .view_routes import ViewRoutes


class ComfyRoutes:
    """store: the jobs and media. max_upload_bytes: of an upload. token: of the server. ui: the folder of the interface,
    None for the API alone."""

    def __init__(self, store: JobStore, max_upload_bytes: int, token: BearerToken, ui: Path | None) -> None:
        self.inputs = InputRoutes(store, max_upload_bytes)
        view = ViewRoutes(store, lambda folder, name: None, lambda folder: [])
        parts: list[Any] = [self.inputs, view, UserdataRoutes(store), SettingsRoutes(store), AboutRoutes(store)]
        self.api: list[BaseRoute] = [route for part in parts for route in part.routes()]
        self.interface = None if ui is None else Interface(ui, token, self.api)

    def routes(self) -> list[BaseRoute]:
        """To be put after all other routes: some of Kinema's have the same paths, and come first without /api."""
        own = self.interface.routes() if self.interface is not None else []
        return [*own, Mount("/api", routes=self.api), _Beside("", routes=self.api)]


class _Beside(Mount):
    """Routes without a prefix, which leave all other paths and methods to the application."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if any(route.matches(scope)[0] is Match.FULL for route in self.routes):
            return super().matches(scope)
        return Match.NONE, {}
