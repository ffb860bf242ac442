"""The part of a frame that a model sees while a clip is edited: a rectangle of the canvas's shape around what changes.

The model works on its own small canvas; cut out and put back, an edit costs the same whatever the clip's size, and
the rest of the clip is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from ..media.masks import box_around

CONTEXT = 1.6
"""A side of the region is at least so many times that of what changes: the model must see what is around."""
ROOM = 1.7
"""A region that still holds what changes is kept for the next window, unless it has become this much too large."""


@dataclass(frozen=True)
class Region:
    """Pixels [left, left + width) x [top, top + height) of the frame; parts beyond the frame repeat its border."""

    left: int
    top: int
    width: int
    height: int

    def holds(self, box: tuple[int, int, int, int]) -> bool:
        left, top, right, bottom = box
        inside = self.left <= left and right <= self.left + self.width
        return inside and self.top <= top and bottom <= self.top + self.height

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """The region of a frame or mask, (height, width, ...)."""
        rows, columns = frame.shape[:2]
        y0, x0 = max(0, self.top), max(0, self.left)
        y1, x1 = min(rows, self.top + self.height), min(columns, self.left + self.width)
        inner = frame[y0:y1, x0:x1]
        beyond = (y0 - self.top, self.top + self.height - y1, x0 - self.left, self.left + self.width - x1)
        return cv2.copyMakeBorder(inner, *beyond, cv2.BORDER_REPLICATE) if any(beyond) else inner

    def composite(self, part: np.ndarray, frame: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
        """The frame with the part, of the region's own size, over it where alpha (of the frame's size) says so; where
        alpha is 0 the frame's bytes stay."""
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
    """(left, top, right, bottom), half-open, of all that is above zero in any of the masks; None where nothing is."""
    seen = reduce(np.logical_or, (mask > 0 for mask in masks))
    return box_around(seen)


def fit(
    box: tuple[int, int, int, int], frame_size: tuple[int, int], canvas_size: tuple[int, int],
    before: Region | None = None,
) -> Region:  # fmt: skip
    """A region of the canvas's shape around a box (left, top, right, bottom). Sizes are (width, height).

    It is never smaller than the canvas where the frame is larger, so that nothing is enlarged in vain, and never wider
    than what covers the frame. before: the region of the window before, kept where it still fits.
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
    """Where a stretch of this length begins that has [start, stop) in its middle, inside [0, limit) if that can be."""
    if length >= limit:
        return (limit - length) // 2
    return min(max(0, round((start + stop - length) / 2)), limit - length)


def to_canvas(part: np.ndarray, width: int, height: int) -> np.ndarray:
    """A cut-out at the canvas's size."""
    if part.shape[1::-1] == (width, height):
        return part
    smaller = part.shape[1] > width
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def mask_to_canvas(part_HW: np.ndarray, width: int, height: int) -> np.ndarray:
    """A mask's cut-out at the canvas's size. A canvas pixel that holds anything of a hard mask is generated: nothing of
    what is under the mask may shine through. Softness of its own stays."""
    small = to_canvas(part_HW.astype(np.float32), width, height).clip(0, 1)
    hard = to_canvas((part_HW > 0.5).astype(np.float32), width, height)
    return np.where(hard > 0.02, np.maximum(small, hard > 0.02), small).astype(np.float32)
