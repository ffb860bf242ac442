"""Classify the motion of a track, and measure its distance from a requested path.

Legend: F frames; points (x, y) are fractions of the frame unless in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..toyland.path import BOUNCES, direction
from ..toyland.scene import HEADINGS
from .track import ObjectTrack

LEAST_REACH = 0.09  # fractions of the frame; objects that move less (to each side) count as "stay"
MOST_REACH = 0.42
LEAST_SEEN = 0.5  # share of the frames that must show the object
_SLACK = 1.15  # penalty of a circle, which has more parameters to fit


@dataclass(frozen=True)
class Motion:
    """motion and heading as in toyland.scene; motion is "lost" if too few frames show the object."""

    motion: str
    heading: str = ""


def motion_of(track: ObjectTrack, *, fps: float = 8.0, duration: float = 2.0) -> Motion:
    """Return the motion whose ideal path, with fitted centre, reach and phase, is nearest to the track.

    Distances are averaged over the frames that show the object; reach is limited to Toyland's range. The camera must be
    still, since tracks are in screen coordinates.
    """
    seen_F = track.seen_F
    if seen_F.mean() < LEAST_SEEN:
        return Motion("lost")
    points_F2 = track.fractions_F2()[seen_F]
    turns_F = np.arange(len(seen_F))[seen_F] / (fps * duration)
    middle = np.median(points_F2, 0)
    errors = {("stay", ""): _distance(points_F2 - middle)}
    straight = 2.0 * np.minimum(turns_F, 1.0) - 1.0
    names = [(name, "") for name in ("left", "right", "up", "down")] + [("diagonal", way) for way in HEADINGS]
    for motion, heading in names:
        errors[motion, heading] = _fitted(points_F2, np.outer(straight, direction(motion, heading)))
    hop_F = np.mod(turns_F * BOUNCES, 1.0)
    errors["bounce", ""] = _fitted(points_F2, np.outer(1.0 - 8.0 * hop_F * (1.0 - hop_F), (0.0, 1.0)))
    errors["circle", ""] = _circle(points_F2, turns_F) * _SLACK
    return Motion(*min(errors, key=lambda name: errors[name]))


def _fitted(points_F2: np.ndarray, shape_F2: np.ndarray) -> float:
    """Mean distance from centre + reach * shape, with fitted centre and reach."""
    shape = shape_F2 - shape_F2.mean(0)
    points = points_F2 - points_F2.mean(0)
    reach = float((shape * points).sum() / max((shape * shape).sum(), 1e-9))
    reach = min(max(reach, LEAST_REACH), MOST_REACH)
    return _distance(points - reach * shape)


def _circle(points_F2: np.ndarray, turns_F: np.ndarray) -> float:
    """Mean distance from a clockwise circle, once per duration, with fitted centre, radius and phase."""
    cos, sin = np.cos(2 * np.pi * turns_F), np.sin(2 * np.pi * turns_F)
    # x = cx + a cos - b sin, y = cy + a sin + b cos with a, b the radius times cos and sin of the phase.
    one, nought = np.ones_like(cos), np.zeros_like(cos)
    rows = np.concatenate([np.stack([one, nought, cos, -sin], 1), np.stack([nought, one, sin, cos], 1)])
    found, *_ = np.linalg.lstsq(rows, np.concatenate([points_F2[:, 0], points_F2[:, 1]]), rcond=None)
    radius = float(np.hypot(found[2], found[3]))
    held = min(max(radius, LEAST_REACH), MOST_REACH)
    found[2:] *= held / max(radius, 1e-9)
    ideal = (rows @ found).reshape(2, -1).T
    return _distance(points_F2 - ideal)


def _distance(offsets_F2: np.ndarray) -> float:
    return float(np.hypot(offsets_F2[:, 0], offsets_F2[:, 1]).mean())


def trajectory_error(track: ObjectTrack, wanted_F2: np.ndarray) -> float | None:
    """Mean distance between the object and the requested path, in percent of the frame's shorter side; None if no frame
    shows the object.

    This is TrajError of Tora (arXiv 2407.21705), there in pixels and with a point tracker (CoTracker); here the probes
    find the object, which need no starting point but are limited to Toyland. Frames without the object do not count, so
    also report the share of frames that show it.
    """
    height, width = track.size
    if not track.seen_F.any():
        return None
    distance_F = distances(track.points_F2, np.asarray(wanted_F2) * (width, height))
    return float(distance_F[track.seen_F].mean() / min(height, width) * 100.0)


def distances(points_F2: np.ndarray, wanted_F2: np.ndarray) -> np.ndarray:
    """The distance in each frame, in px, between a track (pixel indices) and a path (px from the frame's corner, as
    `conditions.trajectory.positions` gives it)."""
    return np.asarray(np.hypot(*(points_F2 + 0.5 - wanted_F2).T))
