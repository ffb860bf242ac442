"""The path of an object as the centre of its tracked mask (track.py): with OpenCV, or SAM 2 where its weights are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..core.conditions import Tracker
from ..core.errors import MediaError
from .point_track import PointTrack
from .start import Start
from .track import follow


def track_mask(
    frames: Iterable[np.ndarray], start: Start, *, by: Tracker = "auto", device: str | None = None
) -> PointTrack:
    """Track an object through frames, uint8 RGB (H, W, 3), and return the centre of its mask on each. Raises as
    `follow`; MediaError if the object is not found on the first frame."""
    positions: list[tuple[float, float]] = []
    seen: list[bool] = []
    for mask_HW in follow(frames, start, by=by, device=device):
        rows, columns = np.nonzero(mask_HW > 0.5)
        seen.append(len(rows) > 0)
        if seen[-1]:
            positions.append((float(columns.mean()), float(rows.mean())))
        elif positions:
            positions.append(positions[-1])
        else:
            raise MediaError("No object was found there in the first frame. Try a box around it.")
    if not positions:
        raise MediaError("The clip contains no frames.")
    return PointTrack(np.array(positions), np.array(seen))
