"""A request as a server gets it: media by content hash, uploaded once, and the names that were typed beside it.

A server reads no path of its clients. The manifest of the clip shows the typed names all the same (`shown_as`), so that
the file has the same bytes as one that was generated without a server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.by_hash import PREFIX, renamed
from ..core.errors import KinemaError, MediaError
from ..core.events import OnEvent
from ..core.media_types import BY_SUFFIX
from ..core.outside import exists
from .progress import transferred

if TYPE_CHECKING:
    from ..core.request import Request
    from ..http.jobs_client import JobsServer


class NotSendable(KinemaError):
    """The request names something that only this process can read."""


@dataclass(frozen=True)
class SentRequest:
    """body: the request as JSON. files: the media by SHA-256. names: "sha256:..." -> the name that was typed."""

    body: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def job(self) -> dict[str, Any]:
        """The body of a job of the kind `clip`."""
        return self.body | ({"shown_as": self.names} if self.names else {})

    def named(self, value: Any) -> Any:
        """Plain JSON with the typed names in place of the hashes, in sentences too."""
        return renamed(value, self.names)

    def upload(self, server: JobsServer, on_event: OnEvent) -> None:
        """Upload the media that the server lacks. Raises what JobsServer raises."""
        missing = [sha for sha in self.files if not server.has_media(sha)]
        total = sum(self.files[sha].stat().st_size for sha in missing)
        before = 0
        for sha in missing:
            path = self.files[sha]
            server.upload(path, sha, BY_SUFFIX.get(path.suffix.lower(), "application/octet-stream"),
                          transferred(on_event, "upload", before, total))  # fmt: skip
            before += path.stat().st_size


def sendable(request: Request) -> SentRequest:
    """Return a request with media by hash. NotSendable: a model or style in a file of this machine, a folder of frames,
    a missing or special file, one file under two names."""
    body = json.loads(request.to_json())
    found = SentRequest(body)
    if exists(request.model):
        raise NotSendable(f"the model {request.model} is a file of this machine")
    for condition in body.get("conditions", ()):
        for name in _file_fields():
            value = condition.get(name)
            if name == "adapter" and isinstance(value, str) and exists(value):
                raise NotSendable(f"the style {value} is a file of this machine")
            if name == "adapter" or value is None:
                continue
            condition[name] = [_sent(each, found) for each in value] if isinstance(value, list) else _sent(value, found)
    return found


def _file_fields() -> tuple[str, ...]:
    from ..core.conditions import FILE_FIELDS

    return FILE_FIELDS


def _sent(media: str, found: SentRequest) -> str:
    """Return the hash of a media file, and note the file and its name."""
    from ..conditions.inputs import digest, local_path

    if media.startswith("data:"):
        return media
    try:
        path = local_path(media)
        if not path.is_file():
            raise NotSendable(f"{media} is not a file")
    except (OSError, ValueError) as error:
        raise NotSendable(f"{media} cannot be read ({error})") from None
    try:
        sha = digest(media)
    except MediaError as error:
        raise NotSendable(f"{media} cannot be read ({error})") from None
    name = PREFIX + sha
    if found.names.setdefault(name, media) != media:
        raise NotSendable(f"{media} and {found.names[name]} are the same file")
    found.files[sha] = path
    return name
