"""The application over a store, without workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from kinema.jobs.kinds import Kinds
from kinema.jobs.store import JobStore
from kinema.server.app import server_app
from kinema.server.comfy.kind import KINDS
from kinema.server.settings import ServerSettings


@dataclass
class Site:
    """A store and the application over it. planned: the requests that were planned, by a stand-in for the processes."""

    store: JobStore
    app: Any
    client: TestClient


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    with JobStore.open(f"sqlite:///{tmp_path / 'store' / 'jobs.sqlite'}", kinds=Kinds(KINDS)) as found:
        yield found


@pytest.fixture
def quick_plans(monkeypatch):
    """Plan in this process: it costs no start."""
    from kinema.server.plan_pool import PlanPool, PlanRefused
    from kinema.server.plan_process import answered

    async def plan(_self: PlanPool, request: Any, media: dict[str, Path], _limit_s: float) -> dict[str, Any]:
        found = answered(request, {name: str(path) for name, path in media.items()}, "cpu")
        if "refused" in found:
            raise PlanRefused(found["refused"])
        return found["plan"]

    async def warm(_self: PlanPool) -> None:
        pass

    monkeypatch.setattr(PlanPool, "plan", plan)
    monkeypatch.setattr(PlanPool, "warm", warm)


@pytest.fixture
def site(store, quick_plans):
    """site(**settings): the application and a client that calls it by a local name."""
    opened = []

    def make(**settings: Any) -> Site:
        app = server_app(store, ServerSettings(**settings))
        client = TestClient(app, base_url="http://localhost:8188", raise_server_exceptions=False)
        opened.append(client.__enter__())
        return Site(store, app, client)

    yield make
    for client in opened:
        client.__exit__(None, None, None)
