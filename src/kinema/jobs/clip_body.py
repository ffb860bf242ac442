"""The body of the kind `clip`: a Request as JSON, with media as "sha256:<hex>" or data: URIs, never paths.

Three more fields are allowed beside those of a request:
    file        the name of the file, whose suffix is its format; default: clip.mp4, or clip.png for one frame
    quality     of the file: draft, good or best; default: that of the plan
    shown_as    {"sha256:<hex>": name}: names of media in the manifest, so that a client's own file names stay in it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.by_hash import is_media
from ..core.conditions import FILE_FIELDS
from ..core.errors import RequestError
from ..core.media_types import BY_SUFFIX
from ..core.request import Request

BESIDE = FILE, QUALITY, SHOWN_AS = ("file", "quality", "shown_as")
QUALITIES = ("draft", "good", "best")
MAX_NAME_CHARS = 200
MEDIA_TYPES = {name: BY_SUFFIX[name] for name in (".mp4", ".webm", ".gif", ".webp", ".png", ".jpg", ".jpeg")}
"""Of the files that a clip can be written to, by suffix."""


@dataclass(frozen=True)
class ClipBody:
    """A parsed body. file: "" is the default name; quality: None is the plan's."""

    request: Request
    file: str = ""
    quality: str | None = None
    shown_as: dict[str, str] = field(default_factory=dict)

    def file_of(self, num_frames: int) -> tuple[str, str]:
        """The name and the media type of the file."""
        name = self.file or ("clip.png" if num_frames == 1 else "clip.mp4")
        return name, MEDIA_TYPES[suffix(name)]


def parse(body: Any) -> ClipBody:
    """Parse a body. RequestError for a field that is not legal, and for a path."""
    if not isinstance(body, dict):
        raise RequestError(f"The body of a clip is a request, got {type(body).__name__}.", field="body",
                           legal="an object with the fields of a request")  # fmt: skip
    fields = dict(body)
    file, quality, shown = fields.pop(FILE, ""), fields.pop(QUALITY, None), fields.pop(SHOWN_AS, {})
    if quality not in (None, *QUALITIES):
        raise RequestError("The quality is not legal.", field=QUALITY, value=str(quality)[:50],
                           legal=", ".join(QUALITIES))  # fmt: skip
    if not isinstance(shown, dict) or not all(is_media(each) and isinstance(shown[each], str) for each in shown):
        raise RequestError("shown_as is not legal.", field=SHOWN_AS, legal='an object {"sha256:<hex>": name}')
    if file != "" and not _is_file_name(file):
        raise RequestError("The name of the file is not legal.", field=FILE, value=str(file)[:100],
                           legal=f"a name without folders that ends with {', '.join(MEDIA_TYPES)}")  # fmt: skip
    request = Request.from_dict(fields)
    for name, each in _files(request):
        if is_media(each) or each.startswith("data:") or (name == "adapter" and _is_style_name(each)):
            continue
        raise RequestError("A job names media by hash, not by path.", field="conditions", value=each[:100],
                           legal="sha256:<hex> of uploaded media, or a data: URI")  # fmt: skip
    return ClipBody(request, file, quality, shown)


def media(body: Any) -> set[str]:
    """The hashes that a body names."""
    return {each for _, each in _files(parse(body).request) if is_media(each)}


def check(body: Any, _store: Any) -> None:
    """RequestError for a body that is not a legal request. Nothing is planned here, because that reads the media, which
    a server leaves to a process of its own."""
    parse(body)


def suffix(name: str) -> str:
    return name[name.rfind(".") :].lower()


def _is_file_name(name: Any) -> bool:
    return (
        isinstance(name, str) and len(name) <= MAX_NAME_CHARS and name.isprintable() and not name.startswith(".")
        and not any(sign in name for sign in "/\\:") and suffix(name) in MEDIA_TYPES
    )  # fmt: skip


def _is_style_name(adapter: str) -> bool:
    """Whether an adapter is a plain name, which only the folders of styles are searched for."""
    return not any(sign in adapter for sign in "/\\~:") and not adapter.startswith(".") and "." not in adapter


def _files(request: Request) -> Iterator[tuple[str, str]]:
    """Yield (field, value) of every file that the conditions name."""
    for condition in request.conditions:
        for name in FILE_FIELDS:
            value = getattr(condition, name, None)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, str):
                    yield name, each
