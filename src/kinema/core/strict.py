"""Strict types for pydantic models, which would otherwise accept true for 1, "5_0" for 50, "yes" for true and bytes for
text."""

from __future__ import annotations

from numbers import Real
from typing import Any, cast

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

NESTED = ("schema", "fields", "choices", "items_schema", "keys_schema", "values_schema", "definitions", "extras_schema")


def strict(schema: CoreSchema) -> CoreSchema:
    """Return the schema with all its numbers, booleans and strings strict. Numbers may be of any numeric type (an int
    for a float, 5.0 for an int, numpy's)."""
    return cast("CoreSchema", _strict(schema))


def _strict(part: Any) -> Any:
    if isinstance(part, list | tuple):
        return type(part)(_strict(one) for one in part)
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind in ("int", "float"):
        return core_schema.no_info_before_validator_function(_number, cast("CoreSchema", part))
    if kind == "union":  # errors name the kind, not this function
        return {**part, "choices": [_named(choice) for choice in part["choices"]]}
    if kind in ("bool", "str"):
        return {**part, "strict": True}
    if kind == "function-before" and part["function"].get("function") is _number:
        return part  # already strict: the schema of a nested value
    if "type" not in part:  # names and their schemas
        return {name: _strict(one) for name, one in part.items()}
    return {name: _strict(one) if name in NESTED else one for name, one in part.items()}


def _named(choice: Any) -> Any:
    plain = isinstance(choice, dict) and choice["type"] in ("int", "float")
    return (_strict(choice), choice["type"]) if plain else _strict(choice)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise PydanticCustomError("number_type", "Input should be a number")
    try:
        float(value)
    except (OverflowError, ValueError, TypeError):
        raise PydanticCustomError("number_size", "Input should be a number within the range of a float") from None
    return value
