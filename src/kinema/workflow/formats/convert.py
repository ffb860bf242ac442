"""A workflow as the API prompt that ComfyUI's page would send for it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ..nodes.declaration import Declaration
from ..nodes.table import DECLARED
from .api import in_order, is_link, wrapped
from .expand import MAX_INPUTS, Absent, Literal, NodeOutput, Place, expand, exposed, follow
from .graph import ONLY_DRAWN, RUN, Graph, GraphNode, Workflow
from .texts import chosen, file_name
from .widgets import values_of

Prompt = dict[str, dict[str, Any]]
MAX_TEXT_CHARS = 1_000_000
"""Of all texts, with subgraphs expanded."""


@dataclass(frozen=True, slots=True)
class Converted:
    """prompt: the API prompt. unnamed: ids of its nodes of undeclared classes whose file does not name their values;
    their inputs in the prompt are incomplete."""

    prompt: Prompt
    unnamed: tuple[str, ...] = ()


def to_prompt(workflow: Workflow, seed: int | None = None, now: datetime | None = None) -> Prompt:
    """Return the API prompt of a workflow. seed: of the choices in texts, as {day|night}; None: new ones each time.
    now: for dates in file names; None: the present.

    RequestError: nodes whose values have no names, all at once; cycles; subgraphs that expand to too much.
    """
    found = converted(workflow, seed, now)
    if found.unnamed:
        kinds = sorted({found.prompt[key]["class_type"] for key in found.unnamed})
        names = ", ".join(for_terminal(kind, 60) for kind in kinds[:20])
        raise RequestError(
            f"{workflow.source}: unknown nodes, whose values have no names in the file: {names}"
            f"{' and more' if len(kinds) > 20 else ''}.", field="workflow",
            legal="these nodes without values, or the workflow in API form (in ComfyUI: Export (API))",
        )  # fmt: skip
    return found.prompt


def converted(workflow: Workflow, seed: int | None = None, now: datetime | None = None) -> Converted:
    """As `to_prompt`, with the nodes that have no complete values named instead of refused."""
    if workflow.prompt is not None:
        return Converted({key: dict(node) for key, node in workflow.prompt.items()})
    rng, when = random.Random(seed), now or datetime.now()
    prompt: Prompt = {}
    unnamed: list[str] = []
    num_inputs = num_chars = 0
    widget = _Widgets(workflow.graph)
    for place in expand(workflow):
        shown = {(node, widget): value for node, widget, value in exposed(place.host)} if place.host else {}
        for node in place.graph.nodes.values():
            if node.mode != RUN or node.type in ONLY_DRAWN or node.id in place.inner:
                continue
            declared = DECLARED.get(node.type)
            values = values_of(node, declared)
            if values is None:
                unnamed.append(place.prefix + node.id)
            inputs = _inputs(place, node, values or {}, shown)
            num_inputs += len(inputs)
            if num_inputs > MAX_INPUTS:
                raise RequestError(f"{workflow.source}: its nodes have too many inputs.", field="workflow",
                                   legal=f"at most {MAX_INPUTS:,}")  # fmt: skip
            if declared is not None:
                num_chars += _settle_texts(inputs, declared, widget, rng, when)
            if num_chars > MAX_TEXT_CHARS:
                raise RequestError(f"{workflow.source}: its prompts are too long.", field="workflow",
                                   legal=f"at most {MAX_TEXT_CHARS:,} characters in all")  # fmt: skip
            prompt[place.prefix + node.id] = {
                "inputs": inputs, "class_type": node.type, "_meta": _meta(node, declared),
            }  # fmt: skip
    for each in prompt.values():
        lost = [name for name, value in each["inputs"].items() if is_link(value) and value[0] not in prompt]
        for name in lost:
            del each["inputs"][name]
    in_order(prompt, workflow.source)
    return Converted(prompt, tuple(unnamed))


def _inputs(
    place: Place, node: GraphNode, values: Mapping[str, Any], shown: Mapping[tuple[str, str], Any]
) -> dict[str, Any]:
    """The inputs of a node: its widgets' values, replaced where a link or the host of a subgraph supplies them."""
    found = {name: wrapped(shown.get((node.id, name), value)) for name, value in values.items()}
    for each in node.inputs:
        if each.link is None:
            continue
        end = follow(place, node, each)
        if isinstance(end, NodeOutput):
            found[each.name] = [end.id, end.slot]
        elif isinstance(end, Literal):
            found[each.name] = wrapped(end.value)
        elif end is Absent:
            found.pop(each.name, None)
    return found


def _settle_texts(
    inputs: dict[str, Any], declared: Declaration, widget: _Widgets, rng: random.Random, when: datetime
) -> int:
    """Make the choices in texts and fill in the names of files, which the page does before it sends a prompt. Returns
    the number of characters read."""
    count = 0
    for each in declared.inputs:
        value = inputs.get(each.name)
        count += len(value) if isinstance(value, str) else 0
        if each.prompts and isinstance(value, str):
            inputs[each.name] = chosen(value, rng)
        elif declared.result and each.name == "filename_prefix" and isinstance(value, str):
            inputs[each.name] = file_name(value, when, widget)
    return count


class _Widgets:
    """The values of widgets by the title or class of their node, which only one node of the page may have."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: dict[str, list[GraphNode]] = {}
        self.values: dict[str, dict[str, Any]] = {}
        for node in graph.nodes.values():
            for title in {node.title, node.type}:
                self.nodes.setdefault(title, []).append(node)

    def __call__(self, title: str, name: str) -> Any:
        nodes = self.nodes.get(title, [])
        if len(nodes) != 1:
            return None
        if title not in self.values:
            self.values[title] = values_of(nodes[0], DECLARED.get(nodes[0].type)) or {}
        return self.values[title].get(name)


def _meta(node: GraphNode, declared: Declaration | None) -> dict[str, str]:
    found = {"title": node.title or (node.type if declared is None else declared.title)}
    for key in ("cnr_id", "ver"):
        if isinstance(node.properties.get(key), str):
            found[key] = node.properties[key]
    return found
