"""What a ComfyUI workflow is to Kinema: the node of each step and what it becomes, what is unknown or missing, and what
would supply it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core.outside import for_terminal
from .formats.api import is_link
from .formats.convert import Prompt, converted
from .formats.graph import GraphNode, Workflow
from .nodes.check import wrong_values
from .nodes.declaration import Declaration
from .nodes.fold import folded
from .nodes.model_files import ModelFile, model_files, plain_name
from .nodes.table import DECLARED

State = Literal["maps", "lacks", "unread", "unknown"]
"""It has a counterpart in Kinema; Kinema lacks it; no model of Kinema reads its file; its class is unknown."""


@dataclass(frozen=True, slots=True)
class NodeFinding:
    """A node that runs. becomes: in Kinema; for a node without a counterpart, what Kinema lacks or who supplies it."""

    id: str
    kind: str
    title: str
    state: State
    becomes: str


@dataclass(frozen=True, slots=True)
class Examined:
    """running: the prompt with values filled in, in order of execution. wrong: values that their nodes refuse."""

    source: str
    prompt: Prompt
    running: Prompt
    nodes: tuple[NodeFinding, ...]
    models: tuple[ModelFile, ...]
    wrong: tuple[str, ...]

    def missing(self, chosen: Collection[str] = ()) -> list[str]:
        """A line for each class of nodes and each model file that is unknown or missing, with what would supply it.
        chosen: plain names of model files for which the user names others."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for node in self.nodes:
            if node.state in ("unknown", "lacks"):
                found.setdefault((node.state, node.kind, node.becomes), []).append(node.id)
        lines = [
            f"{'unknown node' if state == 'unknown' else 'not in Kinema'}: {kind} ({_listed(ids)}): {becomes}"
            for (state, kind, becomes), ids in found.items()
        ]
        return lines + [
            f"model file {for_terminal(each.name, 120)} ({_listed(each.nodes)}): {each.supply}"
            for each in self.models
            if not (each.here or each.part or plain_name(each.name) in chosen)
        ]

    def maps(self) -> bool:
        """Whether Kinema has a counterpart for every node that runs and for every model file."""
        return (
            bool(self.nodes)
            and not self.wrong
            and all(node.state == "maps" for node in self.nodes)
            and all(each.model or each.folder == "loras" for each in self.models)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "source": self.source, "maps": self.maps(),
            "nodes": [{"id": n.id, "class": n.kind, "title": n.title, "state": n.state, "becomes": n.becomes}
                      for n in self.nodes],
            "models": [{"file": m.name, "folder": m.folder, "nodes": list(m.nodes), "model": m.model, "here": m.here,
                        "supply": m.supply} for m in self.models],
            "missing": self.missing(), "wrong": list(self.wrong),
        }  # fmt: skip


def examine(workflow: Workflow) -> Examined:
    """Return what a workflow is to Kinema. Choices in texts are made with seed 0. RequestError as `to_prompt`, except
    for unknown nodes, which are findings."""
    prompt = converted(workflow, seed=0).prompt
    failed: list[str] = []
    running = folded(prompt, workflow.source, failed)
    originals = _originals(workflow)
    graphs = (workflow.graph, *workflow.subgraphs.values())
    notes = {
        each["name"]: each
        for graph in graphs
        for node in graph.nodes.values()
        for each in node.models
        if isinstance(each.get("name"), str)
    }
    models = tuple(model_files(running, notes))
    unread = {key: each.name for each in models if not each.model and each.folder != "loras" for key in each.nodes}
    uses: dict[str, list[str]] = {}
    for node in running.values():
        for name, value in node["inputs"].items():
            if is_link(value):
                uses.setdefault(value[0], []).append(name)
    nodes = tuple(
        _finding(key, node, originals.get(key.rpartition(":")[2]), uses.get(key, ()), unread.get(key))
        for key, node in running.items()
    )
    return Examined(workflow.source, prompt, running, nodes, models, (*failed, *wrong_values(running)))


def _originals(workflow: Workflow) -> dict[str, GraphNode]:
    graphs = (*workflow.subgraphs.values(), workflow.graph)
    return {key: node for graph in graphs for key, node in graph.nodes.items()}


def _finding(
    key: str, node: Mapping[str, Any], original: GraphNode | None, uses: Sequence[str], unread: str | None
) -> NodeFinding:
    """uses: the names of the inputs that it is linked to. unread: its model file, if no model of Kinema reads it."""
    kind, meta = node["class_type"], node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    declared = DECLARED.get(kind)
    state: State = "maps"
    if declared is None:
        state, becomes = "unknown", _supplier(meta, original)
    elif declared.missing:
        state, becomes = "lacks", f"needs {declared.missing}"
    elif unread is not None:
        state, becomes = "unread", f"no model of Kinema reads {for_terminal(unread, 120)}"
    else:
        becomes = _role(declared, uses)
    shown = for_terminal(title, 100) if isinstance(title, str) and title else declared.title if declared else kind
    return NodeFinding(key, for_terminal(kind, 100), shown, state, becomes)


def _role(declared: Declaration, uses: Sequence[str]) -> str:
    roles = dict.fromkeys(declared.roles[name] for name in uses if name in declared.roles)
    return " and ".join(roles) or declared.becomes


def _supplier(meta: Any, original: GraphNode | None) -> str:
    """Who supplies a node that Kinema does not know."""
    pack = meta.get("cnr_id") if isinstance(meta, dict) else None
    if pack is None and original is not None:
        pack = original.properties.get("cnr_id") or original.properties.get("aux_id")
    if not isinstance(pack, str) or not pack:
        return "the file does not say which node pack it is from"
    pack = for_terminal(pack, 80)
    return "a node of ComfyUI itself" if pack == "comfy-core" else f"from the node pack {pack}"


def _listed(ids: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(for_terminal(each, 60) for each in ids[:5])
    return f"node {shown}" + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
