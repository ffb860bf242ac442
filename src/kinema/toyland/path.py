"""Paths of motions: the position of an object's centre over time.

Suffixes: F frames, the last 2 is (x, y). Positions are fractions of the frame, (0, 0) top left.
"""

from __future__ import annotations

import numpy as np

BOUNCES = 2  # hops in one duration

_DIRECTION = {
    ("left", ""): (-1.0, 0.0),
    ("right", ""): (1.0, 0.0),
    ("up", ""): (0.0, -1.0),
    ("down", ""): (0.0, 1.0),
    ("diagonal", "up-left"): (-1.0, -1.0),
    ("diagonal", "up-right"): (1.0, -1.0),
    ("diagonal", "down-left"): (-1.0, 1.0),
    ("diagonal", "down-right"): (1.0, 1.0),
}


def direction(motion: str, heading: str = "") -> tuple[float, float]:
    """(dx, dy), each -1, 0 or 1, of a straight motion; (0, 0) for every other motion. y points down."""
    return _DIRECTION.get((motion, heading), (0.0, 0.0))


def motion_path(
    motion: str,
    num_frames: int,
    *,
    fps: float = 8.0,
    duration: float = 2.0,
    x: float = 0.5,
    y: float = 0.5,
    reach: float = 0.25,
    heading: str = "",
    phase: float = 0.0,
    aspect: float = 1.0,
) -> np.ndarray:
    """Return the path of a centre, path_F2, float64, in fractions of the frame; frame f is at f / fps seconds.

    Straight motions go from reach before (x, y) to reach beyond it in `duration` seconds at constant speed, then hold.
    "diagonal" has a heading (default "up-right"). "circle" goes clockwise around (x, y) once per duration, starting
    `phase` turns after the rightmost point; `aspect` (width / height) keeps it round. "bounce" hops between y + reach
    and y - reach. "stay" is constant. Raises ValueError for an unknown motion or a non-positive number.
    """
    if num_frames < 1 or fps <= 0 or duration <= 0 or aspect <= 0:
        raise ValueError("num_frames, fps, duration and aspect must be positive")
    if motion == "diagonal" and not heading:
        heading = "up-right"
    turns_F = np.arange(num_frames, dtype=np.float64) / (fps * duration)
    path_F2 = np.empty((num_frames, 2))
    path_F2[:] = (x, y)
    if (motion, heading) in _DIRECTION:
        dx, dy = _DIRECTION[motion, heading]
        along_F = reach * (2.0 * np.minimum(turns_F, 1.0) - 1.0)
        path_F2[:, 0] += dx * along_F
        path_F2[:, 1] += dy * along_F
    elif motion == "circle":
        angle_F = 2.0 * np.pi * (turns_F + phase)
        path_F2[:, 0] += reach * np.cos(angle_F) / max(aspect, 1.0)
        path_F2[:, 1] += reach * np.sin(angle_F) * min(aspect, 1.0)
    elif motion == "bounce":
        hop_F = np.mod(turns_F * BOUNCES, 1.0)
        path_F2[:, 1] += reach * (1.0 - 8.0 * hop_F * (1.0 - hop_F))
    elif motion != "stay":
        raise ValueError(f"unknown motion {motion!r} with heading {heading!r}")
    return path_F2
