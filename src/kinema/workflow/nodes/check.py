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
    return (line for _, line in wrong_inputs(prompt))


def wrong_inputs(prompt: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The node of each line of `wrong_values`, and the line."""
    for key, node in prompt.items():
        if (declared := DECLARED.get(node["class_type"])) is None:
            continue
        inputs, where = node["inputs"], f"node {for_terminal(key, 60)} ({node['class_type']})"
        expected = {each.name: each for each in declared.inputs_of(inputs)}
        for name, value in inputs.items():
            each = expected.get(name) or expected.get(name.partition(".")[0])
            if is_link(value):
                if not _leads_somewhere(value, prompt):
                    yield key, f"{where}: its input {for_terminal(name, 60)} is linked to output {value[1]} of node " \
                               f"{for_terminal(value[0], 60)}, which it does not have."  # fmt: skip
            elif each is not None and (each.name == name or each.grows) and (legal := illegal(value, each)):
                shown = f"{for_terminal(name, 60)} = {for_terminal(_REPR.repr(value), 80)}"
                yield key, f"{where}: {shown}. Legal: {legal}."
        for each in expected.values():
            if not (each.widget or each.optional or each.grows or each.name in inputs):
                yield key, f"{where}: its input {each.name} is not linked. Legal: a link of type {each.type}."


def _leads_somewhere(link: Any, prompt: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the node of a link has that output, as far as is known."""
    origin, slot = link
    if origin not in prompt:
        return False
    declared = DECLARED.get(prompt[origin]["class_type"])
    return slot >= 0 and (declared is None or slot < len(declared.outputs))


def exact(number: float) -> str:
    """A limit in all its digits."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def illegal(value: Any, declared: DeclaredInput) -> str:
    """What is legal for an input, if the value is not."""
    kinds: dict[str, tuple[type, ...]] = {
        "INT": (int,), "FLOAT": (int, float), "BOOLEAN": (bool,), "STRING": (str,), "COMBO": (str, int, float),
    }  # fmt: skip
    names = {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false", "STRING": "a text"}
    types = set(declared.type.split(","))
    if not types & (kinds.keys() | {"*"}):
        return f"a link of type {declared.type}"
    if declared.type not in kinds:
        return ""
    low, high = declared.low, declared.high
    legal = names.get(declared.type, "the name of a file" if declared.folder else "a name")
    legal += f" from {exact(low)} to {exact(high)}" if low is not None and high is not None else ""
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
