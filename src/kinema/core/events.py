"""Events that a run reports to its `on_event` callback. Return values are ignored.

A callback may raise `Cancelled` (or any exception) to stop the work between two steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Event:
    """Base class, and the beginning of a stage. `stage`: load, prepare, encode, sample, decode, write or done; in
    training, the stage of the recipe, with `doing` its activity (preparing, training, ...)."""

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
    """One part of the planned work, matched by an event's `stage` and `span`. `seconds`: the expected duration. `span`
    None: the events of this stage name no span. `doing`: distinguishes parts of a stage that run at separate paces."""

    stage: str
    seconds: float
    span: int | None = None
    doing: str = ""


@dataclass(frozen=True)
class Planned(Event):
    """All remaining work, in order; some parts may be skipped. Together with later events it gives the overall
    progress (core/overall.py). A later Planned replaces or refines it."""

    parts: tuple[Part, ...] = ()


def planned(*parts: Part) -> Planned:
    return Planned("plan", parts)


@dataclass(frozen=True)
class Note(Event):
    """A note about this run that requires the loaded model (a prompt that is too long for it). It is added to the
    notes of the plan in the clip's manifest."""

    text: str = ""


@dataclass(frozen=True)
class Outcome(Event):
    """What a run found out about its clip, reported at its end: fields of the clip's manifest (core/plan.py)."""

    facts: dict[str, Any] = field(default_factory=dict)


def collecting(facts: dict[str, Any], on_event: OnEvent) -> OnEvent:
    """Return a callback that adds the facts of outcomes to `facts` and passes all events on."""

    def report(event: Event) -> None:
        if isinstance(event, Outcome):
            facts.update(event.facts)
        on_event(event)

    return report


def _nothing() -> np.ndarray:
    raise ValueError("this preview has no frames")


@dataclass(frozen=True)
class Preview(Event):
    """A preview of span number `span` after step `step` of `steps`.

    `frames()` decodes it when called: uint8 RGB (F, H, W, 3). F is the span's length if the model has a tiny decoder
    (milliseconds), else 1: the middle frame by the full decoder (up to seconds), so call it sparingly. Call it before
    the callback returns, on the sampling thread.
    """

    step: int = 0
    steps: int = 0
    span: int = 0
    frames: Callable[[], np.ndarray] = _nothing


OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Ignore an event (the default callback)."""


def both(one: OnEvent, other: OnEvent) -> OnEvent:
    """Return a callback that calls both."""

    def report(event: Event) -> None:
        one(event)
        other(event)

    return report


def of_span(on_event: OnEvent, span: int) -> OnEvent:
    """Return a callback that passes events on as those of span number `span`: for windows sampled separately."""

    def report(event: Event) -> None:
        on_event(replace(event, span=span) if isinstance(event, Progress | Preview) else event)

    return report


def previews_of(on_event: OnEvent, span: int) -> OnEvent:
    """As `of_span`, for previews only: for work whose other events already name their part."""

    def report(event: Event) -> None:
        on_event(replace(event, span=span) if isinstance(event, Preview) else event)

    return report
