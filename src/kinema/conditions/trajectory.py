"""Paths of objects: where an object is in each frame, and paths as control clips (an antialiased disc on black).

`positions` is the one place that turns a path into a point per frame; every family uses it. `draw` is shared by
inference and training, so that both use identical drawings. Files are read by path_file.py.

Legend: N points, F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.conditions import Trajectory
from ..core.errors import MediaError
from ..core.numerals import decimal
from ..core.plan import Plan
from ..core.text_file import read_text

CANVAS_PX = 256
"""Tora's path files use a 256x256 canvas, whatever the output size and aspect."""
MAX_FILE_BYTES = 16 * 2**20
MAX_POINTS = 4096
"""Longer paths are resampled to the frames of the clip while planning, so that manifests stay small."""
OUTSIDE = 0.5
"""How far outside the frame a point may lie, in fractions of the frame."""


def positions(trajectory: Trajectory, frames: int, size: tuple[int, int]) -> np.ndarray:
    """Return where the object is in each frame, float64 (F, 2): x, y in pixels of a frame of `size` (width, height).

    (0, 0) is the upper left corner of the frame and (width, height) its lower right corner; the centre of the first
    pixel is (0.5, 0.5). All positions are within the frame, edges included.
    """
    return fractions(trajectory, frames) * np.array(size, dtype=np.float64)


def fractions(trajectory: Trajectory, frames: int) -> np.ndarray:
    """Return where the object is in each frame, (F, 2), in fractions of the frame, clipped to [0, 1]."""
    return resample(trajectory.points, frames, trajectory.times).clip(0.0, 1.0)


def resample(points: Sequence[tuple[float, float]], num_frames: int, times: Sequence[float] = ()) -> np.ndarray:
    """Resample a path to `num_frames` points evenly spaced in time, (F, 2), by linear interpolation.

    times: of the points, in fractions of the duration, increasing; empty: evenly spaced. A single frame gets the
    position at time 0.
    """
    path = np.asarray(points, dtype=np.float64)
    if times:
        ticks, end = np.asarray(times, dtype=np.float64), 1.0
    else:
        ticks, end = np.arange(len(path), dtype=np.float64), len(path) - 1.0
    when = np.linspace(0.0, end, num_frames)
    return np.stack([np.interp(when, ticks, path[:, axis]) for axis in (0, 1)], axis=1)


def length_times(points_N2: np.ndarray) -> tuple[float, ...]:
    """Return the times, in fractions of the duration, of the points of a path that is followed at constant speed.

    points_N2: in any unit with square pixels. A repeated point is a pause and takes 1 / (N - 1) of the duration, as it
    does in a path whose points are evenly spaced in time.
    """
    step_N = np.hypot(*np.diff(np.asarray(points_N2, np.float64), axis=0).T)
    even, resting = 1.0 / len(step_N), step_N == 0
    if resting.all():
        share_N = np.full(len(step_N), even)
    else:
        share_N = np.where(resting, even, step_N / step_N.sum() * (1.0 - even * resting.sum()))
    times_N = np.concatenate([[0.0], np.cumsum(share_N)])
    times_N = np.minimum(times_N / times_N[-1], 1.0)
    return tuple(float(each) for each in times_N)


def settle(plan: Plan) -> Plan:
    """Return the plan with long paths resampled to its frames, and a note for each path that is resampled or leaves the
    frame. The positions in the frames stay the same."""
    conditions, notes = [], list(plan.notes)
    number = 0
    for condition in plan.conditions:
        if condition.kind == "trajectory":
            number += 1
            name = f"Path {number}" + (f" ({condition.object})" if condition.object else "")
            condition, said = _settled(condition, plan.frames, name)
            notes += [each for each in said if each not in notes]
        conditions.append(condition)
    return plan.model_copy(update={"conditions": tuple(conditions), "notes": tuple(notes)}) if number else plan


def _settled(path: Trajectory, frames: int, name: str) -> tuple[Trajectory, list[str]]:
    notes = []
    path_N2 = np.asarray(path.points)
    if num := int(((path_N2 < 0) | (path_N2 > 1)).any(1).sum()):
        notes.append(
            f"{name} leaves the frame ({num:,} of {len(path_N2):,} points lie outside): "
            "there it is clipped to the frame's edge."
        )
    if len(path_N2) > MAX_POINTS and frames < len(path_N2):
        notes.append(f"{name}: {len(path_N2):,} points, resampled to one per frame ({frames}).")
        kept_F2 = resample(path.points, max(frames, 2), path.times)
        path = path.model_copy(update={"points": tuple((float(x), float(y)) for x, y in kept_F2), "times": ()})
    return path, notes


def draw(
    points_F2: np.ndarray,
    height: int,
    width: int,
    color_rgb: tuple[int, int, int],
    radius: float | None = None,
) -> np.ndarray:
    """Draw a disc of `color_rgb` on black, centred on points_F2 (x, y in [0, 1], one per frame).

    radius: in pixels; defaults to a sixteenth of the shorter side. Returns uint8 (F, H, W, 3).
    """
    radius = min(height, width) / 16 if radius is None else radius
    centre_F2 = np.asarray(points_F2, dtype=np.float32) * np.array([width, height], dtype=np.float32)
    x_W = np.arange(width, dtype=np.float32) + 0.5
    y_H = np.arange(height, dtype=np.float32) + 0.5
    distance_FHW = np.hypot(
        x_W[None, None, :] - centre_F2[:, 0, None, None], y_H[None, :, None] - centre_F2[:, 1, None, None]
    )
    cover_FHW = np.clip(radius + 0.5 - distance_FHW, 0.0, 1.0)
    color = np.asarray(color_rgb, dtype=np.float32)
    return np.rint(cover_FHW[..., None] * color).astype(np.uint8)


def read_points(path: str | Path) -> tuple[tuple[float, float], ...]:
    """Read a text file: one `x,y` per line on Tora's 256x256 canvas. Returns x / 256, y / 256.

    Raises MediaError, which names the line, for anything else: fewer than two points, a point more than half a canvas
    outside (pixels of another size), or a path whose numbers are all from 0 to 1 (fractions of the frame: read as
    pixels of the canvas, they would all be in its corner).
    """
    path = Path(path)
    try:
        lines = read_text(path, error=MediaError, max_bytes=MAX_FILE_BYTES).text.splitlines()
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file.") from None
    except MediaError as reason:
        if "larger than" in str(reason):
            raise
        raise MediaError(f"{path}: not a text file. A path file has one point x,y per line.") from None
    return parse_points(lines, str(path))


def parse_points(lines: Sequence[str], what: str) -> tuple[tuple[float, float], ...]:
    """`read_points` of lines. `what` begins error messages."""
    points = []
    low, high = -OUTSIDE * CANVAS_PX, (1 + OUTSIDE) * CANVAS_PX
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            x, y = (decimal(part.strip()) for part in line.split(","))
        except ValueError:
            raise MediaError(f"{what}, line {number}: a point has two numbers, x,y; got {line[:100]!r}.") from None
        if not (low <= x <= high and low <= y <= high):
            raise MediaError(
                f"{what}, line {number}: {line.strip()[:100]} lies far outside the {CANVAS_PX}x{CANVAS_PX} canvas of a "
                f'text file. Legal: {low:g} to {high:g}; for pixels of another size, a JSON file with "size": '
                '[WIDTH, HEIGHT] and "points".'
            )
        points.append((x / CANVAS_PX, y / CANVAS_PX))
    if len(points) < 2:
        raise too_short(what, len(points))
    if all(0 <= part * CANVAS_PX <= 1 for point in points for part in point):
        raise MediaError(
            f"{what}: no number is above 1, so these may be fractions of the frame; on the {CANVAS_PX}x{CANVAS_PX} "
            "canvas of a text file the whole path would be in one corner. Legal: pixels of that canvas, or a JSON file "
            "with fractions, as [[0.1, 0.5], [0.9, 0.5]]."
        )
    return tuple(points)


def too_short(what: str, count: int) -> MediaError:
    """The error for a path with fewer than two points."""
    hint = "; for an object that rests, give its point twice" if count else ""
    return MediaError(f"{what}: a path needs two or more points, got {count}{hint}.")
