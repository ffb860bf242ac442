"""What is asked of a channel through its site: plain JSON in and out, KinemaErrors where it cannot be done."""

from __future__ import annotations

from typing import Any, Protocol

from .. import control
from ..config import ChannelConfig
from ..library import Library


class Verbs(Protocol):
    """status and queue look; skip, ban, put and stop are the owner's; suggest is a viewer's and gives how many wait."""

    def status(self) -> dict[str, Any]: ...

    def queue(self, limit: int) -> dict[str, Any]: ...

    def skip(self) -> dict[str, Any]: ...

    def ban(self, id: str, reason: str) -> dict[str, Any]: ...

    def put(self, id: str, place: int | None) -> dict[str, Any]: ...

    def stop(self) -> dict[str, Any]: ...

    def suggest(self, theme: str) -> int: ...


class ChannelVerbs:
    """Those of a channel, done in its folder by the same functions as on the command line."""

    def __init__(self, config: ChannelConfig) -> None:
        self.config = config

    def status(self) -> dict[str, Any]:
        return control.status(self.config)

    def queue(self, limit: int) -> dict[str, Any]:
        return control.queue(self.config, limit)

    def skip(self) -> dict[str, Any]:
        control.skip(self.config)
        return {"skip": True}

    def ban(self, id: str, reason: str) -> dict[str, Any]:
        return control.ban(self.config, id, reason)

    def put(self, id: str, place: int | None) -> dict[str, Any]:
        """Queue a clip that is made: next (0), at a place, or at the end."""
        with Library.open(self.config.root, create=False) as library:
            library.insert(id, place)
            return {"queue": library.queue}

    def stop(self) -> dict[str, Any]:
        return {"stopped": control.stop(self.config)}

    def suggest(self, theme: str) -> int:
        return control.suggest(self.config, theme)
