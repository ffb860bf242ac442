"""Checks that the conditions of a request are compatible with the card and with each other."""

from __future__ import annotations

from collections.abc import Sequence

from .card import Card
from .conditions import SEEN, Condition, feature
from .errors import RequestError


def check(conditions: Sequence[Condition], card: Card, known: Sequence[Card] = ()) -> None:
    """Raise RequestError if the card rejects a condition, requires a missing one, or two conflict."""
    wanted = [feature(condition) for condition in conditions]
    for index, name in enumerate(wanted):
        if name not in card.accepts:
            raise RequestError(
                f"{card.id} does not support the condition {name!r}.",
                field=f"conditions.{index}",
                value=name,
                legal=", ".join(card.accepts) or "a prompt only",
                models=[other.id for other in known if name in other.accepts],
            )
    for index, condition in enumerate(conditions):
        if condition.kind == "image" and condition.seen is not None and SEEN not in card.accepts:
            raise RequestError(
                f"{card.id} takes no other picture for an image encoder.", field=f"conditions.{index}.seen",
                value=condition.seen[:200], legal="none", models=[other.id for other in known if SEEN in other.accepts],
            )  # fmt: skip
    for name in card.needs:
        if name not in wanted:
            raise RequestError(
                f"{card.id} requires the condition {name!r}.",
                field="conditions",
                value=wanted,
                legal=f"a request with {name!r}",
                models=[other.id for other in known if not other.needs],
            )
    _check_single(conditions, [_single(condition) for condition in conditions])


MANY = ("reference", "style", "trajectory")
"""Kinds that may occur any number of times. The others are limited to one per place."""


def _single(condition: Condition) -> str:
    """The place that a condition occupies exclusively; empty if any number is allowed."""
    if condition.kind in MANY:
        return ""
    return feature(condition) if condition.kind in ("image", "continue") else condition.kind


def _check_single(conditions: Sequence[Condition], places: Sequence[str]) -> None:
    """Raise RequestError naming the conditions that occupy the same place ("": none)."""
    for index, place in enumerate(places):
        if place and place != "image:frame" and place in places[:index]:
            both = [_named(other) for other, where in zip(conditions, places) if where == place]
            raise RequestError(
                f"A request takes at most one {place!r}, got {len(both)}: {', '.join(both)}.",
                field=f"conditions.{index}", value=both[-1], legal=f"one of {', '.join(both)}",
            )  # fmt: skip


def check_pictures(conditions: Sequence[Condition], frames: int) -> None:
    """Raise RequestError naming pictures for the same frame: "first" is frame 0, "last" is `frames` - 1."""
    at: dict[str | int, str | int] = {"first": 0, "last": frames - 1}
    numbers = [at.get(c.at, c.at) if c.kind == "image" else None for c in conditions]
    _check_single(conditions, ["" if number is None else f"picture for frame {number}" for number in numbers])


def _named(condition: Condition) -> str:
    """A condition for messages: its feature name and file."""
    media = (getattr(condition, name, None) for name in ("image", "video", "clip", "track"))
    file = next((each for each in media if isinstance(each, str)), "")
    if file.startswith("data:"):
        file = f"{file[:20]}..."
    return f"{feature(condition)} ({file[:200]})" if file else feature(condition)
