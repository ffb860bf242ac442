"""The library as a list for ffmpeg, for those who run it themselves.

    ffmpeg -re -f concat -safe 0 -i channel.ffconcat -c copy -f flv rtmp://...

ffmpeg reads such a list once, stops at a missing file and at its end; the playout does neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..library import LibraryClip
from ..state_file import replace_bytes


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


def write_playlist(path: Path, clips: Sequence[LibraryClip]) -> list[LibraryClip]:
    """Those that are alike, in this order; gives them. Replaces the file whole: a reader never sees half a list."""
    listed = alike(clips)
    replace_bytes(path, ffconcat(listed).encode())
    return listed
