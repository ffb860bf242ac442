"""Export the library as a list for ffmpeg's concat demuxer.

    ffmpeg -re -f concat -safe 0 -i channel.ffconcat -c copy -f flv rtmp://...

Unlike the playout, ffmpeg reads the list once and stops at a missing file and at the end of the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.errors import RequestError
from ...core.whole import write_bytes
from ..library import LibraryClip

FIRST = b"ffconcat version"


def alike(clips: Sequence[LibraryClip]) -> list[LibraryClip]:
    """The clips with the encoding of the last one, the channel's current encoding."""
    return [clip for clip in clips if clip.fingerprint == clips[-1].fingerprint and clip.path.is_file()]


def ffconcat(clips: Sequence[LibraryClip]) -> str:
    """The text of a concat list, with absolute paths and exact durations."""
    rows = ["ffconcat version 1.0"]
    for clip in clips:
        name = str(clip.path.resolve()).replace("'", "'\\''")
        rows += [f"file '{name}'", f"duration {clip.seconds:.6f}"]
    return "\n".join(rows) + "\n"


def check_target(path: Path, folder: Path) -> None:
    """RequestError if `path` is another kind of file or lies among the files of the channel. folder: the channel's."""
    try:
        place, own = path.resolve(), folder.resolve()
        is_replaceable = not (path.exists() or path.is_symlink())
        if path.is_file():
            with path.open("rb") as file:
                is_replaceable = file.read(len(FIRST)) in (FIRST, b"")
    except (OSError, ValueError) as error:
        raise RequestError(f"Cannot write {path}: {error}.", field="output", value=str(path)) from None
    if place.is_relative_to(own) and (place.parent != own or place.name.startswith("library.db")):
        raise RequestError(
            f"{path} is reserved for the channel's files.", field="output", value=str(path), legal="another folder"
        )
    if not is_replaceable:
        raise RequestError(
            f"{path} exists and is not an ffconcat list; it was not replaced.", field="output", value=str(path),
            legal="a new name, or a list to replace",
        )  # fmt: skip


def write_playlist(path: Path, clips: Sequence[LibraryClip]) -> list[LibraryClip]:
    """Write the clips of one encoding (`alike`) as a list, atomically, and return them."""
    listed = alike(clips)
    write_bytes(path, ffconcat(listed).encode(), durable=False)
    return listed
