"""What a run tells while it works. An `on_event` callable receives these; returning nothing is fine.

A callable may raise `Cancelled` (or any exception) to stop the work between two steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Event:
    """Base, and the beginning of a stage: `stage` names what is being done: load, prepare, encode, sample, decode,
    write, done; in a training the stage of its recipe, and `doing` what is done in it (preparing, training, ...)."""

    stage: str
    doing: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` units (steps while sampling, frames while decoding), `seconds` since the stage began."""

    done: int = 0
    total: int = 0
    seconds: float = 0.0
    span: int = 0


@dataclass(frozen=True)
class Part:
    """One piece of the work that is to come, as an event's `stage` and `span` will name it. `seconds`: what it is
    expected to take. `span` None: the events of this stage name none. `doing`: tells parts of a stage apart that go at
    paces of their own."""

    stage: str
    seconds: float
    span: int | None = None
    doing: str = ""


@dataclass(frozen=True)
class Planned(Event):
    """All that is to be done from here on, in its order; parts may turn out to be unnecessary. With the events after
    it, this says how far the whole is (core/overall.py). One that comes later says it anew, or more precisely."""

    parts: tuple[Part, ...] = ()


def planned(*parts: Part) -> Planned:
    return Planned("plan", parts)


@dataclass(frozen=True)
class Note(Event):
    """Something to know of this run that only the loaded model can tell (a prompt that is too long for it). It is among
    the notes of the plan in the clip's manifest."""

    text: str = ""


def _nothing() -> np.ndarray:
    raise ValueError("this preview has no frames")


@dataclass(frozen=True)
class Preview(Event):
    """What span number `span` is expected to become, as seen after step `step` of `steps`.

    `frames()` decodes it, only when called: uint8 RGB (F, H, W, 3). F is the span's whole length where the model has a
    tiny decoder (milliseconds), else 1: a single frame from the middle by the full decoder (up to seconds), so ask
    for it now and then only. Call it before the listener returns; on the thread that samples.
    """

    step: int = 0
    steps: int = 0
    span: int = 0
    frames: Callable[[], np.ndarray] = _nothing


OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The default listener."""


def both(one: OnEvent, other: OnEvent) -> OnEvent:
    """A listener that tells two."""

    def tell(event: Event) -> None:
        one(event)
        other(event)

    return tell


def of_span(on_event: OnEvent, span: int) -> OnEvent:
    """A listener that passes on what it hears as of span number `span`: for windows that are made on their own."""

    def tell(event: Event) -> None:
        on_event(replace(event, span=span) if isinstance(event, Progress | Preview) else event)

    return tell


def previews_of(on_event: OnEvent, span: int) -> OnEvent:
    """The same for previews alone: of work whose other events stand for a part that is named on its own."""

    def tell(event: Event) -> None:
        on_event(replace(event, span=span) if isinstance(event, Preview) else event)

    return tell
