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
MAX_EXPANDED, MAX_INPUTS = 20_000, 100_000
"""Nodes, and their inputs, with all subgraphs expanded."""

MAX_HOPS = 100
"""Of a link, through reroutes, bypassed nodes and borders of subgraphs."""


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
    """One occurrence of a graph. prefix: of its nodes' ids. host: the node in `outer` that it expands.

    results: for each output of a subgraph the link that supplies it. sockets: the host's inputs by name. kept: the
    values that the host keeps for promoted widgets, by ("-1", its input) or (inner node, widget).
    """

    graph: Graph
    prefix: str = ""
    host: GraphNode | None = None
    outer: Place | None = None
    inner: dict[str, Place] = field(default_factory=dict)
    results: dict[int, str] = field(default_factory=dict)
    sockets: dict[str, GraphInput] = field(default_factory=dict)
    kept: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, link in self.graph.links.items():
            if link.target == OUTPUTS:
                self.results.setdefault(link.target_slot, key)
        if self.host is not None:
            for each in self.host.inputs:
                self.sockets.setdefault(each.name, each)
            self.kept = _kept(self.graph, self.host)


def expand(workflow: Workflow) -> list[Place]:
    """Return the graph and every subgraph that runs, hosts before what is inside them. RequestError: a subgraph that
    contains itself, nesting over MAX_NESTING, over MAX_EXPANDED nodes."""
    found = [Place(workflow.graph)]
    count, inputs = len(workflow.graph.nodes), _num_inputs(workflow.graph)
    sizes = {key: _num_inputs(graph) for key, graph in workflow.subgraphs.items()}
    for place in found:  # grows meanwhile
        for node in place.graph.nodes.values():
            definition = workflow.subgraphs.get(node.type)
            if definition is None or node.mode != RUN:
                continue
            above = [each.graph for each in _outward(place)]
            if any(each is definition for each in above):
                raise RequestError(f"{workflow.source}: the subgraph {definition.name!r} contains itself.",
                                   field="workflow", legal="subgraphs without cycles")  # fmt: skip
            count, inputs = count + len(definition.nodes), inputs + sizes[node.type]
            if len(above) > MAX_NESTING or count > MAX_EXPANDED or inputs > MAX_INPUTS:
                raise RequestError(
                    f"{workflow.source}: its subgraphs expand to too much.", field="workflow",
                    legal=f"at most {MAX_EXPANDED:,} nodes, nested at most {MAX_NESTING} deep",
                )  # fmt: skip
            place.inner[node.id] = Place(definition, f"{place.prefix}{node.id}:", node, place)
            found.append(place.inner[node.id])
    if inputs > MAX_INPUTS:
        raise RequestError(f"{workflow.source}: {inputs:,} inputs.", field="workflow", legal=f"at most {MAX_INPUTS:,}")
    return found


def _num_inputs(graph: Graph) -> int:
    return sum(len(node.inputs) for node in graph.nodes.values())


def follow(place: Place, node: GraphNode, wanted: GraphInput) -> NodeOutput | Literal | type[Unset] | type[Absent]:
    """Where the link of an input leads. RequestError: to itself, through nodes that pass it on."""
    seen: set[tuple[int, str]] = set()
    levels: list[tuple[Place, int, str, str]] = []
    """The borders of subgraphs that were crossed outward: place, its input, and the node and widget behind it."""
    at, widget, link_id = node.id, wanted.widget, wanted.link
    while link_id is not None:
        if (id(place), link_id) in seen:
            raise RequestError(f"A cycle of links through node {place.prefix}{at}.", field="workflow")
        if len(seen) > MAX_HOPS:
            raise RequestError(
                f"The link of node {node.id} passes through more than {MAX_HOPS} nodes.", field="workflow",
                legal="shorter chains of reroutes, bypassed nodes and subgraphs",
            )  # fmt: skip
        seen.add((id(place), link_id))
        link = place.graph.links.get(link_id)
        if link is None:
            return Unset
        if link.origin == INPUTS:
            if place.host is None or place.outer is None or not 0 <= link.origin_slot < len(place.graph.inputs):
                return Unset
            levels.append((place, link.origin_slot, at, widget))
            outside = place.sockets.get(place.graph.inputs[link.origin_slot][0])
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


def _kept(graph: Graph, host: GraphNode) -> dict[tuple[str, str], Any]:
    """The values that a host keeps for the promoted widgets of its graph."""
    if host.properties.get("proxyWidgets"):
        found = {(node, widget): value for node, widget, value in exposed(host)}
    else:
        slots = {
            link.origin_slot
            for node in graph.nodes.values()
            for each in node.inputs
            if each.widget and each.link is not None
            and (link := graph.links.get(each.link)) is not None and link.origin == INPUTS
        }  # fmt: skip
        names = [name for slot, (name, _) in enumerate(graph.inputs) if slot in slots]
        values = host.widgets if isinstance(host.widgets, list) else []
        found = {("-1", name): value for name, value in zip(names, values, strict=False)}
    quarantine = host.properties.get("proxyWidgetErrorQuarantine")
    for each in quarantine if isinstance(quarantine, list) else []:
        entry = each.get("originalEntry") if isinstance(each, dict) else None
        if isinstance(entry, list) and len(entry) == 2 and "hostValue" in each:
            found[str(entry[0]), str(entry[1])] = each["hostValue"]
    return found


def _promoted(levels: list[tuple[Place, int, str, str]]) -> Literal | type[Unset] | type[Absent]:
    """The value that a host supplies for its unlinked input; hosts further out go first."""
    if not levels[0][3]:
        return Absent  # a socket, which has no value
    for place, slot, node, widget in reversed(levels):
        for key in (("-1", place.graph.inputs[slot][0]), (node, widget)):
            if key in place.kept:
                return Literal(place.kept[key])
    return Unset


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
