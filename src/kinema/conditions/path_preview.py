"""Previews of paths: a sheet that shows what will be followed, and paths drawn over the frames of a clip.

Legend: F frames, H W pixels. Colours are those of the objects where they are given, else one of COLORS in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.conditions import Trajectory
from .trajectory import fractions, resample

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

COLORS = ((214, 60, 60), (38, 110, 200), (30, 140, 80), (200, 120, 0), (140, 70, 180), (0, 140, 150))
PAPER, INK, FRAME, OUTSIDE = (250, 250, 248), (40, 40, 44), (255, 255, 255), (176, 176, 180)
LONG_PX = 640
"""Longer side of the large frame on the sheet."""
SMALL_FRAMES = 6
MARGIN = 0.06
"""Room around the frame, and around paths that leave it, in fractions of the frame."""
REST = 0.002
"""Movement per frame, in fractions of the shorter side, below which an object rests."""
LEAST_REST = 3
_SHARP = 2
"""The sheet is drawn this many times as large and reduced."""


def colors_of(paths: Sequence[Trajectory]) -> list[tuple[int, int, int]]:
    """The colour in which each path is shown."""
    return [path.color or COLORS[index % len(COLORS)] for index, path in enumerate(paths)]


def rests(path: Trajectory, frames: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """The runs of frames (first, last) in which an object does not move, of LEAST_REST frames or more."""
    step_F = np.hypot(*(np.diff(fractions(path, frames), axis=0) * size).T) / min(size)
    found: list[tuple[int, int]] = []
    begin = None
    for index, still in enumerate([*(step_F < REST).tolist(), False]):
        if still and begin is None:
            begin = index
        elif not still and begin is not None:
            if index - begin + 1 >= LEAST_REST:
                found.append((begin, index))
            begin = None
    return found


def sheet(paths: Sequence[Trajectory], frames: int, size: tuple[int, int], caption: str = "") -> Image.Image:
    """Draw what will be followed in a clip of `frames` frames of `size` (width, height).

    The large frame shows each path with a dot for every frame, a ring at its start, a square at its end, the times of
    every quarter and its pauses. Parts outside the frame are gray and dashed; the dots show what is followed instead.
    Below it, frames of the clip.
    """
    from PIL import Image, ImageDraw, ImageFont

    sharp = _SHARP
    unit = sharp * LONG_PX / max(size)
    width, height = size[0] * unit, size[1] * unit
    every_N2 = np.array([point for path in paths for point in path.points])
    before, after = (MARGIN + part.clip(0) for part in (-every_N2.min(0), every_N2.max(0) - 1))
    edge, far = before * (width, height), (1 + before + after) * (width, height)
    small = (far[0] - (SMALL_FRAMES + 1) * 8 * sharp) / SMALL_FRAMES
    small_size = np.array([small, small * height / width])
    font = ImageFont.load_default(size=13 * sharp)
    top = 26 * sharp if caption else 0
    whole = (round(far[0]), round(top + far[1] + small_size[1] + 34 * sharp))
    picture = Image.new("RGB", whole, PAPER)
    draw = ImageDraw.Draw(picture)
    if caption:
        draw.text((8 * sharp, 6 * sharp), caption, fill=INK, font=font)
    origin = edge + (0, top)
    draw.rectangle((*origin, *(origin + (width, height))), fill=FRAME, outline=INK, width=sharp)
    for path, color in zip(paths, colors_of(paths)):
        _draw_path(draw, path, frames, size, origin, np.array([width, height]), color, font)
    y = top + far[1]
    shown = np.linspace(0, frames - 1, min(frames, SMALL_FRAMES)).round().astype(int)
    for column, frame in enumerate(shown):
        corner = np.array([8 * sharp + column * (small + 8 * sharp), y])
        draw.rectangle((*corner, *(corner + small_size)), fill=FRAME, outline=INK, width=sharp)
        draw.text((corner[0], y + small_size[1] + 3 * sharp), f"frame {frame}", fill=INK, font=font)
        for path, color in zip(paths, colors_of(paths)):
            at_F2 = corner + fractions(path, frames)[: frame + 1] * small_size
            if frame:
                draw.line([tuple(each) for each in at_F2], fill=_pale(color), width=2 * sharp)
            _dot(draw, at_F2[-1], small / 28, color)
    return picture.resize((whole[0] // sharp, whole[1] // sharp), Image.Resampling.LANCZOS)


def _draw_path(
    draw: ImageDraw.ImageDraw, path: Trajectory, frames: int, size: tuple[int, int], origin: np.ndarray,
    extent: np.ndarray, color: tuple[int, int, int], font: Any,
) -> None:  # fmt: skip
    """Draw one path on the large frame."""
    sharp = _SHARP
    fine = max(2, min(4 * frames, 2000))
    given_N2 = resample(path.points, fine, path.times) if len(path.points) > fine else np.asarray(path.points)
    for a, b in pairwise(given_N2):
        for part, inside in _cut(a, b):
            ends = [tuple(origin + each * extent) for each in part]
            if inside:
                draw.line(ends, fill=_pale(color), width=3 * sharp)
            else:
                _dashed(draw, np.array(ends))
    at_F2 = origin + fractions(path, frames) * extent
    for at in at_F2:
        _dot(draw, at, 2.2 * sharp, color)
    x, y = at_F2[0]
    draw.ellipse((x - 7 * sharp, y - 7 * sharp, x + 7 * sharp, y + 7 * sharp), outline=color, width=2 * sharp)
    x, y = at_F2[-1]
    draw.rectangle((x - 5 * sharp, y - 5 * sharp, x + 5 * sharp, y + 5 * sharp), outline=color, width=2 * sharp)
    labels = {round(part * (frames - 1)): f"{part:.0%}" for part in (0, 0.25, 0.5, 0.75, 1)}
    taken: list[np.ndarray] = []
    for frame, text in labels.items():
        at = at_F2[frame] + (8 * sharp, -18 * sharp)
        while any((abs(at - other) < (34 * sharp, 15 * sharp)).all() for other in taken):
            at = at + (0, 15 * sharp)
        taken.append(at)
        draw.text(tuple(at), text, fill=color, font=font)
    for first, last in rests(path, frames, size):
        at = at_F2[first] + (10 * sharp, 6 * sharp)
        while any((abs(at - other) < (150 * sharp, 15 * sharp)).all() for other in taken):
            at = at + (0, 15 * sharp)
        taken.append(at)
        draw.text(tuple(at), f"rests, frames {first} to {last}", fill=INK, font=font)


def _cut(a: np.ndarray, b: np.ndarray) -> list[tuple[np.ndarray, bool]]:
    """Cut a line at the edges of the frame: [(ends (2, 2), whether it is inside)]."""
    cuts = {0.0, 1.0}
    for axis in (0, 1):
        for edge in (0.0, 1.0):
            if (a[axis] - edge) * (b[axis] - edge) < 0:
                cuts.add(float((edge - a[axis]) / (b[axis] - a[axis])))
    ordered = sorted(cuts)
    found = []
    for low, high in pairwise(ordered):
        middle = a + (b - a) * (low + high) / 2
        inside = bool(((middle >= 0) & (middle <= 1)).all())
        found.append((np.stack([a + (b - a) * low, a + (b - a) * high]), inside))
    return found


def _dashed(draw: ImageDraw.ImageDraw, ends_22: np.ndarray) -> None:
    length = float(np.hypot(*(ends_22[1] - ends_22[0])))
    for begin in np.arange(0, length, 10 * _SHARP):
        part = np.array([begin, min(begin + 6 * _SHARP, length)]) / max(length, 1e-9)
        dash = [tuple(ends_22[0] + (ends_22[1] - ends_22[0]) * each) for each in part]
        draw.line(dash, fill=OUTSIDE, width=2 * _SHARP)


def _dot(draw: ImageDraw.ImageDraw, at: np.ndarray, radius: float, color: tuple[int, int, int]) -> None:
    draw.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=color)


def _pale(color: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = ((2 * 255 + part) // 3 for part in color)
    return red, green, blue


def over(frame_HWC: np.ndarray, tracks_NF2: Sequence[np.ndarray], frame: int, seen_N: Sequence[bool]) -> np.ndarray:
    """Draw paths up to this frame over a frame, uint8 RGB: a line, and a dot where the object is; a ring where it is
    out of sight. tracks_NF2: pixel indices of all frames."""
    import cv2

    shown_HWC = frame_HWC.copy()
    thick = max(1, round(min(frame_HWC.shape[:2]) / 200))
    for index, (track_F2, seen) in enumerate(zip(tracks_NF2, seen_N)):
        color = COLORS[index % len(COLORS)]
        line = np.rint(track_F2[: frame + 1]).astype(np.int32)[:, None]
        cv2.polylines(shown_HWC, [line], False, (255, 255, 255), thick + 2, cv2.LINE_AA)
        cv2.polylines(shown_HWC, [line], False, color, thick, cv2.LINE_AA)
        x, y = line[-1, 0].tolist()
        cv2.circle(shown_HWC, (x, y), 4 * thick, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(shown_HWC, (x, y), 3 * thick, color, -1 if seen else 1, cv2.LINE_AA)
    return shown_HWC
