"""The files that ComfyUI's interface saves: workflows, bookmarks and styles of one user, with limits.

Their names come percent-encoded in one part of the path ("workflows%2Fmine.json"), so the raw path is read.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.errors import RequestError
from ...http.refusal import refusal
from ...jobs.store import JobStore
from ..answers import answer
from .input_routes import YES
from .names import NamedFile, NamedFiles, legal

MAX_BYTES, MOST_FILES, MOST_BYTES = 32 * 2**20, 5_000, 2 * 2**30
EMPTY = {
    "user.css": b"", "comfy.templates.json": b"[]", "workflows/.index.json": b'{"favorites": []}',
}  # fmt: skip
"""Files that the interface reads at its start, before anybody has saved them."""


class UserdataRoutes:
    """store: the media."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.files = store, NamedFiles(store, "user")

    def routes(self) -> list[BaseRoute]:
        one = "/userdata/{file:path}"
        return [
            Route("/userdata", self.show_all), Route("/v2/userdata", self.show_tree), Route(one, self.show),
            Route(one, self.change, methods=["POST"]), Route(one, self.delete, methods=["DELETE"]),
        ]  # fmt: skip

    async def show_all(self, request: Request) -> Response:
        """Query: dir, recurse, full_info, split. The files of a folder; their names are relative to it."""
        query = request.query_params
        folder = query.get("dir", "").strip("/")
        if not folder:
            raise RequestError("The query has no dir.", field="dir", legal="the name of a folder")
        found = await run_in_threadpool(self.files.all, f"{folder}/")
        rows = [(file.name.removeprefix(f"{folder}/"), file) for file in found]
        if query.get("recurse", "").lower() not in YES:
            rows = [(name, file) for name, file in rows if "/" not in name]
        if query.get("full_info", "").lower() in YES:
            return answer([_facts(file, name) for name, file in rows])
        if query.get("split", "").lower() in YES:
            return answer([[name, *name.split("/")] for name, _ in rows])
        return answer([name for name, _ in rows])

    async def show_tree(self, request: Request) -> Response:
        """Query: path. The files and folders of a folder."""
        folder = request.query_params.get("path", "").strip("/")
        under = f"{folder}/" if folder else ""
        found = await run_in_threadpool(self.files.all, under)
        rows: dict[str, dict[str, Any]] = {}
        for file in found:
            name, slash, _ = file.name.removeprefix(under).partition("/")
            facts = {} if slash else {"size": file.bytes, "modified": round(file.changed_at * 1000)}
            rows[name] = {"name": name, "path": under + name, "type": "directory" if slash else "file"} | facts
        return answer(list(rows.values()))

    async def show(self, request: Request) -> Response:
        """The content of a file."""
        (name,) = _names(request)
        found = await run_in_threadpool(self.files.find, name)
        if found is None and name in EMPTY:
            return Response(EMPTY[name], media_type=_type(name))
        if found is None:
            return refusal(404, "No such file.")
        data = await run_in_threadpool(lambda: self.store.media.path(found.sha256).read_bytes())
        return Response(data, media_type=_type(name))

    async def change(self, request: Request) -> Response:
        """Save the body as a file, or with a path .../move/NAME rename one. Query: overwrite (true), full_info. 409: it
        exists."""
        names = _names(request)
        query = request.query_params
        overwrite = query.get("overwrite", "true").lower() in YES
        if len(names) == 2:
            found = await run_in_threadpool(lambda: self.files.move(names[0], names[1], overwrite=overwrite))
        else:
            data = await _body(request)
            if isinstance(data, Response):
                return data
            found = await run_in_threadpool(self._save, names[0], data, overwrite)
        if found is None:
            return refusal(409, "The file exists already.")
        return answer(_facts(found, found.name) if query.get("full_info", "").lower() in YES else found.name)

    async def delete(self, request: Request) -> Response:
        (name,) = _names(request)
        if not await run_in_threadpool(self.files.delete, name):
            return refusal(404, "No such file.")
        return Response(status_code=204)

    def _save(self, name: str, data: bytes, overwrite: bool) -> NamedFile | None:
        count, total = self.files.total()
        before = self.files.find(name)
        if before is not None and not overwrite:
            return None
        if count >= MOST_FILES or total + len(data) > MOST_BYTES:
            raise RequestError(f"{count:,} files with {total:,} bytes are saved.", field="file",
                               legal=f"{MOST_FILES:,} files, {MOST_BYTES:,} bytes")  # fmt: skip
        return self.files.put(name, self.store.media.put(data, "application/octet-stream"), overwrite=overwrite)


def _names(request: Request) -> list[str]:
    """The name in the path, or two for a move. RequestError: an illegal name."""
    raw = (request.scope.get("raw_path") or request.scope["path"].encode()).decode("latin-1").partition("?")[0]
    rest = raw.partition("/userdata/")[2]
    file, move, target = rest.partition("/move/") if request.method == "POST" else (rest, "", "")
    return [legal(unquote(each)) for each in ((file, target) if move else (file,))]


async def _body(request: Request) -> bytes | Response:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BYTES:
            return refusal(413, f"A file has at most {MAX_BYTES:,} bytes.", {"connection": "close"})
    return bytes(data)


def _facts(file: NamedFile, path: str) -> dict[str, Any]:
    return {"path": path, "size": file.bytes, "modified": round(file.changed_at * 1000),
            "created": round(file.created_at * 1000)}  # fmt: skip


def _type(name: str) -> str:
    """What a browser may take a file for: nothing that runs."""
    endings = {"json": "application/json", "css": "text/css"}
    return endings.get(name.rpartition(".")[2].lower(), "application/octet-stream")
