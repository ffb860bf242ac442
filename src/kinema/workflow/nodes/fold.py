"""Evaluate the value nodes of a prompt, and keep only what runs: constants are folded into the nodes that use them, and
a switch leaves only its chosen side."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ..formats.api import in_order, is_link
from .table import DECLARED
from .values import math_expression, primitive, switch

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class _Failed:
    """The error of a value node. It is raised only if something that runs uses the value."""

    error: RequestError


def folded(
    prompt: Mapping[str, Mapping[str, Any]], source: str, failed: list[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the nodes that run, in an order of execution, with plain values instead of links to value nodes. A value
    node stays if its value is known only during the run (the size of a picture).

    RequestError: an expression without a value, a value of a wrong type, unless `failed` is a list, which then gets a
    line for each; a cycle.
    """
    ends: dict[tuple[str, int], Any] = {}
    """What stands for an output of a value node: a plain value, a link, _ABSENT or a _Failed."""
    kept: dict[str, dict[str, Any]] = {}
    for key in in_order(prompt, source):
        node = prompt[key]
        inputs = {
            name: end
            for name, value in node["inputs"].items()
            if (end := _end(value, ends)) is not _ABSENT
        }  # fmt: skip
        declared = DECLARED.get(node["class_type"])
        outputs: Iterable[Any] | None = None
        if declared is not None and declared.value:
            try:
                outputs = _outputs(node["class_type"], inputs)
            except RequestError as error:
                named = RequestError(f"{source}: node {for_terminal(key, 60)}: {error}", field="workflow")
                outputs = [_Failed(named)] * len(declared.outputs)
        if outputs is None:
            kept[key] = {**node, "inputs": inputs}
        else:
            ends |= {(key, slot): value for slot, value in enumerate(outputs)}
    return _used(kept, failed)


def _end(value: Any, ends: Mapping[tuple[str, int], Any]) -> Any:
    return ends.get((value[0], value[1]), value) if is_link(value) else value


def _outputs(kind: str, inputs: Mapping[str, Any]) -> Iterable[Any] | None:
    """The outputs of a value node; None if they are known only during the run."""
    if kind == "ComfySwitchNode":
        chosen = inputs.get("switch", False)
        if is_link(chosen):
            return None
        if isinstance(chosen, _Failed):
            return [chosen]
        if not isinstance(chosen, bool):
            raise RequestError(f"switch = {reprlib.repr(chosen)}.", field="switch", legal="true or false")
        return [switch(chosen, lambda: inputs.get("on_false", _ABSENT), lambda: inputs.get("on_true", _ABSENT))]
    failed = next((value for value in inputs.values() if isinstance(value, _Failed)), None)
    if failed is not None:
        raise failed.error
    if kind == "ComfyMathExpression":
        if any(is_link(value) for value in inputs.values()):
            return None
        values = {name.removeprefix("values."): value for name, value in inputs.items() if name.startswith("values.")}
        wrong = next((name for name, value in values.items() if not isinstance(value, int | float)), None)
        if wrong is not None:
            raise RequestError(f"{wrong} = {reprlib.repr(values[wrong])}.", field="values", legal="numbers")
        return math_expression(str(inputs.get("expression", "")), values)
    value = inputs.get("value")
    return [value if is_link(value) else primitive(kind, value)]


def runtime_outputs(kind: str, given: Mapping[str, Any]) -> list[Any]:
    """The outputs of a value node whose inputs are known only during the run. RequestError as `folded`."""
    found = _outputs(kind, given)
    return [] if found is None else list(found)


def _used(nodes: Mapping[str, dict[str, Any]], failed: list[str] | None) -> dict[str, dict[str, Any]]:
    """The nodes that results need, in their order; results are nodes that write or show, else those that no other node
    uses."""
    origins = {
        key: [value[0] for value in node["inputs"].values() if is_link(value)] for key, node in nodes.items()
    }  # fmt: skip
    shown = [key for key, node in nodes.items() if (each := DECLARED.get(node["class_type"])) and each.result]
    inside = {origin for found in origins.values() for origin in found}
    unknown = [key for key, node in nodes.items() if node["class_type"] not in DECLARED and key not in inside]
    waiting = [*shown, *unknown] or [key for key in nodes if key not in inside]
    used: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in used and key in nodes:
            used.add(key)
            for name, value in list(nodes[key]["inputs"].items()):
                if isinstance(value, _Failed) and failed is None:
                    raise value.error
                if isinstance(value, _Failed) and failed is not None:
                    failed += [str(value.error)] if str(value.error) not in failed else []
                    del nodes[key]["inputs"][name]
            waiting += origins[key]
    return {key: node for key, node in nodes.items() if key in used}
