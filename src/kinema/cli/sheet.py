"""`--sheet`: frames of a clip on one image, taken as the clip passes by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.closing import closed_after
from ..core.errors import MediaError
from ..core.whole import whole

if TYPE_CHECKING:
    import numpy as np

    from ..core.chunk import Chunk

SHEET_FRAMES = 12


def pick(chunks: Iterator[Chunk], num_frames: int, count: int, kept: list[np.ndarray]) -> Iterator[Chunk]:
    """Yield the chunks, and append copies of `count` evenly spaced frames, first and last included, to `kept`."""
    count = min(count, num_frames)
    wanted = {round(index * (num_frames - 1) / max(1, count - 1)) for index in range(count)}
    with closed_after(chunks):
        for chunk in chunks:
            kept += [chunk.frames[at - chunk.start].copy() for at in sorted(wanted) if chunk.start <= at < chunk.stop]
            yield chunk


def save_sheet(frames: list[np.ndarray], target: Path) -> None:
    """Write a contact sheet to a temporary file and rename it."""
    import numpy as np

    from ..media.sheet import sheet
    from ..media.write_picture import write_picture

    try:
        with whole(target) as beside:
            write_picture(sheet(np.stack(frames), rows=2, columns=SHEET_FRAMES // 2), beside)
    except (OSError, ValueError) as error:
        raise MediaError(f"{target}: the contact sheet cannot be written: {error}.") from error
