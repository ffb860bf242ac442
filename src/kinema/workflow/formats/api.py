"""API prompts: {node id: {"class_type", "inputs", "_meta"?}}; an input is a value or [origin id, output slot]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal, of_kind
from .graph import Graph, GraphInput, GraphLink, GraphNode, Workflow
from .ui import MAX_NODES


def is_api(value: Any) -> bool:
    """Whether the JSON value looks like an API prompt."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(node, dict) and "class_type" in node for node in value.values())
    )


def is_link(value: Any) -> bool:
    """Whether an input of a prompt is a link; a list that is a value is wrapped, see `wrapped`."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def wrapped(value: Any) -> Any:
    """A widget's value as a prompt holds it: a list is wrapped, so that it is not taken for a link."""
    return {"__value__": value} if isinstance(value, list) else value


def parse_api(value: dict[str, Any], source: str) -> Workflow:
    """Return the workflow of an API prompt. RequestError: a node without a class, inputs that are no object, a link to
    a missing node, a cycle, more than MAX_NODES nodes."""
    if len(value) > MAX_NODES:
        raise RequestError(f"{source}: {len(value):,} nodes.", field="workflow", legal=f"at most {MAX_NODES:,} nodes")
    nodes: dict[str, GraphNode] = {}
    links: dict[str, GraphLink] = {}
    for key, each in value.items():
        what = f"{source}: node {for_terminal(key, 100)}"
        kind = of_kind(each.get("class_type"), f"{what}: class_type", str, error=RequestError)
        given = of_kind(each.get("inputs", {}), f"{what}: inputs", dict, error=RequestError)
        inputs: list[GraphInput] = []
        for name, one in given.items():
            if not is_link(one):
                continue
            origin, slot = one
            if origin not in value:
                raise RequestError(
                    f"{what}: its input {for_terminal(name, 100)} is linked to node {for_terminal(origin, 100)}, "
                    "which the prompt does not contain.", field="workflow",
                )  # fmt: skip
            links[str(len(links))] = GraphLink(origin, slot, key, len(inputs), "*")
            inputs.append(GraphInput(name, "*", str(len(links) - 1)))
        meta = each.get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else None
        values = {name: one for name, one in given.items() if not is_link(one)}
        nodes[key] = GraphNode(
            key, kind, for_terminal(title, 100) if isinstance(title, str) else "", inputs=tuple(inputs), widgets=values
        )
    prompt = {key: {"inputs": {}, **each} for key, each in value.items()}
    in_order(prompt, source)
    return Workflow(source, Graph("", nodes, links), prompt=prompt)


def in_order(prompt: Mapping[str, Any], source: str) -> list[str]:
    """The ids of a prompt's nodes, each after the nodes that it is linked to. RequestError, which names the nodes, if
    links form a cycle."""
    waiting = {key: _origins(node, prompt) for key, node in prompt.items()}
    users: dict[str, list[str]] = {key: [] for key in prompt}
    for key, origins in waiting.items():
        for origin in origins:
            users[origin].append(key)
    found = [key for key, origins in waiting.items() if not origins]
    for done in found:  # grows meanwhile
        for user in users[done]:
            waiting[user].discard(done)
            if not waiting[user]:
                found.append(user)
    if circle := _circle({key: origins for key, origins in waiting.items() if origins}):
        shown = " -> ".join(for_terminal(key, 40) for key in circle[:8])
        more = ", ..." if len(circle) > 8 else ""
        raise RequestError(
            f"{source}: a cycle of nodes: {shown}{more}.", field="workflow", legal="links without cycles"
        )
    return found


def _circle(waiting: Mapping[str, set[str]]) -> list[str]:
    """The nodes of one cycle; each node here waits for another one here."""
    if not waiting:
        return []
    key, seen = next(iter(waiting)), dict[str, int]()
    while key not in seen:
        seen[key] = len(seen)
        key = min(origin for origin in waiting[key] if origin in waiting)
    return [each for each, at in seen.items() if at >= seen[key]]


def _origins(node: Mapping[str, Any], prompt: Mapping[str, Any]) -> set[str]:
    return {one[0] for one in node.get("inputs", {}).values() if is_link(one) and one[0] in prompt}
