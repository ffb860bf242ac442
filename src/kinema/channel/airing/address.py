"""Addresses of streaming servers, checked and redacted."""

from __future__ import annotations

from urllib.parse import urlsplit

from ...core.errors import RequestError


def check_address(url: str) -> str:
    """Return a legal rtmp:// or rtmps:// address with host and path. RequestError (without the stream key)."""
    parts = urlsplit(url)
    if (
        parts.scheme not in ("rtmp", "rtmps")
        or not parts.hostname
        or len(parts.path) < 2
        or any(c.isspace() for c in url)
    ):
        raise RequestError(
            f"Not an RTMP address: {public_address(url)}.", field="url",
            legal="rtmp://HOST/APP/KEY or rtmps://HOST/APP/KEY",
        )  # fmt: skip
    return url


def public_address(url: str) -> str:
    """Scheme, host and application of an address, without key, query and password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable)"
    application = parts.path.split("/")[1] if parts.path.count("/") > 1 else ""
    return f"{parts.scheme}://{parts.hostname}{port}/{application}{'/' if application else ''}***"
