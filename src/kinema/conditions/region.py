"""The region of a frame that the model edits: a rectangle around the mask, with the aspect of the model's canvas.

The region is cropped to the model's canvas and composited back, so the cost of an edit does not depend on the clip's
size, and the rest of the clip is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from ..media.masks import box_around

CONTEXT = 1.6
"""Minimum side of the region relative to the mask's, so that the model's input includes the surroundings."""
ROOM = 1.7
"""A region that still contains the mask is reused for the next window, unless it is larger than necessary by this
factor."""


@dataclass(frozen=True)
class Region:
    """Pixels [left, left + width) x [top, top + height) of the frame; outside the frame its border is repeated."""

    left: int
    top: int
    width: int
    height: int

    def holds(self, box: tuple[int, int, int, int]) -> bool:
        left, top, right, bottom = box
        inside = self.left <= left and right <= self.left + self.width
        return inside and self.top <= top and bottom <= self.top + self.height

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """Crop the region from a frame or mask, (height, width, ...)."""
        rows, columns = frame.shape[:2]
        y0, x0 = max(0, self.top), max(0, self.left)
        y1, x1 = min(rows, self.top + self.height), min(columns, self.left + self.width)
        inner = frame[y0:y1, x0:x1]
        beyond = (y0 - self.top, self.top + self.height - y1, x0 - self.left, self.left + self.width - x1)
        return cv2.copyMakeBorder(inner, *beyond, cv2.BORDER_REPLICATE) if any(beyond) else inner

    def composite(self, part: np.ndarray, frame: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
        """Composite a part of the region's size over the frame by alpha (of the frame's size). Pixels with alpha 0 are
        unchanged."""
        rows, columns = frame.shape[:2]
        y0, x0 = max(0, self.top), max(0, self.left)
        y1, x1 = min(rows, self.top + self.height), min(columns, self.left + self.width)
        over = part[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left].astype(np.float32)
        alpha = alpha_HW[y0:y1, x0:x1, None].astype(np.float32)
        below = frame[y0:y1, x0:x1]
        mixed = np.rint(below + alpha * (over - below)).clip(0, 255).astype(np.uint8)
        done = frame.copy()
        done[y0:y1, x0:x1] = np.where(alpha > 0, mixed, below)
        return done


def bounds(masks: Iterable[np.ndarray]) -> tuple[int, int, int, int] | None:
    """The bounding box (left, top, right, bottom), half-open, of all masks together; None if all are empty."""
    return box_around(reduce(np.logical_or, (mask > 0 for mask in masks)))


def fit(
    box: tuple[int, int, int, int], frame_size: tuple[int, int], canvas_size: tuple[int, int],
    before: Region | None = None,
) -> Region:  # fmt: skip
    """A region with the canvas's aspect around a box (left, top, right, bottom). Sizes are (width, height).

    It is at least as large as the canvas if the frame is, to avoid needless upscaling, and at most as large as
    necessary to cover the frame. before: the region of the previous window, reused if it still fits.
    """
    (columns, rows), (wide, tall) = frame_size, canvas_size
    aspect = wide / tall
    left, top, right, bottom = box
    most = max(columns, rows * aspect)
    width = max((right - left) * CONTEXT, (bottom - top) * CONTEXT * aspect, wide)
    width = min(width, most)
    if before is not None and before.holds(box) and before.width <= ROOM * width:
        return before
    height = width / aspect
    size = (max(1, round(width)), max(1, round(height)))
    return Region(_place(left, right, size[0], columns), _place(top, bottom, size[1], rows), *size)


def whole(frame_size: tuple[int, int], canvas_size: tuple[int, int]) -> Region:
    """The region that covers the frame."""
    columns, rows = frame_size
    return fit((0, 0, columns, rows), frame_size, canvas_size)


def _place(start: int, stop: int, length: int, limit: int) -> int:
    """The start of an interval of this length centred on [start, stop), inside [0, limit) if possible."""
    if length >= limit:
        return (limit - length) // 2
    return min(max(0, round((start + stop - length) / 2)), limit - length)


def to_canvas(part: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize a crop to the canvas."""
    if part.shape[1::-1] == (width, height):
        return part
    smaller = part.shape[1] > width
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def mask_to_canvas(part_HW: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize a crop of a mask to the canvas. A canvas pixel that overlaps a hard mask is generated entirely, so that no
    masked pixel remains visible. Soft values are preserved."""
    small = to_canvas(part_HW.astype(np.float32), width, height).clip(0, 1)
    hard = to_canvas((part_HW > 0.5).astype(np.float32), width, height)
    return np.where(hard > 0.02, np.maximum(small, hard > 0.02), small).astype(np.float32)
