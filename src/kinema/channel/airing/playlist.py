"""The library as a list for ffmpeg, for those who run it themselves.

    ffmpeg -re -f concat -safe 0 -i channel.ffconcat -c copy -f flv rtmp://...

ffmpeg reads such a list once, stops at a missing file and at its end; the playout does neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.errors import RequestError
from ...core.whole import write_bytes
from ..library import LibraryClip

FIRST = b"ffconcat version"


def alike(clips: Sequence[LibraryClip]) -> list[LibraryClip]:
    """Those that can follow each other without a re-encode: of the last one's encoding, which is the channel's now."""
    return [clip for clip in clips if clip.fingerprint == clips[-1].fingerprint and clip.path.is_file()]


def ffconcat(clips: Sequence[LibraryClip]) -> str:
    """A list of the concat demuxer: absolute paths, exact lengths."""
    rows = ["ffconcat version 1.0"]
    for clip in clips:
        name = str(clip.path.resolve()).replace("'", "'\\''")
        rows += [f"file '{name}'", f"duration {clip.seconds:.6f}"]
    return "\n".join(rows) + "\n"


def check_target(path: Path, folder: Path) -> None:
    """RequestError where a list may not be written: over what is no such list, or beside the channel's own files.
    folder: the channel's."""
    try:
        place, own = path.resolve(), folder.resolve()
        is_ours = not (path.exists() or path.is_symlink())
        if path.is_file():
            with path.open("rb") as file:
                is_ours = file.read(len(FIRST)) in (FIRST, b"")
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be written ({error}).", field="output", value=str(path)) from None
    if place.is_relative_to(own) and (place.parent != own or place.name.startswith("library.db")):
        raise RequestError(
            f"{path}: the channel keeps its own files there.", field="output", value=str(path), legal="another folder"
        )
    if not is_ours:
        raise RequestError(
            f"{path}: is there already, and is no ffconcat list; it was not replaced.", field="output", value=str(path),
            legal="a new name, or a list to replace",
        )  # fmt: skip


def write_playlist(path: Path, clips: Sequence[LibraryClip]) -> list[LibraryClip]:
    """Those that are alike, in this order; gives them. Replaces the file whole: a reader never sees half a list."""
    listed = alike(clips)
    write_bytes(path, ffconcat(listed).encode(), durable=False)
    return listed
