"""Paths as control clips: an antialiased disc on black that moves along the path.

`draw` is shared by inference and training, so that both use identical drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import MediaError
from ..core.numerals import decimal
from ..core.text_file import read_text

CANVAS_PX = 256
"""Tora's path files use a 256x256 canvas, whatever the output size."""


def resample(points: Sequence[tuple[float, float]], num_frames: int) -> np.ndarray:
    """Resample a path to `num_frames` points evenly spaced in time, (F, 2), by linear interpolation."""
    path = np.asarray(points, dtype=np.float64)
    if num_frames == 1:
        return path[:1]
    when = np.linspace(0.0, len(path) - 1.0, num_frames)
    ticks = np.arange(len(path), dtype=np.float64)
    return np.stack([np.interp(when, ticks, path[:, axis]) for axis in (0, 1)], axis=1)


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
    """Read a path file: one `x,y` per line on Tora's 256x256 canvas. Points are returned in [0, 1], clamped to the
    frame."""
    path = Path(path)
    points = []
    try:
        lines = read_text(path, error=MediaError).text.splitlines()
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file.") from None
    except MediaError:
        raise MediaError(f"{path}: not a text file. A path file has one point x,y per line.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            x, y = (decimal(part.strip()) / CANVAS_PX for part in line.split(","))
        except ValueError:
            raise MediaError(f"{path}, line {number}: a point has two numbers, x,y; got {line!r}.") from None
        points.append((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)))
    if len(points) < 2:
        raise MediaError(f"{path}: a path needs two or more points, got {len(points)}.")
    return tuple(points)
