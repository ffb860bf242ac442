"""What ComfyUI's page asks for under /object_info: every node with its inputs, types, ranges and choices.

https://docs.comfy.org/custom-nodes/backend/datatypes and what the page 1.58.1 reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...workflow.nodes import shown
from ...workflow.nodes.declaration import Declaration, DeclaredInput
from ...workflow.nodes.model_files import INPUT

PICTURES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif")
CLIPS = ("mp4", "webm", "mov", "mkv", "avi", "m4v", "gif", "webp", "png")
Files = Mapping[str, Collection[str]]
"""By folder ("input", "checkpoints", ...), the names that a node can choose."""


def object_info(declared: Mapping[str, Declaration], files: Files) -> dict[str, Any]:
    """All nodes, by class."""
    return {name: node_info(each, files) for name, each in declared.items()}


def node_info(node: Declaration, files: Files) -> dict[str, Any]:
    """One node."""
    required, optional = _inputs(node, node.inputs, files)
    names = shown.output_names(node)
    return {
        "input": {"required": required, **({"optional": optional} if optional else {})},
        "input_order": {"required": list(required), **({"optional": list(optional)} if optional else {})},
        "output": [_output(node, index, kind) for index, kind in enumerate(node.outputs)],
        "output_is_list": [False] * len(node.outputs),
        "output_name": list(names),
        "name": node.name, "display_name": node.title, "description": shown.about(node), "python_module": "nodes",
        "category": shown.category(node), "output_node": node.result,
        **({"output_matchtypes": [_TEMPLATE, *[None] * (len(node.outputs) - 1)]} if node.name in shown.MATCHED else {}),
        **({"experimental": True} if node.missing else {}),
    }  # fmt: skip


_TEMPLATE = "same"
_WITH_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "BOUNDING_BOX"}
"""Types for which the page draws a widget, unless an input is said to be a socket."""


def _output(node: Declaration, index: int, kind: str) -> str:
    return "COMFY_MATCHTYPE_V3" if index == 0 and node.name in shown.MATCHED else kind


def _inputs(
    node: Declaration, inputs: Collection[DeclaredInput], files: Files
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The specifications of inputs by name: the required ones, the optional ones."""
    found = {each.name: (_spec(node, each, files), each.optional) for each in inputs}
    return (
        {name: spec for name, (spec, is_optional) in found.items() if not is_optional},
        {name: spec for name, (spec, is_optional) in found.items() if is_optional},
    )


def _spec(node: Declaration, each: DeclaredInput, files: Files) -> list[Any]:
    options: dict[str, Any] = {}
    if text := shown.tooltip(each):
        options["tooltip"] = text
    if each.grows:
        return ["COMFY_AUTOGROW_V3", options | {"template": _grown(node, each)}]
    if not each.widget:
        if each.name in shown.MATCHED.get(node.name, ()):
            template = {"template_id": _TEMPLATE, "allowed_types": each.type}
            return ["COMFY_MATCHTYPE_V3", options | {"template": template}]
        return [each.type, options | ({"forceInput": True} if _WITH_WIDGETS & set(each.type.split(",")) else {})]
    if each.children:
        return ["COMFY_DYNAMICCOMBO_V3", options | {"options": [
            {"key": key, "inputs": _children(node, inputs, files)} for key, inputs in each.children.items()
        ]}]  # fmt: skip
    if each.type == "COMBO":
        return ["COMBO", options | _choice(node, each, files)]
    if each.default is not None:
        options["default"] = each.default
    return [each.type, options | _bounds(node, each)]


def _children(node: Declaration, inputs: Collection[DeclaredInput], files: Files) -> dict[str, Any]:
    required, optional = _inputs(node, inputs, files)
    return {"required": required, **({"optional": optional} if optional else {})}


def _grown(node: Declaration, each: DeclaredInput) -> dict[str, Any]:
    how = dict(shown.GROWN.get(f"{node.name}.{each.name}", {"prefix": each.name, "min": 1, "max": 50}))
    return {"input": {"required": {how.get("prefix", "value"): [each.type, {}]}}, **how}


def _choice(node: Declaration, each: DeclaredInput, files: Files) -> dict[str, Any]:
    if each.folder == INPUT:
        endings = CLIPS if each.name == "file" else PICTURES
        names = [name for name in files.get(INPUT, ()) if name.rpartition(".")[2].lower() in endings]
        return {"options": names, ("video_upload" if each.name == "file" else "image_upload"): True}
    if each.folder:
        return {"options": list(files.get(each.folder, ()))}
    choices = each.options or shown.OPEN.get(f"{node.name}.{each.name}", (each.default,))
    return {
        "options": list(choices), "default": each.default,
        **({"control_after_generate": True} if each.extra else {}),
    }  # fmt: skip


def _bounds(node: Declaration, each: DeclaredInput) -> dict[str, Any]:
    if each.type not in ("INT", "FLOAT"):
        lines = {"multiline": True} if f"{node.name}.{each.name}" in shown.MANY_LINES else {}
        return lines | ({"dynamicPrompts": True} if each.prompts else {})
    found: dict[str, Any] = {}
    if each.low is not None:
        found["min"] = each.low
    if each.high is not None:
        found["max"] = each.high
    step = shown.step(node, each)
    if step is not None and (each.type == "FLOAT" or float(step).is_integer()):
        found["step"] = int(step) if each.type == "INT" else step
    if each.type == "FLOAT":
        found.setdefault("step", 0.01)
    return found | ({"control_after_generate": True} if each.extra else {})
