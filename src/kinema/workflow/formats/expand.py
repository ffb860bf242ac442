"""A workflow with its subgraphs expanded: every place where a graph occurs, and where each input's link leads.

A link is followed through reroutes, bypassed nodes and the borders of subgraphs to the node or value that it stands
for. Node ids become paths, "host:inner", as in API prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import RequestError
from .graph import BYPASSED, INPUTS, MUTED, OUTPUTS, PRIMITIVE, REROUTE, RUN, Graph, GraphInput, GraphNode, Workflow

MAX_NESTING = 32
MAX_EXPANDED = 20_000
"""Nodes with all subgraphs expanded."""


@dataclass(frozen=True, slots=True)
class NodeOutput:
    """An output of a node of the prompt."""

    id: str
    slot: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A value, which the host of a subgraph or a PrimitiveNode supplies."""

    value: Any


class Unset:
    """No link leads here: the widget's own value counts."""


class Absent:
    """The link leads to a node that does not run: the input is left out."""


@dataclass(slots=True, eq=False)
class Place:
    """One occurrence of a graph. prefix: of its nodes' ids. host: the node in `outer` that it expands. results: for
    each output of a subgraph the link that supplies it. targets: for each input of a subgraph the inputs it reaches."""

    graph: Graph
    prefix: str = ""
    host: GraphNode | None = None
    outer: Place | None = None
    inner: dict[str, Place] = field(default_factory=dict)
    results: dict[int, str] = field(default_factory=dict)
    targets: dict[int, list[tuple[GraphNode, GraphInput]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, link in self.graph.links.items():
            if link.target == OUTPUTS:
                self.results.setdefault(link.target_slot, key)
        for node in self.graph.nodes.values() if self.host is not None else ():
            for each in node.inputs:
                found = self.graph.links.get(each.link) if each.link is not None else None
                if found is not None and found.origin == INPUTS:
                    self.targets.setdefault(found.origin_slot, []).append((node, each))


def expand(workflow: Workflow) -> list[Place]:
    """Return the graph and every subgraph that runs, hosts before what is inside them. RequestError: a subgraph that
    contains itself, nesting over MAX_NESTING, over MAX_EXPANDED nodes."""
    found = [Place(workflow.graph)]
    count = len(workflow.graph.nodes)
    for place in found:  # grows meanwhile
        for node in place.graph.nodes.values():
            definition = workflow.subgraphs.get(node.type)
            if definition is None or node.mode != RUN:
                continue
            above = [each.graph for each in _outward(place)]
            if any(each is definition for each in above):
                raise RequestError(f"{workflow.source}: the subgraph {definition.name!r} contains itself.",
                                   field="workflow", legal="subgraphs without cycles")  # fmt: skip
            count += len(definition.nodes)
            if len(above) > MAX_NESTING or count > MAX_EXPANDED:
                raise RequestError(
                    f"{workflow.source}: its subgraphs expand to too much.", field="workflow",
                    legal=f"at most {MAX_EXPANDED:,} nodes, nested at most {MAX_NESTING} deep",
                )  # fmt: skip
            place.inner[node.id] = Place(definition, f"{place.prefix}{node.id}:", node, place)
            found.append(place.inner[node.id])
    return found


def follow(place: Place, node: GraphNode, wanted: GraphInput) -> NodeOutput | Literal | type[Unset] | type[Absent]:
    """Where the link of an input leads. RequestError: to itself, through nodes that pass it on."""
    seen: set[tuple[int, str]] = set()
    levels: list[tuple[Place, int, str, str]] = []
    """The borders of subgraphs that were crossed outward: place, its input, and the node and widget behind it."""
    at, widget, link_id = node.id, wanted.widget, wanted.link
    while link_id is not None:
        if (id(place), link_id) in seen:
            raise RequestError(f"A cycle of links through node {place.prefix}{at}.", field="workflow")
        seen.add((id(place), link_id))
        link = place.graph.links.get(link_id)
        if link is None:
            return Unset
        if link.origin == INPUTS:
            if place.host is None or place.outer is None or not 0 <= link.origin_slot < len(place.graph.inputs):
                return Unset
            levels.append((place, link.origin_slot, at, widget))
            outside = _host_input(place, link.origin_slot)
            if outside is None or outside.link is None:
                return _promoted(levels)
            at, widget, link_id, place = place.host.id, outside.widget, outside.link, place.outer
            continue
        origin = place.graph.nodes.get(link.origin)
        if origin is None or origin.mode == MUTED:
            return Absent
        if origin.mode == BYPASSED:
            link_id = _through(origin, link.origin_slot, link.type)
        elif origin.type == REROUTE:
            link_id = origin.inputs[0].link if origin.inputs else None
        elif origin.type == PRIMITIVE:
            return Literal(origin.widgets[0]) if isinstance(origin.widgets, list) and origin.widgets else Unset
        elif origin.id in place.inner:
            place = place.inner[origin.id]
            link_id = place.results.get(link.origin_slot)
        else:
            return NodeOutput(place.prefix + origin.id, link.origin_slot)
        levels.clear()  # what was behind an earlier border no longer receives the value directly
        at, widget = origin.id, ""
    return Absent


def exposed(host: GraphNode) -> Iterator[tuple[str, str, Any]]:
    """(inner node, widget, value) of the inner widgets that a host shows and keeps a value for. "-1" stands for the
    host's own input."""
    entries, values = host.properties.get("proxyWidgets"), host.widgets
    if not isinstance(entries, list) or not isinstance(values, list):
        return
    for entry, value in zip(entries, values, strict=False):
        if isinstance(entry, list) and len(entry) >= 2 and not str(entry[1]).startswith("$$"):
            yield str(entry[0]), str(entry[1]), value


def _promoted(levels: list[tuple[Place, int, str, str]]) -> Literal | type[Unset] | type[Absent]:
    """The value that a host supplies for its unlinked input; hosts further out go first."""
    if not levels[0][3]:
        return Absent  # a socket, which has no value
    for place, slot, node, widget in reversed(levels):
        found = _host_value(place, slot, node, widget)
        if found is not None:
            return found
    return Unset


def _host_value(place: Place, slot: int, node: str, widget: str) -> Literal | None:
    host = place.host
    assert host is not None
    name = place.graph.inputs[slot][0]
    quarantine = host.properties.get("proxyWidgetErrorQuarantine")
    for each in quarantine if isinstance(quarantine, list) else []:
        entry = each.get("originalEntry") if isinstance(each, dict) else None
        if entry in (["-1", name], [node, widget]) and "hostValue" in each:
            return Literal(each["hostValue"])
    if host.properties.get("proxyWidgets"):
        shown = {(one, other): value for one, other, value in exposed(host)}
        for key in (("-1", name), (node, widget)):
            if key in shown:
                return Literal(shown[key])
        return None
    with_widget = [number for number in range(len(place.graph.inputs)) if _reaches_widget(place, number)]
    at = with_widget.index(slot) if slot in with_widget else len(with_widget)
    return Literal(host.widgets[at]) if isinstance(host.widgets, list) and at < len(host.widgets) else None


def _reaches_widget(place: Place, slot: int) -> bool:
    return any(each.widget for _, each in place.targets.get(slot, ()))


def _host_input(place: Place, slot: int) -> GraphInput | None:
    """The host's input, found by name: hosts leave out inputs that are not linked."""
    assert place.host is not None
    name = place.graph.inputs[slot][0]
    return next((each for each in place.host.inputs if each.name == name), None)


def _through(node: GraphNode, slot: int, wanted: str) -> str | None:
    """The link of the input that a bypassed node passes on as its output `slot`."""
    kind = node.outputs[slot][1] if 0 <= slot < len(node.outputs) else wanted
    if 0 <= slot < len(node.inputs) and _fits(node.inputs[slot].type, kind):
        return node.inputs[slot].link
    equal = [each for each in node.inputs if each.type == wanted]
    fitting = [each for each in node.inputs if _fits(each.type, wanted)]
    return next((each.link for each in (*equal, *fitting)), None)


def _fits(one: str, other: str) -> bool:
    """Whether two types have one in common; "A,B" is either, "*" is any."""
    return "*" in (one, other) or bool({*one.upper().split(",")} & {*other.upper().split(",")})


def _outward(place: Place | None) -> Iterator[Place]:
    while place is not None:
        yield place
        place = place.outer
