"""Uploads: a request's body streamed to a file, hashed on the way. Memory does not grow with the body.

The body goes to a hidden file, which is deleted unless the whole body arrived, within the limit, with the hash that the
client announced. How slowly a client may send is a matter of the connection limits.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ..core.by_hash import is_sha256
from ..core.whole import hidden
from .refusal import refusal

HASH_HEADER = "x-kinema-sha256"
DEFAULT_TYPE = "application/octet-stream"
WRITE_BYTES = 2**20
SPARE_BYTES = 256 * 2**20
"""Space on the disk that uploads leave free."""
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")


@dataclass(frozen=True)
class Upload:
    """A received body: a file that belongs to the receiver until the end of the block."""

    path: Path
    sha256: str
    bytes: int
    media_type: str


@contextlib.asynccontextmanager
async def receive(request: Request, folder: Path, max_bytes: int) -> AsyncIterator[Upload | Response]:
    """Receive a body into a file in `folder`, or give an error response: 400 no content or another hash, 413 more than
    max_bytes, 415 an illegal type, 507 no space. The file is deleted at the end of the block."""
    if isinstance(facts := _announced(request, max_bytes), Response):
        yield facts
        return
    media_type, sha256 = facts
    path = hidden(folder / "upload")
    try:
        try:
            found = await _received(request, path, max_bytes, media_type, sha256)
        except OSError as error:
            found = refusal(507, f"The upload cannot be stored: {error.strerror or error}.", {"connection": "close"})
        yield found
    finally:
        await run_in_threadpool(path.unlink, missing_ok=True)


def _announced(request: Request, max_bytes: int) -> tuple[str, str] | Response:
    """The media type and the announced hash ("" if none), or an error response before a byte is read."""
    media_type = request.headers.get("content-type", DEFAULT_TYPE).partition(";")[0].strip().lower()
    if _TYPE.fullmatch(media_type) is None:
        return refusal(415, "The content-type is not a media type, such as video/mp4.", {"connection": "close"})
    if media_type.startswith("multipart/"):
        return refusal(415, "An upload is the bare file, not a form.", {"connection": "close"})
    sha256 = request.headers.get(HASH_HEADER, "").lower().removeprefix("sha256:")
    if sha256 and not is_sha256(sha256):
        return refusal(400, f"{HASH_HEADER} is not 64 hexadecimal digits.", {"connection": "close"})
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and (len(length) > 18 or int(length) > max_bytes):
        return _too_large(max_bytes)
    return media_type, sha256


async def _received(
    request: Request, path: Path, max_bytes: int, media_type: str, announced: str
) -> Upload | Response:  # fmt: skip
    digest, size, waiting = hashlib.sha256(), 0, bytearray()
    file = await run_in_threadpool(_created, path)
    try:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                return _too_large(max_bytes)
            waiting += part
            if len(waiting) >= WRITE_BYTES:
                await run_in_threadpool(write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(write, bytes(waiting))
    finally:
        await run_in_threadpool(file.close)
    if not size:
        return refusal(400, "The upload is empty.")
    if announced and announced != digest.hexdigest():
        return refusal(400, f"The content has another SHA-256 than announced: {digest.hexdigest()}.")
    return Upload(path, digest.hexdigest(), size, media_type)


def _created(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < SPARE_BYTES:
        raise OSError("the disk is almost full")
    return path.open("xb")


def _too_large(max_bytes: int) -> Response:
    return refusal(413, f"An upload has at most {max_bytes:,} bytes.", {"connection": "close"})
