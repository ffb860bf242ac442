"""Check the values in a prompt against what its nodes declare."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.outside import for_terminal
from ..formats.api import is_link
from .declaration import MAX_SEED, DeclaredInput
from .table import DECLARED

_REPR = reprlib.Repr()
_REPR.maxstring = 60
ROUNDED = 2_000
"""A page rounds numbers above 2^53; the largest seed arrives larger by less than this."""


def wrong_values(prompt: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each value of a declared node that has a wrong type or is out of range, and for each required input
    without a link."""
    for key, node in prompt.items():
        declared, inputs = DECLARED.get(node["class_type"]), node["inputs"]
        for each in declared.inputs if declared else ():
            where = f"node {for_terminal(key, 60)} ({node['class_type']})"
            if each.name in inputs and not is_link(inputs[each.name]):
                value = inputs[each.name]
                if legal := illegal(value, each):
                    yield f"{where}: {each.name} = {for_terminal(_REPR.repr(value), 80)}. Legal: {legal}."
            elif not (each.widget or each.optional or each.grows or each.name in inputs):
                yield f"{where}: its input {each.name} is not linked. Legal: a link of type {each.type}."


def illegal(value: Any, declared: DeclaredInput) -> str:
    """What is legal for an input, if the value is not."""
    kinds: dict[str, tuple[type, ...]] = {
        "INT": (int,), "FLOAT": (int, float), "BOOLEAN": (bool,), "STRING": (str,), "COMBO": (str, int, float),
    }  # fmt: skip
    names = {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false", "STRING": "a text"}
    if declared.type not in kinds:
        return ""
    low, high = declared.low, declared.high
    legal = names.get(declared.type, "the name of a file" if declared.folder else "a name")
    legal += f" from {low:g} to {high:g}" if low is not None and high is not None else ""
    is_kind = isinstance(value, kinds[declared.type]) and (declared.type == "BOOLEAN") is isinstance(value, bool)
    is_whole = declared.type == "INT" and isinstance(value, float) and value.is_integer()
    if not (is_kind or is_whole):
        return legal
    if low is not None and value < low:
        return legal
    if high is not None and value > high and not (high == MAX_SEED and value <= high + ROUNDED):
        return legal
    if declared.options and str(value) not in declared.options:
        return ", ".join(declared.options)
    return ""
