"""Media types (MIME) by the suffixes of files."""

from __future__ import annotations

BY_SUFFIX = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
    ".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime", ".mkv": "video/x-matroska",
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".flac": "audio/flac",
}  # fmt: skip
"""Pictures, clips and sound."""
