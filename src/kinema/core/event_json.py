"""Events of a run as plain JSON, so that another process can follow it: a worker writes them, a client shows them.

    {"event": "progress", "stage": "sample", "done": 3, "total": 20, "seconds": 0.4, "span": 0}

Fields with their default value are left out; unknown ones are ignored, so that an older client follows a newer server.
A preview's frames do not travel here: only its step does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .errors import KinemaError
from .events import Event, Note, Outcome, Part, Planned, Preview, Progress

KINDS: dict[str, type[Event]] = {
    "stage": Event, "progress": Progress, "planned": Planned, "note": Note, "outcome": Outcome, "preview": Preview,
}  # fmt: skip
"""Events by their name in JSON."""
_NAMES = {kind: name for name, kind in KINDS.items()}
_LOCAL = ("frames",)
"""Fields that only the process of the run can use."""


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event as plain JSON. Raises KeyError for a class that is not in KINDS."""
    found: dict[str, Any] = {"event": _NAMES[type(event)]}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name not in _LOCAL and (field.name == "stage" or value != field.default):
            found[field.name] = value
    if isinstance(event, Planned):
        found["parts"] = [_part(each) for each in event.parts]
    return found


def event_from_json(data: Any) -> Event:
    """Return the event of plain JSON. Raises KinemaError if it is none."""
    kind = KINDS.get(str(data.get("event"))) if isinstance(data, Mapping) else None
    if kind is None:
        raise KinemaError("Not an event: an object with a known `event` is required.")
    known = {field.name for field in fields(kind)} - set(_LOCAL)
    given = {name: value for name, value in data.items() if name in known}
    try:
        if kind is Planned:
            names = {field.name for field in fields(Part)}
            given["parts"] = tuple(
                _typed(Part(**{name: value for name, value in part.items() if name in names}))
                for part in given.get("parts", ())
            )
        return _typed(kind(**given))
    except (TypeError, ValueError, AttributeError) as error:
        raise KinemaError(f"Not an event of kind {data['event']}: {error}.") from None


def _part(part: Part) -> dict[str, Any]:
    return {each.name: getattr(part, each.name) for each in fields(part) if getattr(part, each.name) != each.default}


def _typed(value: Any) -> Any:
    """Return a value whose fields have their types. Raises TypeError otherwise: a display computes with them."""
    for field in fields(value):
        found = getattr(value, field.name)
        legal = _TYPES.get(str(field.type))
        if legal is not None and (not isinstance(found, legal) or (isinstance(found, bool) and bool not in legal)):
            raise TypeError(f"{field.name} is {type(found).__name__}")
    return value


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "int | None": (int, type(None)), "dict[str, Any]": (dict,),
}  # fmt: skip
