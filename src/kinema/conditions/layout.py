"""Layout control clips: the box of an object, frame by frame (VACE's layout control).

A dark rectangle on white, as VACE's annotator draws it; the line width scales with the picture.
"""

from __future__ import annotations

import numpy as np

INK_RGB = (0, 0, 0)


def draw_boxes(
    boxes_NF4: np.ndarray, height: int, width: int, colors: list[tuple[int, int, int]] | None = None
) -> np.ndarray:
    """Draw the outlines of N boxes (left, top, right, bottom as fractions of the frame) on white; uint8 (F, H, W, 3).

    A box with a NaN is not drawn in that frame. colors: RGB of each box; defaults to black.
    """
    boxes_NF4 = np.asarray(boxes_NF4, dtype=np.float64)
    line = max(1, round(min(height, width) / 64))
    frames = np.full((boxes_NF4.shape[1], height, width, 3), 255, np.uint8)
    for boxes_F4, color in zip(boxes_NF4, colors or [INK_RGB] * len(boxes_NF4), strict=True):
        for frame, box in zip(frames, boxes_F4, strict=True):
            if np.isnan(box).any():
                continue
            left, right = (int(np.clip(round(x * width), 0, width - 1)) for x in box[[0, 2]])
            top, bottom = (int(np.clip(round(y * height), 0, height - 1)) for y in box[[1, 3]])
            inside = frame[top : bottom + 1, left : right + 1]
            paper = inside[line:-line, line:-line].copy()
            inside[:] = color
            inside[line:-line, line:-line] = paper
    return frames
