"""Helpers for tests of the site: a test client over a folder, and commands that record their calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from kinema.channel.web.site import SiteSettings, site
from kinema.core.errors import RequestError

TOKEN = "a-token-of-the-owner-for-tests"


class Noted:
    """Commands that only record their calls."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def status(self) -> dict[str, Any]:
        return {"title": "Test"}

    def queue(self, limit: int) -> dict[str, Any]:
        return {"queued": [], "limit": limit}

    def skip(self) -> dict[str, Any]:
        self.asked.append("skip")
        return {"skip": True}

    def ban(self, id: str, reason: str) -> dict[str, Any]:
        self.asked.append(("ban", id, reason))
        return {"id": id}

    def put(self, id: str, place: int | None) -> dict[str, Any]:
        if id == "gone":
            raise RequestError("Clip 'gone' is not in the library.", field="id", value=id)
        self.asked.append(("put", id, place))
        return {"queue": [id]}

    def stop(self) -> dict[str, Any]:
        self.asked.append("stop")
        return {"stopped": True}

    def suggest(self, theme: str) -> int:
        from kinema.channel.writing.moderation import Moderation

        self.asked.append(Moderation().theme(theme, "viewer").text)
        return len(self.asked)


def client(
    folder: Path, commands: Any = None, *, board: Any = None, suggesting: Any = None, address: str = "203.0.113.7",
    **settings: Any,
) -> TestClient:  # fmt: skip
    site_settings = SiteSettings(**{"token": TOKEN, **settings})
    app = site(folder, commands or Noted(), site_settings, board=board, suggesting=suggesting)
    return TestClient(app, base_url="http://localhost:8080", client=(address, 50000))
