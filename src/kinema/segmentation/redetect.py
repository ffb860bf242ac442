"""Redetection of a lost object by masked template matching at a few scales."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..media.masks import box_around

SIZES = (0.8, 1.0, 1.25)
ALIKE = 42.0
"""Maximum RMS colour difference of a match, in levels of 255."""
CLEARLY = 0.5
"""Maximum difference of the best match, as a fraction of the median difference."""
SHORT_PX = 40
"""Shorter side of the template at the reduced size used for matching."""


@dataclass(frozen=True, eq=False)
class Template:
    """The object's appearance: picture_HWC uint8 RGB and mask_HW bool, cropped to its bounding box."""

    picture_HWC: np.ndarray
    mask_HW: np.ndarray

    @classmethod
    def of(cls, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> Template:
        left, top, right, bottom = box_around(mask_HW) or (0, 0, 1, 1)
        return cls(picture_HWC[top:bottom, left:right].copy(), mask_HW[top:bottom, left:right].copy())

    @property
    def area(self) -> int:
        return int(self.mask_HW.sum())

    def place(self, picture_HWC: np.ndarray, near: tuple[int, int, int, int] | None, reach: float) -> np.ndarray | None:
        """Find the object in a picture: bool (H, W), or None without a good match. Searches up to `reach` of its size
        from the box `near` (pixels), or everywhere if that is None."""
        height, width = picture_HWC.shape[:2]
        tall, wide = self.mask_HW.shape
        window = (0, 0, width, height)
        if near is not None:
            x, y = (near[0] + near[2]) / 2, (near[1] + near[3]) / 2
            out_x, out_y = (0.65 + reach) * max(wide, 8), (0.65 + reach) * max(tall, 8)
            window = (
                max(0, int(x - out_x)), max(0, int(y - out_y)),
                min(width, int(x + out_x) + 1), min(height, int(y + out_y) + 1),
            )  # fmt: skip
        part_HWC = picture_HWC[window[1] : window[3], window[0] : window[2]]
        less = min(1.0, SHORT_PX / min(tall, wide))
        best: tuple[float, float, int, int, np.ndarray] | None = None
        for size in SIZES:
            found = self._match(part_HWC, less, size)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        if best is None or best[0] > ALIKE or best[0] > CLEARLY * best[1]:
            return None
        left, top = window[0] + round(best[2] / less), window[1] + round(best[3] / less)
        placed_HW = np.zeros((height, width), bool)
        bottom, right = min(height, top + best[4].shape[0]), min(width, left + best[4].shape[1])
        placed_HW[top:bottom, left:right] = best[4][: bottom - top, : right - left]
        return placed_HW

    def _match(
        self, part_HWC: np.ndarray, less: float, size: float
    ) -> tuple[float, float, int, int, np.ndarray] | None:
        """(difference of the best match, median difference, x, y, mask at this scale), x and y in reduced pixels."""
        tall, wide = self.mask_HW.shape
        true = (max(2, round(wide * size)), max(2, round(tall * size)))
        small = (max(2, round(true[0] * less)), max(2, round(true[1] * less)))
        mask_HW = cv2.resize(self.mask_HW.astype(np.float32), true, interpolation=cv2.INTER_AREA) > 0.5
        weight_HW = cv2.resize(self.mask_HW.astype(np.float32), small, interpolation=cv2.INTER_AREA)
        picture_HWC = cv2.resize(self.picture_HWC, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        where_HWC = cv2.resize(part_HWC, None, fx=less, fy=less, interpolation=cv2.INTER_AREA).astype(np.float32)
        if where_HWC.shape[0] < small[1] or where_HWC.shape[1] < small[0] or weight_HW.sum() < 4:
            return None
        hard_HWC = np.repeat((weight_HW > 0.5).astype(np.float32)[..., None], 3, -1)
        if not hard_HWC.any():
            return None
        squares = cv2.matchTemplate(where_HWC, picture_HWC, cv2.TM_SQDIFF, mask=hard_HWC)
        differences = np.sqrt(np.maximum(squares, 0) / hard_HWC.sum())
        y, x = np.unravel_index(int(np.argmin(differences)), differences.shape)
        return float(differences[y, x]), float(np.median(differences)), int(x), int(y), mask_HW
