"""Which conditions of a request go together, and with a card. RequestError where they do not."""

from __future__ import annotations

from collections.abc import Sequence

from .card import Card
from .conditions import Condition, feature
from .errors import RequestError


def check(conditions: Sequence[Condition], card: Card, known: Sequence[Card] = ()) -> None:
    """RequestError where a card does not take them, needs another, or two want the same place."""
    wanted = [feature(condition) for condition in conditions]
    for index, name in enumerate(wanted):
        if name not in card.accepts:
            raise RequestError(
                f"{card.id} does not take the condition {name!r}.",
                field=f"conditions.{index}",
                value=name,
                legal=", ".join(card.accepts) or "a prompt only",
                models=[other.id for other in known if name in other.accepts],
            )
    for name in card.needs:
        if name not in wanted:
            raise RequestError(
                f"{card.id} cannot work without the condition {name!r}.",
                field="conditions",
                value=wanted,
                legal=f"a request with {name!r}",
                models=[other.id for other in known if not other.needs],
            )
    _check_single(conditions, [_single(condition) for condition in conditions])


MANY = ("reference", "style", "trajectory")
"""Kinds of which every one counts. Of the others there is one for each place: a second would be ignored."""


def _single(condition: Condition) -> str:
    """The place that a condition takes alone; empty where any number may be given."""
    if condition.kind in MANY:
        return ""
    return feature(condition) if condition.kind in ("image", "continue") else condition.kind


def _check_single(conditions: Sequence[Condition], places: Sequence[str]) -> None:
    """RequestError naming conditions that want the same place ("" is none)."""
    for index, place in enumerate(places):
        if place and place != "image:frame" and place in places[:index]:
            both = [_named(other) for other, where in zip(conditions, places) if where == place]
            raise RequestError(
                f"A request takes one {place!r} at most, got {len(both)}: {', '.join(both)}.",
                field=f"conditions.{index}", value=both[-1], legal=f"one of {', '.join(both)}",
            )  # fmt: skip


def check_pictures(conditions: Sequence[Condition], frames: int) -> None:
    """RequestError naming pictures that are for the same frame: "first" is frame 0, "last" the one before `frames`."""
    at: dict[str | int, str | int] = {"first": 0, "last": frames - 1}
    numbers = [at.get(c.at, c.at) if c.kind == "image" else None for c in conditions]
    _check_single(conditions, ["" if number is None else f"picture for frame {number}" for number in numbers])


def _named(condition: Condition) -> str:
    """A condition for a person: how a card calls it, and its file."""
    media = (getattr(condition, name, None) for name in ("image", "video", "clip", "track"))
    file = next((each for each in media if isinstance(each, str)), "")
    if file.startswith("data:"):
        file = f"{file[:20]}..."
    return f"{feature(condition)} ({file[:200]})" if file else feature(condition)
