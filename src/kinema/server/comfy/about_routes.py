"""What ComfyUI's interface asks about the server: nodes, models, templates, help, the system."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ... import __version__
from ...http.refusal import refusal
from ...jobs.store import JobStore
from ...workflow.nodes import shown
from ...workflow.nodes.model_names import model_names
from ...workflow.nodes.table import DECLARED
from ..answers import answer
from .names import NamedFiles
from .object_info import node_info, object_info
from .templates import Templates

FRONTEND = "1.58.1"
"""The version of comfyui-frontend-package that is tested."""
FEATURES: Mapping[str, Any] = {
    "supports_preview_metadata": True, "node_replacements": True, "assets": False,
    "extension": {"manager": {"supports_v4": False}},
}  # fmt: skip
ARGUMENTS = ("kinema", "serve", "--disable-api-nodes")
"""As the interface reads the command line: with the last one it asks no other site for news."""
_PLAIN = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="180"><defs><linearGradient id="a" x2="1" y2="1">'
    '<stop stop-color="#31415f"/><stop offset="1" stop-color="#22262e"/></linearGradient></defs>'
    '<path d="M0 0h320v180H0z" fill="url(#a)"/></svg>'
)
"""The picture of a template whose own is in a package that is not installed."""


class AboutRoutes:
    """store: the uploads, which nodes can choose. max_upload_bytes: of one."""

    def __init__(self, store: JobStore, max_upload_bytes: int) -> None:
        self.inputs, self.templates = NamedFiles(store, "input"), Templates()
        self.features = {**FEATURES, "max_upload_size": max_upload_bytes}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/features", _fixed(self.features)), Route("/system_stats", self.system),
            Route("/object_info", self.nodes), Route("/object_info/{name}", self.node),
            Route("/embeddings", _fixed([])), Route("/extensions", _fixed([])), Route("/i18n", _fixed({})),
            Route("/node_replacements", _fixed({})), Route("/workflow_templates", _fixed({})),
            Route("/global_subgraphs", self.subgraphs), Route("/global_subgraphs/{id}", self.subgraph),
            Route("/experiment/models", self.folders), Route("/experiment/models/{folder}", self.models),
            Route("/models", self.folder_names), Route("/models/{folder}", self.model_names),
            Route("/internal/logs/raw", _fixed({"entries": [], "size": {"cols": 80, "rows": 24}})),
            Route("/internal/logs/subscribe", _fixed({}), methods=["PATCH"]),
            Route("/internal/folder_paths", _fixed({})),
            Route("/templates/{name}", self.template), Route("/docs/{node}/{page}", self.help),
            Route("/user.css", lambda _: Response(b"", media_type="text/css")),
        ]  # fmt: skip

    async def nodes(self, _request: Request) -> Response:
        """All nodes, with the models and uploads that they can choose."""
        return answer(object_info(DECLARED, await run_in_threadpool(self._files)))

    async def node(self, request: Request) -> Response:
        """One node; {} for an unknown one, as ComfyUI answers."""
        declared = DECLARED.get(request.path_params["name"])
        if declared is None:
            return answer({})
        return answer({declared.name: node_info(declared, await run_in_threadpool(self._files))})

    async def system(self, _request: Request) -> Response:
        return answer(await run_in_threadpool(_system))

    async def subgraphs(self, _request: Request) -> Response:
        return answer(await run_in_threadpool(self.templates.subgraphs))

    async def subgraph(self, request: Request) -> Response:
        found = await run_in_threadpool(self.templates.subgraphs)
        return answer(found.get(request.path_params["id"], {}))

    async def folders(self, _request: Request) -> Response:
        """The folders of models, without places on this machine."""
        return answer([{"name": name, "folders": [name]} for name in await run_in_threadpool(model_names)])

    async def folder_names(self, _request: Request) -> Response:
        return answer(list(await run_in_threadpool(model_names)))

    async def models(self, request: Request) -> Response:
        names = (await run_in_threadpool(model_names)).get(request.path_params["folder"])
        if names is None:
            return refusal(404, "No such folder.")
        return answer([{"name": name, "pathIndex": 0} for name in names])

    async def model_names(self, request: Request) -> Response:
        names = (await run_in_threadpool(model_names)).get(request.path_params["folder"])
        return refusal(404, "No such folder.") if names is None else answer(list(names))

    async def template(self, request: Request) -> Response:
        """A template, a picture of it, or an index."""
        name = request.path_params["name"]
        if name.startswith("index.") and name.endswith(".json") and name != "index.schema.json":
            return Response(await run_in_threadpool(self.templates.index, name), media_type="application/json")
        place = await run_in_threadpool(self.templates.place, name)
        if place is None and self.templates.is_picture_of(name):
            return Response(_PLAIN, media_type="image/svg+xml", headers={"cache-control": "private, max-age=3600"})
        if place is None:
            return refusal(404, "No such template.")
        return FileResponse(place, headers={"cache-control": "private, max-age=3600"})

    async def help(self, request: Request) -> Response:
        """The help of a node, in English."""
        declared = DECLARED.get(request.path_params["node"])
        if declared is None or not request.path_params["page"].endswith(".md"):
            return refusal(404, "No such page.")
        return PlainTextResponse(shown.help_page(declared), media_type="text/markdown; charset=utf-8")

    def _files(self) -> dict[str, Any]:
        return {**model_names(), "input": [file.name for file in self.inputs.all()]}


def _fixed(value: Any) -> Any:
    async def show(_request: Request) -> Response:
        return answer(value)

    return show


def _system() -> dict[str, Any]:
    """The machine, without places on it. Memory in bytes; the devices of workers are theirs to know."""
    page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    total = page * os.sysconf("SC_PHYS_PAGES") if page else 0
    free = page * os.sysconf("SC_AVPHYS_PAGES") if page and "SC_AVPHYS_PAGES" in os.sysconf_names else 0
    return {
        "system": {
            "os": platform.system().lower(), "ram_total": total, "ram_free": free,
            "comfyui_version": f"Kinema {__version__}", "required_frontend_version": FRONTEND,
            "installed_templates_version": _version("comfyui-workflow-templates-core"),
            "required_templates_version": _version("comfyui-workflow-templates-core"), "comfy_package_versions": [],
            "python_version": sys.version, "pytorch_version": _version("torch"), "embedded_python": False,
            "deploy_environment": "local", "argv": list(ARGUMENTS),
        },
        "devices": [{
            "name": platform.machine() or "cpu", "type": "cpu", "index": 0, "vram_total": total, "vram_free": free,
            "torch_vram_total": total, "torch_vram_free": free,
        }],
    }  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
