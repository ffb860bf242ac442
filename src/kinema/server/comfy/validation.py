"""The answer to a submitted prompt: which of its outputs can run, and the errors of each node in ComfyUI's form.

Only the ancestors of outputs are checked: their links and values all of them, and of those that will run (a switch
leaves one side) also whether Kinema does what they do, and whether their models and input files are here. An output
whose ancestors are sound runs, whatever is wrong with others. Nothing is read but names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ...workflow.findings import Examined, examine
from ...workflow.formats.api import in_order, is_link, parse_api
from ...workflow.formats.ui import MAX_NODES
from ...workflow.nodes.declaration import DeclaredInput
from ...workflow.nodes.model_files import INPUT, plain_name
from ...workflow.nodes.table import DECLARED
from .value_errors import fits, node_error, shown_value, typed_value

SOURCE = "the prompt"
MOST_TRACED = 50
"""Nodes with errors whose dependent outputs are listed."""
FindInput = Callable[[str], str | None]
"""The media of a file in the input folder, by its name; None if there is none."""


class PromptRefused(Exception):
    """The prompt as a whole is not legal. type: of ComfyUI's list."""

    def __init__(self, type_: str, message: str, details: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.type, self.message, self.details, self.extra = type_, message, details, extra
        self.node_errors: dict[str, Any] = {}

    def to_dict(self) -> dict[str, Any]:
        """The body of the response."""
        error = {"type": self.type, "message": self.message, "details": self.details, "extra_info": self.extra}
        return {"error": error, "node_errors": self.node_errors}


@dataclass(frozen=True)
class CheckedPrompt:
    """prompt: the nodes that outputs need, values in their declared types. outputs: the nodes that run to the end.
    files: the media of input files, by their names in the prompt. node_errors: of the outputs that do not run."""

    prompt: dict[str, dict[str, Any]]
    outputs: list[str]
    files: dict[str, str]
    node_errors: dict[str, Any]


@dataclass
class _Nodes:
    """The nodes of a prompt that are checked. users: of each node. errors: found so far."""

    prompt: dict[str, dict[str, Any]]
    needed: list[str]
    users: dict[str, list[str]]
    errors: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, node: str, type_: str, message: str, details: str, **extra: Any) -> None:
        self.errors.setdefault(node, []).append(node_error(type_, message, details, **extra))

    def sound(self, outputs: Collection[str]) -> list[str]:
        """The outputs none of whose ancestors has an error."""
        bad = self._below(self.errors)
        return [each for each in outputs if each not in bad]

    def report(self, outputs: Collection[str]) -> dict[str, Any]:
        """The errors in ComfyUI's form."""
        found: dict[str, Any] = {}
        for number, (node, errors) in enumerate(self.errors.items()):
            below = self._below([node]) if number < MOST_TRACED else set()
            found[node] = {"errors": errors, "dependent_outputs": [each for each in outputs if each in below],
                           "class_type": self.prompt[node]["class_type"]}  # fmt: skip
        return found

    def _below(self, nodes: Collection[str]) -> set[str]:
        found, waiting = set(nodes), [*nodes]
        while waiting:
            for user in self.users.get(waiting.pop(), ()):
                if user not in found:
                    found.add(user)
                    waiting.append(user)
        return found


def checked_prompt(
    value: Any, find_input: FindInput, *, targets: Collection[str] | None = None, models: Collection[str] = (),
    chosen: Mapping[str, str] | None = None,
) -> CheckedPrompt:  # fmt: skip
    """Check a prompt. targets: outputs to run; None is all. models: the ids that clients may use; empty: all. chosen:
    by the name of a model file, the model to use for it.

    PromptRefused: it is no prompt, has unknown nodes or a cycle, or none of its outputs can run."""
    prompt = _nodes_of(value)
    outputs = [key for key, node in prompt.items() if DECLARED[node["class_type"]].result]
    if targets is not None:
        outputs = [key for key in outputs if key in set(targets)]
    if not outputs:
        raise PromptRefused("prompt_no_outputs", "The prompt has no output: no node of it writes or shows a result.")
    nodes = _needed(prompt, outputs)
    for key in nodes.needed:
        _check_node(nodes, key)
    good = nodes.sound(outputs)
    files: dict[str, str] = {}
    if good:
        try:
            files = _check_running(nodes, good, find_input, models, chosen or {})
        except RequestError as error:
            raise PromptRefused("invalid_prompt", "The prompt cannot be run.", str(error)) from None
        good = nodes.sound(outputs)
    errors = nodes.report(outputs)
    if not good:
        details = "\n".join(
            f"{each['class_type']} {key}: {error['details'] or error['message']}"
            for key, each in list(errors.items())[:20] for error in each["errors"]
        )  # fmt: skip
        refused = PromptRefused("prompt_outputs_failed_validation", "No output of the prompt can run.", details)
        refused.node_errors = errors
        raise refused
    kept = set(_needed(prompt, good).needed)
    return CheckedPrompt({key: node for key, node in prompt.items() if key in kept}, good, files, errors)


def _nodes_of(value: Any) -> dict[str, dict[str, Any]]:
    """The nodes, each with a class that Kinema declares and a copy of its inputs."""
    if value is None:
        raise PromptRefused("no_prompt", "The request has no prompt.")
    if not isinstance(value, dict):
        raise PromptRefused("invalid_prompt", "The prompt is not an object of nodes by id.")
    if len(value) > MAX_NODES:
        raise PromptRefused("invalid_prompt", f"The prompt has {len(value):,} nodes.", f"At most {MAX_NODES:,}.")
    prompt: dict[str, dict[str, Any]] = {}
    unknown: dict[str, str] = {}
    for key, node in value.items():
        kind = node.get("class_type") if isinstance(node, dict) else None
        inputs = node.get("inputs", {}) if isinstance(node, dict) else None
        shown = for_terminal(key, 60)
        if not isinstance(kind, str):
            raise PromptRefused("missing_node_type", f"Node {shown} has no class.", shown, node_id=key)
        if not isinstance(inputs, dict):
            raise PromptRefused("invalid_prompt", f"The inputs of node {shown} are no object.", shown, node_id=key)
        if kind not in DECLARED:
            unknown[key] = kind
        prompt[key] = {**node, "inputs": dict(inputs)}
    if unknown:
        names = ", ".join(sorted({for_terminal(kind, 60) for kind in unknown.values()})[:50])
        key, kind = next(iter(unknown.items()))
        meta = prompt[key].get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else None
        refused = PromptRefused("missing_node_type", f"Kinema does not know these nodes: {names}.",
                                f"node {for_terminal(key, 60)}", node_id=key, class_type=for_terminal(kind, 100),
                                node_title=title if isinstance(title, str) else kind)  # fmt: skip
        refused.node_errors = {
            key: {"errors": [_unknown(kind)], "dependent_outputs": [], "class_type": for_terminal(kind, 100)}
            for key, kind in list(unknown.items())[:MOST_TRACED]
        }
        raise refused
    return prompt


def _unknown(kind: str) -> dict[str, Any]:
    shown = for_terminal(kind, 100)
    return node_error("missing_node_type", f"Kinema does not know {shown}.", shown)


def _needed(prompt: dict[str, dict[str, Any]], outputs: Collection[str]) -> _Nodes:
    """The outputs and their ancestors."""
    needed, waiting, users = dict.fromkeys(outputs), [*outputs], dict[str, list[str]]()
    while waiting:
        key = waiting.pop()
        for value in prompt[key]["inputs"].values():
            if is_link(value) and value[0] in prompt:
                users.setdefault(value[0], []).append(key)
                if value[0] not in needed:
                    needed[value[0]] = None
                    waiting.append(value[0])
    return _Nodes(prompt, list(needed), users)


def _check_node(nodes: _Nodes, key: str) -> None:
    """Check links and values of a node; values get their declared types."""
    node = nodes.prompt[key]
    declared = DECLARED[node["class_type"]]
    for each in declared.inputs_of(node["inputs"]):
        value = node["inputs"].get(each.name)
        if each.grows:
            continue
        if is_link(value):
            _check_link(nodes, key, each, value)
        elif each.name not in node["inputs"]:
            if not each.optional and (not each.widget or each.folder):
                nodes.add(key, "required_input_missing", "A required input is missing.", each.name,
                          input_name=each.name)  # fmt: skip
        elif each.widget:
            plain, error = typed_value(each, value)
            if error is None:
                node["inputs"][each.name] = plain
            else:
                nodes.errors.setdefault(key, []).append(error)
        elif isinstance(value, list):
            nodes.add(key, "bad_linked_input", "The link of an input is not [node, output].", each.name,
                      input_name=each.name, received_value=shown_value(value))  # fmt: skip
    for name, value in node["inputs"].items():  # sockets that grow, and those that Kinema does not declare
        if is_link(value) and value[0] not in nodes.prompt:
            _bad_link(nodes, key, name, value)


def _check_link(nodes: _Nodes, key: str, each: DeclaredInput, value: Any) -> None:
    origin, slot = value
    if origin not in nodes.prompt:
        return  # named below, with all other links
    outputs = DECLARED[nodes.prompt[origin]["class_type"]].outputs
    if not 0 <= slot < len(outputs):
        _bad_link(nodes, key, each.name, value)
    elif not fits(outputs[slot], each.type):
        nodes.add(key, "return_type_mismatch", "The linked output has another type than the input.",
                  f"{each.name}: {outputs[slot]} is linked, {each.type} is needed", input_name=each.name,
                  input_config=[each.type, {}], received_type=outputs[slot], linked_node=list(value))  # fmt: skip


def _bad_link(nodes: _Nodes, key: str, name: str, value: Any) -> None:
    shown = for_terminal(name, 60)
    nodes.add(key, "bad_linked_input", "An input is linked to an output that does not exist.",
              f"{shown}: {shown_value(value)}", input_name=shown, received_value=shown_value(value))  # fmt: skip


def _check_running(
    nodes: _Nodes, good: Collection[str], find_input: FindInput, models: Collection[str], chosen: Mapping[str, str]
) -> dict[str, str]:  # fmt: skip
    """Check what the sound outputs need to run; return the media of their input files. RequestError: a cycle, or a
    value node without a value."""
    kept = set(_needed(nodes.prompt, good).needed)
    pruned = {key: node for key, node in nodes.prompt.items() if key in kept}
    in_order(pruned, SOURCE)
    work = examine(parse_api(pruned, SOURCE))
    plain = {plain_name(name) for name in chosen}
    _check_nodes(nodes, work)
    for each in work.models:
        allowed = not models or not each.model or each.part or each.model in models
        if (each.here and allowed) or each.part or plain_name(each.name) in plain:
            continue
        supply = each.supply if allowed else "clients may not use this model"
        for key in each.nodes:
            inputs = nodes.prompt[key]["inputs"]
            name = next((name for name, value in inputs.items() if value == each.name), "")
            nodes.add(key, "value_not_in_list", "The model file is not here.",
                      f"{name}: {for_terminal(each.name, 120)}: {supply}", input_name=name, input_config=[[], {}],
                      received_value=for_terminal(each.name, 200))  # fmt: skip
    files: dict[str, str] = {}
    for key, node in work.running.items():
        for input in DECLARED[node["class_type"]].inputs:
            name = node["inputs"].get(input.name)
            if input.folder != INPUT or not isinstance(name, str):
                continue
            media = files.get(name) or find_input(name)
            if media is None:
                shown = for_terminal(name, 200)
                nodes.add(key, "custom_validation_failed", "The input file is not here.",
                          f"{input.name}: {shown} was not uploaded", input_name=input.name,
                          received_value=shown)  # fmt: skip
            else:
                files[name] = media
    return files


def _check_nodes(nodes: _Nodes, work: Examined) -> None:
    for found in work.nodes:
        if found.state == "lacks":
            nodes.add(found.id, "custom_validation_failed", "Kinema lacks what this node does.", found.becomes)
    for line in work.wrong:
        key = next((key for key in nodes.needed if f"node {for_terminal(key, 60)} (" in line
                    or f"node {for_terminal(key, 60)}:" in line), None)  # fmt: skip
        if key is None:
            raise RequestError(line, field="workflow")
        if key not in nodes.errors:
            nodes.add(key, "exception_during_validation", "A value is not legal.", line)
