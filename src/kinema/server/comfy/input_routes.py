"""The input folder of ComfyUI's interface: uploads under names, and masks that are drawn on a picture."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.errors import MediaError, RequestError
from ...core.outside import for_terminal, parse_json
from ...http.refusal import refusal
from ...jobs.job import Media, sha_of
from ...jobs.store import JobStore
from ...media.open import open_picture
from ..answers import answer
from ..forms import form_fields
from .files import check_upload
from .names import NamedFile, NamedFiles, NoSuchFile, joined

YES = ("true", "1")
MOST_FILES, MOST_BYTES = 20_000, 10 * 2**30
"""Of all uploads together: the store keeps them until they are deleted."""
MAX_UPLOAD_BYTES = 512 * 2**20
"""Of one, since a form is written to a temporary file first."""


class InputRoutes:
    """store: the media. max_bytes: of an upload."""

    def __init__(self, store: JobStore, max_bytes: int) -> None:
        self.store, self.max_bytes = store, min(max_bytes, MAX_UPLOAD_BYTES)
        self.inputs = NamedFiles(store, "input")

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/upload/image", self.upload, methods=["POST"]),
            Route("/upload/mask", self.upload_mask, methods=["POST"]),
            Route("/internal/files/input/{name:path}", self.delete_input, methods=["DELETE"]),
        ]

    async def upload(self, request: Request) -> Response:
        """A form: image, the file; type (input), subfolder, overwrite. The same content under the same name is the same
        file; another content gets another name, unless overwrite is true."""
        form = await self._form(request)
        if isinstance(form, Response):
            return form
        fields, name = form
        return answer(_named(await run_in_threadpool(self._upload, fields, name)))

    async def upload_mask(self, request: Request) -> Response:
        """A form as for `upload`, and original_ref: JSON with the filename, subfolder and type of the picture that the
        mask was drawn on. The new file has the colours of that picture and the transparency of the mask."""
        form = await self._form(request)
        if isinstance(form, Response):
            return form
        fields, name = form
        return answer(_named(await run_in_threadpool(self._upload_mask, fields, name)))

    async def delete_input(self, request: Request) -> Response:
        """Forget an upload. Jobs that use it keep its content. (ComfyUI has no such route.)"""
        if not await run_in_threadpool(self.inputs.delete, request.path_params["name"]):
            return refusal(404, "No such file.")
        return Response(status_code=204)

    async def _form(self, request: Request) -> tuple[dict[str, Any], str] | Response:
        """The fields, and the name of the file."""
        names: dict[str, str] = {}
        fields = await form_fields(request, self.store.media, self.max_bytes, "image", names)
        if isinstance(fields, Response):
            return fields
        if "image" not in names:
            return refusal(400, "The form has no file in its field image.")
        if fields.get("type", "input") not in ("input", "temp"):
            raise RequestError(f"type = {for_terminal(fields['type'], 40)!r}.", field="type",
                               value=str(fields["type"])[:40], legal="input")  # fmt: skip
        return fields, joined(str(fields.get("subfolder", "")), names["image"].replace("\\", "/").rpartition("/")[2])

    def _upload(self, fields: dict[str, Any], name: str) -> NamedFile:
        media = self.store.media.find(sha_of(fields["image"]))
        path = self.store.media.path(media.sha256)
        return self._put(replace(media, media_type=_checked(path, name)), name, fields)

    def _upload_mask(self, fields: dict[str, Any], name: str) -> NamedFile:
        reference = parse_json(str(fields.get("original_ref", "{}")), "original_ref", dict, error=RequestError,
                               max_bytes=10_000)  # fmt: skip
        whole = joined(str(reference.get("subfolder", "")), str(reference.get("filename", "")) or "-")
        original = self.inputs.find(whole)
        if original is None:
            raise NoSuchFile(f"No picture {for_terminal(whole, 100)!r}.", field="original_ref", value=whole[:100],
                             legal="an uploaded picture")  # fmt: skip
        mask = self.store.media.path(sha_of(fields["image"]))
        _checked(mask, name)
        data = _masked(self.store.media.path(original.sha256), mask)
        return self._put(self.store.media.put(data, "image/png"), name, fields)

    def _put(self, media: Media, name: str, fields: dict[str, Any]) -> NamedFile:
        count, total = self.inputs.total()
        if count >= MOST_FILES or total + media.bytes > MOST_BYTES:
            raise RequestError(
                f"There are {count:,} uploads with {total:,} bytes.", field="image",
                legal=f"{MOST_FILES:,} with {MOST_BYTES:,} bytes; DELETE /api/internal/files/input/NAME forgets one",
            )  # fmt: skip
        overwrite = str(fields.get("overwrite", "")).lower() in YES
        found = self.inputs.put(name, media, overwrite=overwrite, keep_both=True)
        if found is None:
            raise RequestError(f"The name {for_terminal(name, 80)!r} is taken.", field="filename", legal="another name")
        return found


def _checked(path: Path, name: str) -> str:
    """The media type of an upload. RequestError: neither a picture nor a clip, or too large."""
    try:
        return check_upload(path, name)
    except MediaError as error:
        why = str(error).replace(str(path), for_terminal(name, 80))
        raise RequestError(why, field="image", value=for_terminal(name, 80), legal="a picture or a clip") from None


def _masked(picture: Path, mask: Path) -> bytes:
    """A PNG with the colours of a picture and the transparency of a mask. RequestError: their sizes differ."""
    with open_picture(picture) as colours, open_picture(mask) as drawn:
        if colours.size != drawn.size:
            raise RequestError(
                f"The mask has {drawn.size[0]}x{drawn.size[1]} pixels.", field="image",
                legal=f"{colours.size[0]}x{colours.size[1]}, as the picture",
            )  # fmt: skip
        whole = colours.convert("RGBA")
        whole.putalpha(drawn.convert("RGBA").getchannel("A"))
    data = io.BytesIO()
    whole.save(data, "PNG")
    return data.getvalue()


def _named(file: NamedFile) -> dict[str, str]:
    folder, _, name = file.name.rpartition("/")
    return {"name": name, "subfolder": folder, "type": "input"}
