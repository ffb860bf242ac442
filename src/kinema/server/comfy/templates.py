"""The templates of workflows that the interface offers: Kinema's own, and those of the packages
comfyui-workflow-templates-*, if they are installed; first those that run here.

The packages are MIT-licensed and separate programs' data: found, never imported.
"""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError
from ...core.outside import parse_json
from ...jobs.store import JobStore
from ...workflow.findings import Examined, examine
from ...workflow.formats.read import read_workflow
from ...workflow.nodes.table import DECLARED
from .files import type_of
from .names import NamedFiles

PACKAGES = (
    "comfyui_workflow_templates_json", "comfyui_workflow_templates_core", "comfyui_workflow_templates_media_video",
    "comfyui_workflow_templates_media_image", "comfyui_workflow_templates_media_other",
    "comfyui_workflow_templates_media_api", "comfyui_workflow_templates_media_assets_01",
    "comfyui_workflow_templates_media_assets_02",
)  # fmt: skip
BLUEPRINTS = "comfyui_subgraph_blueprints"
ENDINGS = (".json", ".webp", ".png", ".jpg", ".mp4", ".webm", ".svg")
OWN = "own_templates"
MAX_BYTES = 16 * 2**20
NOT_NODES = ("Note", "MarkdownNote", "Reroute", "PrimitiveNode")


def name_examples(store: JobStore) -> None:
    """Give the pictures of Kinema's templates to the input folder, as "examples/NAME"."""
    inputs = NamedFiles(store, "input")
    for path in sorted((Path(str(files(__package__))) / OWN / "inputs").iterdir()):
        if inputs.find(name := f"examples/{path.name}") is None:
            inputs.put(name, store.media.put(path, type_of(path.name)))


class Templates:
    """All templates, looked up once. Reading them takes a second, in the thread that asks first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, Path] | None = None
        self._indices: dict[str, bytes] = {}
        self._runs: list[str] | None = None

    def place(self, name: str) -> Path | None:
        """The file of a name; None if there is none."""
        return self._found().get(name)

    def is_picture_of(self, name: str) -> bool:
        """Whether a name, "NAME-1.webp", is that of a picture of a template."""
        stem, _, number = name.rpartition(".")[0].rpartition("-")
        return number.isdecimal() and f"{stem}.json" in self._found()

    def index(self, name: str) -> bytes:
        """An index file ("index.json", "index.de.json"): Kinema's templates first, then those of the packages that run
        here, then all."""
        with self._lock:
            if name not in self._indices:
                self._indices[name] = json.dumps(self._index(name)).encode()
            return self._indices[name]

    def subgraphs(self) -> dict[str, Any]:
        """The blueprints of subgraphs whose nodes are all declared, as /global_subgraphs lists them."""
        folder = _folder(BLUEPRINTS, "blueprints")
        found = {}
        for path in sorted(folder.glob("*.json")) if folder is not None else []:
            text = path.read_text("utf-8")
            if _kinds(text) <= DECLARED.keys():
                found[path.stem] = {
                    "source": "templates", "name": path.stem, "info": {"node_pack": "comfyui"}, "data": text,
                }  # fmt: skip
        return found

    def _found(self) -> dict[str, Path]:
        if self._places is None:
            folders = [Path(str(files(__package__))) / OWN]
            folders += [place for each in PACKAGES if (place := _folder(each, "templates")) is not None]
            self._places = {
                path.name: path
                for folder in reversed(folders)
                for path in (folder.iterdir() if folder.is_dir() else ())
                if path.suffix in ENDINGS
            }
        return self._places

    def _index(self, name: str) -> list[dict[str, Any]]:
        own: list[dict[str, Any]] = json.loads((Path(str(files(__package__))) / OWN / "kinema.json").read_text("utf-8"))
        place = self._found().get(name) or self._found().get("index.json")
        if place is None:
            return own
        theirs: list[dict[str, Any]] = parse_json(place.read_bytes(), str(place), list, max_bytes=MAX_BYTES)
        entries = {entry["name"]: entry for group in theirs for entry in group["templates"]}
        first = self._running(entries.values())
        own[0]["templates"] += [entries[each] for each in first]
        for group in theirs:  # the page shows what is in two groups twice
            group["templates"] = [entry for entry in group["templates"] if entry["name"] not in first]
        most = max((int(entry.get("usage") or 0) for entry in entries.values()), default=1)
        for number, entry in enumerate(own[0]["templates"]):  # the page sorts by these
            entry |= {"usage": round(most * (2 - number / 100)), "searchRank": 1000}
        return [*own, *theirs]

    def _running(self, entries: Iterable[dict[str, Any]]) -> list[str]:
        """The names of the templates for whose every node and model Kinema has a counterpart; first those whose models
        are here."""
        if self._runs is None:
            found: list[tuple[bool, str]] = []
            for entry in entries:
                place = self._found().get(f"{entry['name']}.json")
                if place is None or entry.get("openSource") is False or not _kinds(place.read_text("utf-8")):
                    continue
                if (work := _examined(place)) is not None and work.maps():
                    found.append((bool(work.missing()), entry["name"]))
            self._runs = [name for _, name in sorted(found)]
        return self._runs


def _examined(place: Path) -> Examined | None:
    """What a template is to Kinema; None if a node of it is not declared."""
    if not _kinds(place.read_text("utf-8")) <= DECLARED.keys():
        return None
    try:
        return examine(read_workflow(place))
    except KinemaError:
        return None


def _kinds(text: str) -> set[str]:
    """The classes of the nodes in a saved page and in its subgraphs."""
    page = json.loads(text)
    graphs = [page, *page.get("definitions", {}).get("subgraphs", [])]
    inside = {graph.get("id") for graph in graphs}
    return {node["type"] for graph in graphs for node in graph.get("nodes", ())} - inside - set(NOT_NODES)


def _folder(package: str, inside: str) -> Path | None:
    """A folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (folder := Path(place) / inside).is_dir():
            return folder
    return None
