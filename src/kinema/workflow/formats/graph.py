"""A ComfyUI workflow as values: graphs of nodes and links, and the definitions of its subgraphs.

Node ids are text, as in API prompts. Inside a subgraph, INPUTS is the origin of the links that come from the host
node's inputs, and OUTPUTS the target of those that become its outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INPUTS, OUTPUTS = "-10", "-20"
RUN, MUTED, BYPASSED = 0, 2, 4
"""Modes of a node: it runs, it is left out, its inputs pass through."""

REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
NOTES = frozenset({"Note", "MarkdownNote"})
ONLY_DRAWN = NOTES | {REROUTE, PRIMITIVE}
"""Nodes of the page alone, which no prompt contains."""


@dataclass(frozen=True, slots=True)
class GraphLink:
    """From output `origin_slot` of the node `origin` to an input of the node `target`. The input's own `link` tells
    which one: `target_slot` becomes stale when inputs are removed; only OUTPUTS is addressed by it."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input socket. link: the id of its link. widget: the name of the widget that it replaces, or ""."""

    name: str
    type: str
    link: str | None = None
    widget: str = ""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node. widgets: its values by position, or by name in files of some node packs. named: by name, where the page
    wrote them."""

    id: str
    type: str
    title: str = ""
    mode: int = RUN
    inputs: tuple[GraphInput, ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    widgets: list[Any] | Mapping[str, Any] = field(default_factory=list)
    named: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> list[Mapping[str, Any]]:
        """Where its weights come from: {name, url, directory} each, as the author of the workflow noted."""
        found = self.properties.get("models")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and links by id. inputs, outputs: (name, type) of a subgraph's sockets; empty for the workflow itself."""

    name: str
    nodes: Mapping[str, GraphNode]
    links: Mapping[str, GraphLink]
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Workflow:
    """A whole workflow. source: names it in messages. prompt: the API prompt, if the file is one or carries only that;
    then `graph` shows the same nodes."""

    source: str
    graph: Graph
    subgraphs: Mapping[str, Graph] = field(default_factory=dict)
    prompt: Mapping[str, Any] | None = None
