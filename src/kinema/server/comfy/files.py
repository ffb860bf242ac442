"""Media of a store as ComfyUI's page shows them: by name, with ranges, smaller pictures and single channels."""

from __future__ import annotations

import io
import mimetypes
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ...core.errors import MediaError, RequestError
from ...jobs.store import JobStore
from ...media.open import open_picture
from ..media_types import SANDBOX, SHOWN

TYPES = {
    "webp": "image/webp", "webm": "video/webm", "mkv": "video/x-matroska", "mov": "video/quicktime",
    "flac": "audio/flac", "m4v": "video/mp4",
}  # fmt: skip
FORMATS = {"webp": "WEBP", "jpeg": "JPEG", "png": "PNG"}
CHANNELS = ("rgb", "a", "rgba")


async def shown(request: Request, store: JobStore, sha256: str, name: str) -> Response:
    """The file of a name. Query: preview=webp;90 (a smaller format and its quality), channel=rgb, a or rgba.
    RequestError: an unknown format or channel; NoSuchMedia."""
    preview, channel = request.query_params.get("preview", ""), request.query_params.get("channel", "")
    tag = f'"{sha256[:32]}{f"-{preview}-{channel}" if preview or channel not in ("", "rgba") else ""}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", "content-security-policy": SANDBOX}
    _check(preview, channel)
    path = await run_in_threadpool(store.media.path, sha256)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    media_type = type_of(name)
    is_picture = media_type.startswith("image/")
    if is_picture and (preview or channel in ("rgb", "a")):
        data, media_type = await run_in_threadpool(_drawn, path, preview, channel)
        return Response(data, media_type=media_type, headers=headers)
    is_shown = media_type in SHOWN
    return FileResponse(
        path, media_type=media_type if is_shown else "application/octet-stream", headers=headers,
        filename=name.rpartition("/")[2], content_disposition_type="inline" if is_shown else "attachment",
    )  # fmt: skip


def type_of(name: str) -> str:
    """The media type of a name, by its ending."""
    ending = name.rpartition(".")[2].lower()
    return TYPES.get(ending) or mimetypes.guess_type(f"file.{ending}")[0] or "application/octet-stream"


def _check(preview: str, channel: str) -> None:
    """RequestError: an unknown format or channel."""
    format_, _, quality = preview.partition(";")
    if preview and (format_ not in FORMATS or (quality and not quality.isdecimal())):
        raise RequestError(f"preview = {preview[:40]!r}.", field="preview", value=preview[:40],
                           legal="webp;90, jpeg;90 or png")  # fmt: skip
    if channel and channel not in CHANNELS:
        raise RequestError(f"channel = {channel[:40]!r}.", field="channel", value=channel[:40],
                           legal=", ".join(CHANNELS))  # fmt: skip


def _drawn(path: Path, preview: str, channel: str) -> tuple[bytes, str]:
    """The picture in another format or with some of its channels, and its media type. MediaError."""
    from PIL import Image

    format_, _, quality = preview.partition(";")
    with open_picture(path) as picture:
        if channel == "a":
            alpha = picture.convert("RGBA").getchannel("A")
            drawn = Image.new("RGBA", picture.size)
            drawn.putalpha(alpha)
        else:
            drawn = picture.convert("RGBA" if "A" in picture.getbands() and channel != "rgb" else "RGB")
        kind = FORMATS.get(format_, "PNG")
        if kind == "JPEG":
            drawn = drawn.convert("RGB")
        data = io.BytesIO()
        drawn.save(data, kind, **({"quality": min(int(quality or 90), 100)} if kind != "PNG" else {}))
    return data.getvalue(), f"image/{kind.lower()}"


def check_upload(path: Path, name: str) -> str:
    """The media type of an uploaded picture or clip. MediaError: the content is neither, or has too many pixels."""
    from ...media.open import sniff
    from ...media.read import probe

    kind = type_of(name)
    if not kind.startswith(("image/", "video/")):
        raise MediaError(f"{name}: not the name of a picture or clip.")
    if sniff(path) == "picture":
        with open_picture(path) as picture:
            picture.load()
    else:
        probe(path)
    return kind
