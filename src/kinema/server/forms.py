"""Forms with one file (multipart/form-data), within limits of bytes."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from ..core.whole import hidden
from ..http.refusal import refusal
from ..jobs.media import MediaStore

MAX_FIELDS, MAX_FIELD_BYTES = 64, 256 * 2**10


class _TooLarge(Exception):
    pass


async def form_fields(
    request: Request, media: MediaStore, max_bytes: int, file_field: str, names: dict[str, str] | None = None
) -> dict[str, Any] | Response:  # fmt: skip
    """The fields of a form, the file of `file_field` as a hash of the store; or an error response: 400 no such form,
    413 too large, 507 no space. names: gets the name that the client gave to the file, by field."""

    async def bounded() -> AsyncGenerator[bytes, None]:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise _TooLarge
            yield part

    parser = MultiPartParser(
        request.headers, bounded(), max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except _TooLarge:
        return refusal(413, f"The form has more than {max_bytes:,} bytes.", {"connection": "close"})
    except (MultiPartException, ValueError, KeyError) as error:  # KeyError: no boundary
        return refusal(400, f"The form cannot be read: {error}", {"connection": "close"})
    found: dict[str, Any] = {}
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != file_field:
                    return refusal(400, f"Only {file_field} is a file, got {name[:50]!r}.")
                found[name] = str(await run_in_threadpool(_stored, value, media))
                if names is not None:
                    names[name] = value.filename or ""
            else:
                found[name] = value
    except OSError as error:
        return refusal(507, f"The file cannot be stored: {error.strerror or error}.", {"connection": "close"})
    finally:
        await form.close()
    return found


def _stored(upload: UploadFile, media: MediaStore) -> Any:
    path: Path = hidden(media.folder / "upload")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(upload.file, file)
        return media.put(path, upload.content_type or "application/octet-stream")
    finally:
        path.unlink(missing_ok=True)
