"""Plain values of a prompt against the inputs that nodes declare, with errors in ComfyUI's form."""

from __future__ import annotations

import math
import reprlib
from typing import Any

from ...core.outside import for_terminal
from ...workflow.nodes.check import exact
from ...workflow.nodes.declaration import MAX_SEED, DeclaredInput

ROUNDED = 2_000
"""A page rounds numbers above 2^53; the largest seed arrives larger by less than this."""
PLAIN = {"INT", "FLOAT", "BOOLEAN", "STRING", "COMBO"}
_REPR = reprlib.Repr()
_REPR.maxstring = 60


def node_error(type_: str, message: str, details: str, **extra: Any) -> dict[str, Any]:
    """One error of a node. type_: of ComfyUI's list."""
    return {"type": type_, "message": message, "details": details, "extra_info": extra}


def typed_value(each: DeclaredInput, value: Any) -> tuple[Any, dict[str, Any] | None]:
    """A value in its declared type, and its error if it is not legal. A seed that a page has rounded up becomes the
    largest one."""
    config = [list(each.options) if each.type == "COMBO" else each.type, _limits(each)]
    shown = shown_value(value)
    told = {"input_name": each.name, "input_config": config, "received_value": shown}
    if isinstance(value, dict) and set(value) == {"__value__"}:
        value = value["__value__"]
    try:
        plain = _typed(each, value)
    except (TypeError, ValueError, OverflowError):
        return None, node_error("invalid_input_type", "A value has a wrong type.",
                                f"{each.name} = {shown}; {each.type} is needed", **told)  # fmt: skip
    if each.high == MAX_SEED and MAX_SEED < plain <= MAX_SEED + ROUNDED:
        plain = MAX_SEED
    if each.low is not None and plain < each.low:
        return None, node_error("value_smaller_than_min", "A value is too small.",
                                f"{each.name} = {shown}; the least is {exact(each.low)}", **told)  # fmt: skip
    if each.high is not None and plain > each.high:
        return None, node_error("value_bigger_than_max", "A value is too large.",
                                f"{each.name} = {shown}; the most is {exact(each.high)}", **told)  # fmt: skip
    if each.options and str(plain) not in each.options:
        return None, node_error("value_not_in_list", "A value is not one of the choices.",
                                f"{each.name} = {shown}; legal: {', '.join(each.options)}", **told)  # fmt: skip
    return plain, None


def fits(given: str, wanted: str) -> bool:
    """Whether an output of a type may be linked to an input: "A,B" is either, "*" any."""
    if "*" in (given, wanted):
        return True
    one, other = set(given.split(",")), set(wanted.split(","))
    return bool(one & other) or (one <= PLAIN and other <= PLAIN)


def _typed(each: DeclaredInput, value: Any) -> Any:
    """The value in the declared type. TypeError or ValueError if it has none."""
    if isinstance(value, list | dict) or value is None:
        raise TypeError
    if each.type == "INT":
        if isinstance(value, float) and not value.is_integer():
            raise ValueError
        return int(value)
    if each.type == "FLOAT":
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        return value if isinstance(value, int) and not isinstance(value, bool) else number
    if each.type == "BOOLEAN":
        if not isinstance(value, bool | int):
            raise TypeError
        return bool(value)
    if each.type == "STRING":
        return str(value)
    if each.type == "COMBO" and isinstance(value, bool):
        raise TypeError
    return value


def _limits(each: DeclaredInput) -> dict[str, Any]:
    found = {"default": each.default, "min": each.low, "max": each.high}
    return {name: value for name, value in found.items() if value is not None}


def shown_value(value: Any) -> Any:
    """A received value as an answer repeats it: short."""
    return value if isinstance(value, bool | int | float | None) else for_terminal(_REPR.repr(value), 100)
