"""Workflows as ComfyUI's page saves them: format 0.4 (links as lists) and format 1 (links as objects).

Both may hold definitions of subgraphs, which are always in format 1.
"""

from __future__ import annotations

from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal, of_kind
from .graph import Graph, GraphInput, GraphLink, GraphNode, Workflow

MAX_NODES = 10_000
MAX_SLOTS = 1000
"""Inputs or outputs of one node."""


def is_ui(value: Any) -> bool:
    """Whether the JSON value looks like a saved page."""
    return isinstance(value, dict) and isinstance(value.get("nodes"), list)


def parse_ui(value: dict[str, Any], source: str) -> Workflow:
    """Return the workflow in a saved page. RequestError names the first part that is not as the format says, or more
    than MAX_NODES nodes."""
    definitions = _kind(value.get("definitions") or {}, f"{source}: definitions", dict)
    listed = _kind(definitions.get("subgraphs") or [], f"{source}: definitions.subgraphs", list)
    count = sum(len(each["nodes"]) for each in [value, *listed] if is_ui(each))
    if count > MAX_NODES:
        raise RequestError(f"{source}: {count:,} nodes.", field="workflow", legal=f"at most {MAX_NODES:,} nodes")
    subgraphs: dict[str, Graph] = {}
    for number, each in enumerate(listed):
        what = f"{source}: subgraph {number}"
        one = _kind(each, what, dict)
        key = _text(one.get("id"), f"{what}: id")
        if key in subgraphs:
            raise RequestError(f"{what}: the id {_shown(key)} is defined twice.", field="workflow")
        subgraphs[key] = _graph(one, f"{source}: subgraph {_shown(one.get('name') or key)}", _shown(one.get("name")))
    return Workflow(source, _graph(value, source, ""), subgraphs)


def _graph(value: dict[str, Any], what: str, name: str) -> Graph:
    nodes: dict[str, GraphNode] = {}
    for number, each in enumerate(_kind(value.get("nodes"), f"{what}: nodes", list)):
        node = _node(_kind(each, f"{what}: node {number}", dict), f"{what}: node {number}")
        if node.id in nodes:
            raise RequestError(f"{what}: two nodes have the id {_shown(node.id)}.", field="workflow")
        nodes[node.id] = node
    links: dict[str, GraphLink] = {}
    for number, each in enumerate(_kind(value.get("links") or [], f"{what}: links", list)):
        if each is not None:  # null: a link that was removed
            key, link = _link(each, f"{what}: link {number}")
            links[key] = link
    ports = [
        tuple(_ports(value.get(side) or [], f"{what}: {side}")) if "inputNode" in value else ()
        for side in ("inputs", "outputs")
    ]
    return Graph(name, nodes, links, *ports)


def _node(value: dict[str, Any], what: str) -> GraphNode:
    identity = _id(value.get("id"), f"{what}: id")
    kind = _text(value.get("type"), f"{what}: type")
    what = f"{what} ({_shown(kind)})"
    inputs = []
    for number, each in enumerate(_slots(value.get("inputs"), f"{what}: inputs")):
        place = f"{what}: input {number}"
        one = _kind(each, place, dict)
        link, widget = one.get("link"), one.get("widget")
        name = _text(one.get("name"), f"{place}: name")
        shown = _text(widget.get("name") or name, f"{place}: widget") if isinstance(widget, dict) else ""
        key = None if link is None else _id(link, f"{place}: link")
        inputs.append(GraphInput(name, _type(one.get("type")), key, shown))
    widgets, named = value.get("widgets_values"), value.get("widgets_values_named")
    mode = value.get("mode", 0)
    return GraphNode(
        id=identity,
        type=kind,
        title=_shown(value.get("title") or ""),
        mode=_kind(mode, f"{what}: mode", int),
        inputs=tuple(inputs),
        outputs=tuple(_ports(value.get("outputs") or [], f"{what}: outputs")),
        widgets=[] if widgets is None else _kind(widgets, f"{what}: widgets_values", (list, dict)),
        named={} if named is None else _kind(named, f"{what}: widgets_values_named", dict),
        properties=_kind(value.get("properties") or {}, f"{what}: properties", dict),
    )


def _link(value: Any, what: str) -> tuple[str, GraphLink]:
    if isinstance(value, list) and len(value) >= 5:
        key, origin, origin_slot, target, target_slot, *rest = value
        kind = rest[0] if rest else ""
    else:
        one = _kind(value, what, dict)
        key, kind = one.get("id"), one.get("type")
        origin, origin_slot = one.get("origin_id"), one.get("origin_slot")
        target, target_slot = one.get("target_id"), one.get("target_slot")
    slots = [_kind(slot, f"{what}: slot", int) for slot in (origin_slot, target_slot)]
    return _id(key, f"{what}: id"), GraphLink(
        _id(origin, f"{what}: origin"), slots[0], _id(target, f"{what}: target"), slots[1], _type(kind)
    )


def _ports(value: Any, what: str) -> list[tuple[str, str]]:
    found = []
    for number, each in enumerate(_slots(value, what)):
        one = _kind(each, f"{what} {number}", dict)
        found.append((_text(one.get("name"), f"{what} {number}: name"), _type(one.get("type"))))
    return found


def _slots(value: Any, what: str) -> list[Any]:
    found = _kind(value or [], what, list)
    if len(found) > MAX_SLOTS:
        raise RequestError(f"{what}: {len(found):,}.", field="workflow", legal=f"at most {MAX_SLOTS:,}")
    return found


def _id(value: Any, what: str) -> str:
    return str(_kind(value, what, (int, str)))


def _type(value: Any) -> str:
    """The type of a socket; 0 and -1 in old files mean any, a list is an old choice."""
    return value if isinstance(value, str) else "COMBO" if isinstance(value, list) else "*"


def _text(value: Any, what: str) -> str:
    return _kind(value, what, str)


def _shown(value: Any) -> str:
    return for_terminal(str(value), 100)


def _kind(value: Any, what: str, kind: Any) -> Any:
    return of_kind(value, what, kind, error=RequestError)
