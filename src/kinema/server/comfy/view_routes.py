"""GET /view: pictures, clips and results by their names; and the lists of names."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ...http.refusal import refusal
from ...jobs.store import JobStore
from ..answers import answer
from .files import shown
from .names import NamedFiles, joined
from .outputs import ResultName, ResultNames, safe_name

FOLDERS = ("input", "output", "temp")


class ViewRoutes:
    """store: the media, under the names of uploads and of results."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.results, self.inputs = store, ResultNames(store.database), NamedFiles(store, "input")

    def routes(self) -> list[BaseRoute]:
        return [Route("/view", self.view), Route("/internal/files/{folder}", self.names)]

    async def view(self, request: Request) -> Response:
        """Query: filename, subfolder, type (output), preview, channel. Ranges are supported."""
        query = request.query_params
        folder = query.get("type") or "output"
        name, folder = _annotated(joined(query.get("subfolder", ""), query.get("filename", "")), folder)
        _check(folder)
        media = await run_in_threadpool(self._find, folder, name)
        if media is None:
            return refusal(404, f"No {folder} file {for_terminal(name, 100)!r}.")
        return await shown(request, self.store, media.removeprefix("sha256:"), name)

    def media_of(self, name: str) -> str | None:
        """The media, "sha256:<hex>", of a name that a node holds, "photo.png" or "video/a.mp4 [output]"; None if there
        is none."""
        plain, folder = _annotated(name.replace("\\", "/"), "input")
        return self._find(folder, plain)

    def _find(self, folder: str, name: str) -> str | None:
        if folder == "input":
            found = self.inputs.find(name)
            return None if found is None else f"sha256:{found.sha256}"
        try:
            return self.results.find(ResultName(folder, safe_name(name)))
        except RequestError:
            return None

    async def names(self, request: Request) -> Response:
        """The names of a folder."""
        folder = request.path_params["folder"]
        _check(folder)
        if folder == "input":
            return answer([file.name for file in await run_in_threadpool(self.inputs.all)])
        return answer([f"{name} [{folder}]" for name in await run_in_threadpool(self.results.names, folder)])


def _annotated(name: str, folder: str) -> tuple[str, str]:
    """Name and folder of "a.png [input]"."""
    for each in FOLDERS:
        if name.endswith(f" [{each}]"):
            return name.removesuffix(f" [{each}]"), each
    return name, folder


def _check(folder: str) -> None:
    """RequestError: no such folder."""
    if folder not in FOLDERS:
        shown = for_terminal(folder, 40)
        raise RequestError(f"type = {shown!r}.", field="type", value=shown, legal=", ".join(FOLDERS))
