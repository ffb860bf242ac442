"""The application of `kinema serve`: routes, and around them guard, access and counters."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from .. import __version__
from ..http.access import Access
from ..http.changes import Changes
from ..http.guard import Guard
from ..http.media_policy import MediaPolicy
from ..http.page_files import PageFiles
from ..http.token import BearerToken
from ..jobs.claims import LOST_S, workers
from ..jobs.store import JobStore
from .answers import HANDLERS
from .clip_requests import ClipRequests
from .comfy import interface
from .comfy.routes import ComfyRoutes
from .event_routes import EventRoutes
from .health_routes import HealthRoutes
from .job_routes import JobRoutes
from .media_routes import MediaRoutes
from .metrics import Metrics
from .model_routes import ModelRoutes
from .openapi import OpenApi
from .plan_pool import PlanPool
from .settings import ServerSettings
from .submissions import Submissions
from .video_routes import VideoRoutes

OPEN = re.compile(r"/(healthz|readyz|openapi\.json|favicon\.ico|robots\.txt|page/[^/]*)?")
"""Paths that need no token: they say nothing about jobs. The page asks for the token."""


def server_app(
    store: JobStore, settings: ServerSettings | None = None, changes: Changes | None = None
) -> Any:  # fmt: skip
    """The ASGI application. changes: of the store, for a caller that ends the event streams itself. RequestError: the
    token is too short."""
    settings = settings or ServerSettings()
    token = BearerToken(settings.token)
    changes = changes or Changes(store.wait)
    plans = PlanPool(settings.planners, settings.device)
    clips = ClipRequests(
        store, MediaPolicy(tuple(settings.models) or None), plans, settings.plan_s, settings.max_body_bytes
    )
    health = HealthRoutes(store, __version__, lambda: _taking(store), lambda: changes.listeners)
    submissions = Submissions(store, {"clip": clips.check}, settings.max_queued)
    parts: list[Any] = [
        JobRoutes(store, submissions, settings.max_body_bytes),
        VideoRoutes(store, submissions, settings.models, settings.max_body_bytes),
        EventRoutes(store, changes), MediaRoutes(store, settings.max_upload_bytes), clips,
        ModelRoutes(settings.models), health, OpenApi(__version__, token.is_set),
        ComfyRoutes(store, changes, token, settings),
    ]  # fmt: skip
    routes: list[BaseRoute] = [*_page(), *(route for part in parts for route in part.routes())]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(plans.warm())
        yield
        warming.cancel()
        changes.close()
        await plans.close()

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=HANDLERS)
    access = Access(app, token, lambda path: bool(OPEN.fullmatch(path) or interface.OPEN.fullmatch(path)))
    health.metrics = Metrics(Guard(access, settings.names))
    return health.metrics


def _taking(store: JobStore) -> int:
    """How many workers take jobs now, on any machine."""
    return sum(worker.silent_s < LOST_S for worker in workers(store))


def _page() -> list[BaseRoute]:
    page = files(__package__).joinpath("page")
    return [*PageFiles(page, disallow=("/jobs", "/media", "/plan")).routes()] if page.is_dir() else []
