"""What a run tells while it works. An `on_event` callable receives these; returning nothing is fine.

A callable may raise `Cancelled` (or any exception) to stop the work between two steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base: `stage` names what is being done: load, prepare, encode, sample, decode, write, done."""

    stage: str


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` units (steps while sampling, frames while decoding), `seconds` since the stage began."""

    done: int = 0
    total: int = 0
    seconds: float = 0.0
    span: int = 0


@dataclass(frozen=True)
class Preview(Event):
    """Latents of the running span after a step, for previews: a torch tensor (1, C, T, H, W), not a copy."""

    latents: Any = None
    done: int = 0
    total: int = 0


OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The default listener."""
