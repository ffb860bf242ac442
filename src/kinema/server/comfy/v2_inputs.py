"""Inputs of a workflow that are assets, {"__type": "core/ASSET", "info": {"id", ...}}: names of files while it runs,
and references again when it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.outside import for_terminal
from .v2_errors import V2Refused

TYPE = "core/ASSET"
MOST_ASSETS, MAX_DEPTH = 200, 20


@dataclass(frozen=True)
class AssetFile:
    """The file of an asset. name: the last part of its path."""

    id: str
    sha256: str
    name: str


@dataclass
class NamedAssets:
    """find: the file of an id, None if there is none. files: the media by the names that the workflow has now.
    references: what stood in the place of a name."""

    find: Callable[[str], AssetFile | None]
    files: dict[str, str] = field(default_factory=dict)
    references: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """The name of each asset."""

    def named(self, workflow: Any) -> Any:
        """A copy of a workflow with names in the place of references. V2Refused: one of them is malformed or names no
        asset."""
        return _replaced(workflow, self._name, 0)

    def _name(self, reference: Mapping[str, Any]) -> str:
        info = reference.get("info")
        id = info.get("id") if isinstance(info, dict) else None
        if not isinstance(id, str):
            raise V2Refused(422, "missing_asset", "A reference to an asset has no info.id.")
        if id not in self.ids:
            found = self.find(id) if len(self.ids) < MOST_ASSETS else None
            if found is None:
                shown = for_terminal(id, 60)
                raise V2Refused(422, "missing_asset", f"There is no asset {shown}; upload it first.", {"id": shown})
            name = f"{found.sha256[:12]}/{found.name}"
            self.ids[id] = name
            self.files[name] = f"sha256:{found.sha256}"
            self.references[name] = dict(reference)
        return self.ids[id]


def is_reference(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type") == TYPE


def with_references(prompt: Any, references: Mapping[str, Any]) -> Any:
    """The nodes of a workflow as they were sent: references in the place of the names of assets."""
    return {
        key: {**node, "inputs": {
            name: references.get(value, value) if isinstance(value, str) else value
            for name, value in node["inputs"].items()
        }}
        for key, node in prompt.items()
    }  # fmt: skip


def _replaced(value: Any, name: Callable[[Mapping[str, Any]], str], depth: int) -> Any:
    if is_reference(value):
        return name(value)
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {key: _replaced(each, name, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, name, depth + 1) for each in value]
    return value
