"""Messages for pydantic's validation errors. For an unknown field the nearest known one is suggested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel

from .errors import RequestError
from .near import nearest

MAX_SHOWN = 120
"""Characters of a wrong value that a message repeats."""


def explained(problem: Any, kind: type[BaseModel]) -> tuple[str, str, str | None]:
    """(message, legal values, nearest legal name) for one of pydantic's errors on a `kind`. The message begins with
    the field."""
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{where or 'request'} = {shown(problem.get('input'))}: {reason(problem)}", "", None
    name = str(problem["loc"][-1])
    around = _kinds_at(kind, problem["loc"][:-1])
    known = list(dict.fromkeys(field for each in around for field in each.model_fields))
    near = _deeper(name, around) or nearest(name, known)
    return f"Unknown field {where!r}", "fields " + ", ".join(known), near


def refused(found: list[Any], kind: type[BaseModel], begin: str = "") -> RequestError:
    """The first of pydantic's errors as a RequestError, with the number of the others."""
    message, legal, near = explained(found[0], kind)
    more = len(found) - 1
    tail = f" ({more} more problem{'s' if more > 1 else ''})" if more else ""
    value = found[0].get("input")
    return RequestError(
        f"{begin}{message}.{tail}", field=".".join(str(part) for part in found[0]["loc"]),
        value=value if found[0]["type"] == "extra_forbidden" else shown(value), legal=legal, nearest=near,
    )  # fmt: skip


def reason(problem: Any) -> str:
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "an object of named fields is expected"  # pydantic's message names its own classes
    context = problem.get("ctx", {})
    if problem["type"] == "too_long" and isinstance(context.get("actual_length"), int):  # else "Tuple should have ..."
        return f"{context['actual_length']:,} entries, at most {context['max_length']:,} are legal"
    return str(problem["msg"]).removeprefix("Value error, ")


def shown(value: Any) -> str:
    """The value as shown in a message."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _kinds_at(kind: type[BaseModel], place: Iterable[Any]) -> list[type[BaseModel]]:
    """The model classes at a location in a `kind`, in pydantic's notation: fields, list indices, tags of a union."""
    found = [kind]
    for part in place:
        if isinstance(part, int):
            continue
        inside = [one for each in found if part in each.model_fields for one in _models(each.model_fields[part])]
        tagged = [each for each in found if any(field.default == part for field in each.model_fields.values())]
        found = inside or tagged or found
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every model class in a field's type."""
    annotation = getattr(annotation, "annotation", annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]


def _deeper(name: str, around: list[type[BaseModel]]) -> str | None:
    """The field with this name one level below, as `page.port`."""
    for each in around:
        for outer, field in each.model_fields.items():
            if any(name in inner.model_fields for inner in _models(field)) and name != "kind":
                return f"{outer}.{name}"
    return None
