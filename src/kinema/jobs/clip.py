"""The kind `clip`: the body is a Request as JSON, with media as "sha256:<hex>" or data: URIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.conditions import FILE_FIELDS
from ..core.errors import RequestError
from ..core.request import Request
from .job import is_media
from .kinds import JobKind

SHOWN_AS = "shown_as"


def check(body: Any) -> None:
    """RequestError for a body that is not a legal request of media by hash."""
    request_of(body)


def media(body: Any) -> set[str]:
    """The hashes that a body names."""
    return {each for each in _files(request_of(body)[0]) if is_media(each)}


def request_of(body: Any) -> tuple[Request, dict[str, str]]:
    """The request of a body, and the names under which its manifest lists media. RequestError, also for a path."""
    if not isinstance(body, dict):
        raise RequestError(f"The body of a clip is a request, got {type(body).__name__}.", field="body",
                           legal="an object with the fields of a request")  # fmt: skip
    fields = dict(body)
    shown = fields.pop(SHOWN_AS, {})
    if not isinstance(shown, dict) or not all(is_media(each) and isinstance(shown[each], str) for each in shown):
        raise RequestError("shown_as is not legal.", field=SHOWN_AS, legal='an object {"sha256:<hex>": name}')
    request = Request.from_dict(fields)
    for each in _files(request):
        if not is_media(each) and not each.startswith("data:"):
            raise RequestError("A job names media by hash, not by path.", field="conditions", value=each[:100],
                               legal="sha256:<hex> of uploaded media, or a data: URI")  # fmt: skip
    return request, shown


def _files(request: Request) -> Iterator[str]:
    for condition in request.conditions:
        for name in FILE_FIELDS:
            value = getattr(condition, name, None)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, str):
                    yield each


def run(context: Any, body: Any) -> dict[str, Any]:
    from .clip_run import run_clip

    return run_clip(context, *request_of(body))


CLIP = JobKind("clip", check, media, run)
