"""ComfyUI's official templates (MIT, from the registry), the prompts that its page sends for some, and small graphs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest


def template_folder() -> Path:
    package = pytest.importorskip(
        "comfyui_workflow_templates_json", reason="the templates are not installed: pip install '.[test]'"
    )
    return Path(package.__file__).parent / "templates"


def templates() -> list[Path]:
    """The files of all workflows among the templates, by name."""
    files = (path for path in template_folder().glob("*.json") if not path.name.startswith(("index", "fuse_options")))
    return sorted(files, key=lambda path: path.name)


def golden_cases(data: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Workflow files, each with the API prompt that ComfyUI's page (1.58.1) posted for it."""
    folder = data / "workflows"
    if not (folder / "goldens.json").is_file():
        pytest.skip("shared/data/workflows with the page's prompts is not beside this checkout")
    return {
        name: (
            folder / f"{name[3:]}.json" if name.startswith("ex_") else template_folder() / f"{name}.json",
            prompt,
        )
        for name, prompt in _goldens(folder / "goldens.json").items()
    }


@cache
def _goldens(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def node(
    key: int,
    kind: str,
    *,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    values: Any = None,
    mode: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A node of a saved page. inputs: (name, type, link id or None[, widget]); outputs: (name, type)."""
    return {
        "id": key, "type": kind, "pos": [0, 0], "size": [200, 100], "mode": mode, "flags": {}, "order": 0,
        "inputs": [
            {"name": name, "type": type_, "link": link} | ({"widget": {"name": widget[0]}} if widget else {})
            for name, type_, link, *widget in inputs
        ],
        "outputs": [{"name": name, "type": type_, "links": []} for name, type_ in outputs],
        "properties": more.pop("properties", {}), "widgets_values": [] if values is None else values, **more,
    }  # fmt: skip


def page(
    nodes: list[dict[str, Any]], links: list[list[Any]], subgraphs: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A saved page in format 0.4. links: [id, origin, slot, target, slot, type]."""
    found: dict[str, Any] = {"nodes": nodes, "links": links, "groups": [], "config": {}, "extra": {}, "version": 0.4}
    return found | ({"definitions": {"subgraphs": list(subgraphs)}} if subgraphs else {})


def subgraph(
    key: str, nodes: list[dict[str, Any]], links: list[list[Any]], inputs: list[Any], outputs: list[Any]
) -> dict[str, Any]:
    """The definition of a subgraph. inputs, outputs: (name, type). links: as of a page; -10 and -20 are its borders."""
    return {
        "id": key, "version": 1, "name": key, "nodes": nodes, "links": as_objects(links),
        "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "inputs": [{"name": name, "type": type_} for name, type_ in inputs],
        "outputs": [{"name": name, "type": type_} for name, type_ in outputs],
    }  # fmt: skip


def as_objects(links: list[Any]) -> list[dict[str, Any]]:
    """Links of format 0.4 in format 1."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return [dict(zip(names, link, strict=True)) for link in links]
