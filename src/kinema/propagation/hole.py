"""A part of a frame with a hole in it.

Legend: H W pixels of the part, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..media.masks import box_around, grown
from .camera import View

MARGIN = 0.3
"""Margin on each side, as a fraction of the hole's longer side, within MARGIN_PX."""
MARGIN_PX = (24, 80)
JOINED_PX = 16
"""Holes closer than twice this are one hole."""


@dataclass(frozen=True)
class Hole:
    """part: rows and columns of the frame. true_HWC: float32, the frame's pixels there; valid where known_HW. mask_HW:
    this hole. known_HW: pixels outside all masks. rim_HW: known pixels around the hole. grid_HW2: (x, y) in the frame,
    float32."""

    part: tuple[slice, slice]
    true_HWC: np.ndarray
    mask_HW: np.ndarray
    known_HW: np.ndarray
    rim_HW: np.ndarray
    grid_HW2: np.ndarray


def holes(view: View) -> list[Hole]:
    """The holes of a frame, each with a margin around it."""
    if not view.mask_HW.any():
        return []
    count, names_HW = cv2.connectedComponents(grown(view.mask_HW, JOINED_PX).astype(np.uint8))
    each = (view.mask_HW & (names_HW == k) for k in range(1, count))
    return [_hole(view, mask_HW) for mask_HW in each if mask_HW.any()]


def _hole(view: View, mask_HW: np.ndarray) -> Hole:
    height, width = mask_HW.shape
    box = box_around(mask_HW)
    assert box is not None
    left, top, right, bottom = box
    margin = int(np.clip(MARGIN * max(right - left, bottom - top), *MARGIN_PX))
    left, top, right, bottom = max(0, left - margin), max(0, top - margin), right + margin, bottom + margin
    part = (slice(top, min(height, bottom)), slice(left, min(width, right)))
    known_HW = ~view.mask_HW[part]
    x, y = np.arange(part[1].start, part[1].stop), np.arange(part[0].start, part[0].stop)
    return Hole(
        part=part,
        true_HWC=view.frame_HWC[part].astype(np.float32),
        mask_HW=mask_HW[part],
        known_HW=known_HW,
        rim_HW=grown(mask_HW[part], max(6, margin // 4)) & known_HW,
        grid_HW2=np.stack(np.meshgrid(x, y), -1).astype(np.float32),
    )
