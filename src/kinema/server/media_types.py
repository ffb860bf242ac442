"""How media of unknown origin are sent to a browser.

Uploads have the type that their sender claimed. Only pictures, clips and sound are shown in place; everything else
(HTML and SVG may carry scripts) is a download without a type, and none of it may run anything.
"""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = (
    "image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "video/webm", "video/x-matroska",
    "video/quicktime", "audio/mpeg", "audio/wav", "audio/x-wav", "audio/ogg", "audio/flac", "audio/mp4",
)  # fmt: skip
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; img-src 'self'"


@dataclass(frozen=True)
class MediaHeaders:
    """media_type: what the response claims. disposition: inline or attachment."""

    media_type: str
    disposition: str
    headers: dict[str, str]


def headers_of(media_type: str, sha256: str) -> MediaHeaders:
    """The headers of media. Their content never changes, so that the hash is the tag."""
    is_shown = media_type in SHOWN
    headers = {
        "content-security-policy": SANDBOX, "cache-control": "private, max-age=31536000, immutable",
        "etag": f'"{sha256}"',
    }  # fmt: skip
    return MediaHeaders(
        media_type if is_shown else "application/octet-stream", "inline" if is_shown else "attachment", headers
    )
