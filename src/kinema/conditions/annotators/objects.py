"""Layouts of an object drawn from its mask: its box, or its outline, on white. Legend: H W height and width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...core.errors import RequestError
from ...media.masks import box_around
from ..layout import INK_RGB, draw_boxes

SPECK = 0.01
"""Parts of a mask smaller than this fraction of its largest part count as noise."""


def boxes(frames: Iterator[np.ndarray], masks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the box of the mask in each frame, dark on white (`layout.draw_boxes`); all white for an empty mask."""
    for shape, mask_HW in _paired(frames, masks):
        yield draw_boxes(np.array([[box(mask_HW)]]), *shape)[0]


def outlines(frames: Iterator[np.ndarray], masks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the outer contours of the mask in each frame, black on white, 3 px wide (thinner on small pictures)."""
    import cv2

    for (height, width), mask_HW in _paired(frames, masks):
        contours, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        line_px = max(1, min(3, round(min(height, width) / 80)))
        yield cv2.drawContours(np.full((height, width, 3), 255, np.uint8), contours, -1, INK_RGB, line_px)


def box(mask_HW: np.ndarray) -> tuple[float, float, float, float]:
    """The tight box (left, top, right, bottom; fractions of the frame, right and bottom exclusive); NaN for an empty
    mask."""
    found = box_around(mask_HW)
    if found is None:
        return (np.nan,) * 4
    height, width = mask_HW.shape
    left, top, right, bottom = found
    return left / width, top / height, right / width, bottom / height


def _paired(frames: Iterator[np.ndarray], masks: Iterable[np.ndarray]) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield (height, width) of each frame with its mask: bool, of that size, without specks."""
    pending = iter(masks)
    for index, frame_HW3 in enumerate(frames):
        mask = next(pending, None)
        if mask is None:
            raise RequestError(
                f"There are only {index} masks for more frames.", field="masks", value=index, legal="one per frame"
            )
        yield frame_HW3.shape[:2], _cleaned(mask, *frame_HW3.shape[:2])


def _cleaned(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask, bool or brightness 0..255 with or without channels, as bool (H, W) without specks."""
    import cv2

    plane_HW = mask.max(axis=-1) if mask.ndim == 3 else mask
    hard_HW = (plane_HW if plane_HW.dtype == bool else plane_HW > 127).astype(np.uint8)
    if hard_HW.shape != (height, width):
        hard_HW = cv2.resize(hard_HW, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    count, names_HW, stats_N5, _ = cv2.connectedComponentsWithStats(hard_HW, connectivity=8)
    if count <= 2:
        return hard_HW.astype(bool)
    area_N = stats_N5[:, cv2.CC_STAT_AREA]
    kept_N = area_N >= SPECK * area_N[1:].max()
    kept_N[0] = False  # the background
    return kept_N[names_HW]
