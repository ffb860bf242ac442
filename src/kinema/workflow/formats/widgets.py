"""The values of a node's widgets by name. A file stores them by position, in the order that the class declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..nodes.declaration import Declaration, DeclaredInput
from .graph import GraphNode

CONTROLS = ("fixed", "increment", "decrement", "randomize")
SEEDS = ("seed", "noise_seed")


def values_of(node: GraphNode, declared: Declaration | None) -> dict[str, Any] | None:
    """The value of each widget. None if the class is not declared and the file does not name its values."""
    if declared is None:
        return unknown_values(node)
    if isinstance(node.widgets, Mapping):
        return _by_name(declared.inputs, node.widgets)
    return dict(_positional(declared.inputs, _Values(node.widgets)))


def unknown_values(node: GraphNode) -> dict[str, Any] | None:
    """The values of a node whose class is not declared: as the file names them, else those of inputs that stand for
    widgets, in their order. None if a value remains that has no name."""
    if node.named:
        return dict(node.named)
    if isinstance(node.widgets, Mapping):
        return dict(node.widgets)
    values, found = _Values(node.widgets), dict[str, Any]()
    for each in node.inputs:
        if each.widget and not values.ended:
            found[each.widget] = values.take()
            if each.widget in SEEDS:
                values.skip(CONTROLS)
    while not values.ended:  # the buttons and controls beside a widget have no name
        if values.take() not in (*CONTROLS, "image", "", None):
            return None
    return found


class _Values:
    """The values of a list, taken one by one."""

    def __init__(self, values: list[Any]) -> None:
        self.values, self.at = values, 0

    @property
    def ended(self) -> bool:
        return self.at >= len(self.values)

    def take(self) -> Any:
        self.at += 1
        return self.values[self.at - 1]

    def skip(self, legal: tuple[str, ...]) -> None:
        if not self.ended and self.values[self.at] in legal:
            self.at += 1


def _positional(inputs: tuple[DeclaredInput, ...], values: _Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for each in inputs:
        if not each.widget:
            continue
        value = each.default if values.ended else values.take()
        yield prefix + each.name, value
        if each.extra:
            values.skip(CONTROLS if each.type == "INT" else ("image",))
        if isinstance(value, str):
            yield from _positional(each.children.get(value, ()), values, f"{prefix}{each.name}.")


def _by_name(inputs: tuple[DeclaredInput, ...], values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in inputs:
        if each.widget:
            name = prefix + each.name
            found[name] = values.get(name, each.default)
            if isinstance(found[name], str):
                found |= _by_name(each.children.get(found[name], ()), values, f"{name}.")
    return found
