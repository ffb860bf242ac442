"""Which frames a hole is filled from.

Legend: H W pixels of a part of the frame, on every STEP-th row and column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .camera import View
from .candidate import projected, visible
from .hole import Hole

STEP = 4
WANTED, MOST = 7, 10
"""Each pixel is to be seen in so many frames; so many frames are used at most."""
FAR = 2.0
"""A frame so many frames away counts half."""
WORTH = 0.002
"""A frame that adds less than this is not used: of all pixels seen for the first time, in the next frame."""


def ways(views: Sequence[View], at: int) -> dict[int, np.ndarray]:
    """For each view that views[at] is linked with: the homography from views[at] to it, along the steps between."""
    found = {}
    for side in (range(at + 1, len(views)), range(at - 1, -1, -1)):
        total_33 = np.eye(3)
        for k in side:
            step_33 = views[max(k, k - 1) if k > at else k + 1].step_33
            if step_33 is None:
                break
            total_33 = (step_33 if k > at else np.linalg.inv(step_33)) @ total_33
            found[k] = total_33 / total_33[2, 2]
    return found


def chosen(views: Sequence[View], at: int, hole: Hole) -> list[tuple[View, np.ndarray]]:
    """Views that together see each pixel of the hole WANTED times where they can, with the way to each: always the one
    next that adds most, near ones before far ones."""
    linked = ways(views, at)
    open_HW = hole.mask_HW[::STEP, ::STEP]
    if not open_HW.any():
        open_HW = np.ones_like(open_HW)
    small_HW2 = np.ascontiguousarray(hole.grid_HW2[::STEP, ::STEP])
    order = sorted(linked, key=lambda k: abs(k - at))
    sees = [visible(views[k], projected(small_HW2, linked[k]))[open_HW] for k in order]
    near = np.array([1 / (1 + abs(k - at) / FAR) for k in order])
    count = np.zeros(int(open_HW.sum()))
    found: list[tuple[View, np.ndarray]] = []
    while order and len(found) < MOST:
        worth = (np.array(sees) * np.where(count < WANTED, 1 / (1 + count) ** 2, 0)).sum(1) * near
        best = int(worth.argmax())
        if worth[best] < WORTH * len(count):
            break
        found.append((views[order[best]], linked[order[best]]))
        count += sees[best]
        near[best] = 0
    return found
