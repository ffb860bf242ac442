"""What a writer is: the protocol that the grammar, the language model and whatever comes next meet."""

from __future__ import annotations

from typing import Protocol

from .shots import Brief, Episode


class Writer(Protocol):
    """Writes one episode at a time. Raises KinemaError where it cannot; what it returns is legal, not yet moderated."""

    @property
    def name(self) -> str: ...

    def episode(self, brief: Brief) -> Episode: ...
