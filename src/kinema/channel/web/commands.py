"""The commands of a channel available to its site: plain JSON in and out, errors are KinemaErrors."""

from __future__ import annotations

from typing import Any, Protocol

from .. import control
from ..config import ChannelConfig
from ..library import Library


class Commands(Protocol):
    """Commands of the owner, and `suggest` for viewers, which returns the number of waiting suggestions."""

    def status(self) -> dict[str, Any]: ...

    def queue(self, limit: int) -> dict[str, Any]: ...

    def skip(self) -> dict[str, Any]: ...

    def ban(self, id: str, reason: str) -> dict[str, Any]: ...

    def put(self, id: str, place: int | None) -> dict[str, Any]: ...

    def stop(self) -> dict[str, Any]: ...

    def suggest(self, theme: str) -> int: ...


class ChannelCommands:
    """The commands of a channel, by the same functions as the command line."""

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
        """Queue a finished clip: next (0), at a place, or at the end."""
        with Library.open(self.config.root, create=False) as library:
            library.insert(id, place)
            return {"queue": library.queue}

    def stop(self) -> dict[str, Any]:
        return {"stopped": control.stop(self.config)}

    def suggest(self, theme: str) -> int:
        return control.suggest(self.config, theme)
