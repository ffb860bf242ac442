"""GET /view: pictures, clips and results by their names; and the lists of names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

Results = Callable[[str, str], str | None]
"""(folder, name) -> the media of a result, or None."""
ResultList = Callable[[str], Sequence[str]]
FOLDERS = ("input", "output", "temp")


class ViewRoutes:
    """results, listed: the names of results (outputs.py) in the folders output and temp."""

    def __init__(self, store: JobStore, results: Results, listed: ResultList) -> None:
        self.store, self.results, self.listed = store, results, listed
        self.inputs = NamedFiles(store, "input")

    def routes(self) -> list[BaseRoute]:
        return [Route("/view", self.view), Route("/internal/files/{folder}", self.names)]

    async def view(self, request: Request) -> Response:
        """Query: filename, subfolder, type (output), preview, channel. Ranges are supported."""
        query = request.query_params
        folder = query.get("type") or "output"
        name, folder = _annotated(joined(query.get("subfolder", ""), query.get("filename", "")), folder)
        _check(folder)
        if folder == "input":
            found = await run_in_threadpool(self.inputs.find, name)
            sha = None if found is None else found.sha256
        else:
            media = await run_in_threadpool(self.results, folder, name)
            sha = None if media is None else media.removeprefix("sha256:")
        if sha is None:
            return refusal(404, f"No {folder} file {for_terminal(name, 100)!r}.")
        return await shown(request, self.store, sha, name)

    async def names(self, request: Request) -> Response:
        """The names of a folder."""
        folder = request.path_params["folder"]
        _check(folder)
        if folder == "input":
            return answer([file.name for file in await run_in_threadpool(self.inputs.all)])
        return answer([f"{name} [{folder}]" for name in await run_in_threadpool(self.listed, folder)])


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
