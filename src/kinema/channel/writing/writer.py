"""The protocol of writers."""

from __future__ import annotations

from typing import Protocol

from .shots import Brief, Episode


class Writer(Protocol):
    """Writes one episode at a time. `episode` raises KinemaError on failure; its result is legal but not moderated."""

    @property
    def name(self) -> str: ...

    def episode(self, brief: Brief) -> Episode: ...
