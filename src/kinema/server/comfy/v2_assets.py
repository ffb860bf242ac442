"""Assets of Comfy API v2: upload, refer to content that is here, show, download, delete. Results are assets too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ...http.json_body import json_body
from ...jobs.job import Media
from ...jobs.store import JobStore
from ..forms import form_fields
from ..job_routes import known
from ..media_types import headers_of
from .assets import DEFAULT_NAME, HASH, Asset, Assets, blake3_of, safe_name
from .prompts import PromptRecord, Prompts, prompt_id
from .v2_errors import V2Refused, enveloped, in_envelope
from .v2_inputs import AssetFile
from .v2_jobs import API, JobsShown, asset_of, result_asset
from .v2_results import ResultFile, job_of_output

FORM = ("file", "content_type", "file_path", "expected_hash", "tags")
MAX_JSON_BYTES = 64 * 2**10
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,40}/[a-z0-9][a-z0-9!#$&^_.+-]{0,50}")


class V2AssetRoutes:
    """store: the media. shown: the jobs, whose results are assets. max_bytes: of an upload."""

    def __init__(self, store: JobStore, shown: JobsShown, max_bytes: int) -> None:
        self.store, self.shown, self.max_bytes = store, shown, max_bytes
        self.assets, self.prompts = Assets(store), Prompts(store)

    def routes(self) -> list[BaseRoute]:
        one = f"{API}/assets/{{id}}"
        return [
            Route(f"{API}/assets", in_envelope(self.upload_asset), methods=["POST"]),
            Route(f"{API}/assets/from-hash", in_envelope(self.from_hash), methods=["POST"]),
            Route(f"{API}/assets/by-hash/{{hash}}", in_envelope(self.has_hash)),
            Route(one, in_envelope(self.show_asset)),
            Route(one, in_envelope(self.delete_asset), methods=["DELETE"]),
            Route(f"{one}/content", in_envelope(self.asset_content)),
        ]

    async def upload_asset(self, request: Request) -> Response:
        """Form: file, content_type, file_path, expected_hash (checked), tags (not kept). 201: the asset; 409: the
        content has another hash."""
        names: dict[str, str] = {}
        form = await form_fields(request, self.store.media, self.max_bytes, "file", names)
        if isinstance(form, Response):
            return enveloped(form)
        known(form, FORM)
        if "file" not in form:
            raise V2Refused(400, "invalid_request", "The form has no file.")
        expected = form.get("expected_hash")
        if expected is not None and HASH.fullmatch(expected) is None:
            raise V2Refused(400, "invalid_request", "expected_hash is not blake3: and 64 hexadecimal digits.")
        asset, is_new = await run_in_threadpool(self._stored, form, names.get("file") or DEFAULT_NAME)
        return JSONResponse(asset_of(asset, base_of(request), is_new), 201,
                            {"location": f"{API}/assets/{asset.id}"})  # fmt: skip

    def _stored(self, form: dict[str, Any], name: str) -> tuple[Asset, bool]:
        media: Media = self.store.media.find(form["file"])
        found = blake3_of(self.store.media.path(media.sha256))
        if (expected := form.get("expected_hash")) is not None and expected != found:
            raise V2Refused(
                409, "hash_mismatch", "The content has another hash.", {"expected": expected, "hash": found}
            )
        kind = str(form.get("content_type") or media.media_type).partition(";")[0].strip().lower()
        if _TYPE.fullmatch(kind) is None:
            kind = "application/octet-stream"
        return self.assets.add(media, found, form.get("file_path") or name, kind)

    async def from_hash(self, request: Request) -> Response:
        """Body: {"hash", "file_path", "tags"}. 201: another asset with the same content; 404: the content is not
        here."""
        data = await json_body(request, MAX_JSON_BYTES)
        if isinstance(data, Response):
            return enveloped(data)
        known(data, ("hash", "file_path", "tags"))
        hash, name = data.get("hash"), data.get("file_path")
        if not isinstance(hash, str) or HASH.fullmatch(hash) is None:
            raise V2Refused(400, "invalid_request", "hash is not blake3: and 64 hexadecimal digits.")
        if name is not None and not isinstance(name, str):
            raise V2Refused(400, "invalid_request", "file_path is not a text.")
        asset = await run_in_threadpool(self._minted, hash, name)
        return JSONResponse(asset_of(asset, base_of(request), False), 201, {"location": f"{API}/assets/{asset.id}"})

    def _minted(self, hash: str, name: str | None) -> Asset:
        like = self.assets.of_hash(hash)
        if like is None or not self.store.media.has(like.sha256):
            raise V2Refused(404, "blob_not_found", "No asset has this hash; upload it.")
        media = Media(like.sha256, like.bytes, like.media_type)
        return self.assets.add(media, hash, name or like.name, like.media_type)[0]

    async def has_hash(self, request: Request) -> Response:
        """HEAD or GET. 200: an asset has this content; 404."""
        hash = request.path_params["hash"]
        found = await run_in_threadpool(self.assets.of_hash, hash) if HASH.fullmatch(hash) else None
        if found is None or not await run_in_threadpool(self.store.media.has, found.sha256):
            raise V2Refused(404, "blob_not_found", "No asset has this hash.")
        return JSONResponse({"hash": hash})

    async def show_asset(self, request: Request) -> Response:
        found = await run_in_threadpool(self.find, request.path_params["id"])
        if isinstance(found, Asset):
            return JSONResponse(asset_of(found, base_of(request)))
        return JSONResponse(result_asset(*found, base_of(request)))

    async def delete_asset(self, request: Request) -> Response:
        """204. 409: a result, which is deleted with its job. A job that names the asset keeps its content."""
        found = await run_in_threadpool(self.find, request.path_params["id"])
        if not isinstance(found, Asset):
            raise V2Refused(409, "asset_in_use", f"It is a result of the job {found[1].id}, and is kept with it.")
        await run_in_threadpool(self.assets.delete, found.id)
        return Response(status_code=204)

    async def asset_content(self, request: Request) -> Response:
        """The file; ranges are supported."""
        found = await run_in_threadpool(self.find, request.path_params["id"])
        if isinstance(found, Asset):
            sha, kind, name = found.sha256, found.media_type, found.name
        else:
            file = found[0]
            sha, kind, name = file.media.sha256, file.media.media_type, file.name.to_dict()["filename"]
        path: Path = await run_in_threadpool(self.store.media.path, sha)
        facts = headers_of(kind, sha)
        return FileResponse(path, media_type=facts.media_type, headers=facts.headers, filename=name,
                            content_disposition_type=facts.disposition)  # fmt: skip

    def find(self, text: str) -> Asset | tuple[ResultFile, PromptRecord]:
        """An asset, or a result with its job. V2Refused: there is none."""
        id = prompt_id(text)
        found = None if id is None else self.assets.find(id) or self._result(id)
        if found is None:
            raise V2Refused(404, "not_found", "There is no such asset.")
        return found

    def _result(self, id: str) -> tuple[ResultFile, PromptRecord] | None:
        job = job_of_output(id)
        record = None if job is None else self.prompts.of_job(job)
        if record is None:
            return None
        outputs = {} if record.result else self.shown.count(record).outputs
        file = next((each for each in self.shown.results.of(record, outputs) if each.id == id), None)
        return None if file is None else (file, record)

    def file_of(self, id: str) -> AssetFile | None:
        """The file of an asset that a workflow names."""
        try:
            found = self.find(id)
        except V2Refused:
            return None
        sha, name = (found.sha256, found.name) if isinstance(found, Asset) else (
            found[0].media.sha256, found[0].name.to_dict()["filename"]
        )  # fmt: skip
        return AssetFile(id, sha, safe_name(name)) if self.store.media.has(sha) else None


def base_of(request: Request) -> str:
    """The address of this server as the client has it, without a slash at its end."""
    return str(request.base_url).rstrip("/")
