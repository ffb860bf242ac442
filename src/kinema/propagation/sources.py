"""Selecting the source frames of a hole.

Legend: H W pixels of a part of the frame, on every STEP-th row and column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .camera import View
from .candidate import projected, visible
from .hole import Hole

Linked = tuple[View, np.ndarray]
"""A source frame and the homography from the present frame to it."""
STEP = 4
WANTED, MOST = 7, 10
"""Source frames that should show each pixel; source frames used at most."""
FAR = 2.0
"""A frame at this distance, in frames, counts half."""
WORTH = 0.002
"""A frame that adds less is not used. 1 is a neighbouring frame that shows all pixels for the first time."""

KEPT, EVERY = 4, 24
"""Keyframes kept, and the frames between two of them."""


def chained_homographies(views: Sequence[View], at: int) -> dict[int, np.ndarray]:
    """The homographies from views[at] to each view that a chain of steps connects with it, by index in views."""
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


def selected(views: Sequence[View], at: int, hole: Hole, earlier: Sequence[Linked] = ()) -> list[Linked]:
    """Views that together show each pixel of the hole WANTED times, if possible, with the homographies to them.
    Greedy: each time the view that adds most, near ones before far ones. earlier: keyframes from before views[0]."""
    homographies = chained_homographies(views, at)
    linked = [*((views[k], to_33) for k, to_33 in homographies.items()), *earlier]
    linked.sort(key=lambda each: abs(each[0].index - views[at].index))
    open_HW = hole.mask_HW[::STEP, ::STEP]
    if not open_HW.any():
        open_HW = np.ones_like(open_HW)
    small_HW2 = np.ascontiguousarray(hole.grid_HW2[::STEP, ::STEP])
    sees = np.array([visible(source, projected(small_HW2, to_33))[open_HW] for source, to_33 in linked])
    near = np.array([1 / (1 + abs(source.index - views[at].index) / FAR) for source, _ in linked])
    count = np.zeros(int(open_HW.sum()))
    found: list[Linked] = []
    while linked and len(found) < MOST:
        worth = (sees * np.where(count < WANTED, 1 / (1 + count) ** 2, 0)).sum(1) * near
        best = int(worth.argmax())
        if worth[best] < WORTH * len(count):
            break
        found.append(linked[best])
        count += sees[best]
        near[best] = 0
    return found


class Keyframes:
    """A few frames from before the sliding range, for pixels that only they show: bounded memory of a slow pan."""

    def __init__(self) -> None:
        self.linked: list[Linked] = []

    def advance(self, step_33: np.ndarray | None) -> None:
        """Go to the next frame. step_33: the homography from the present one to it; None forgets all keyframes."""
        if step_33 is None:
            self.linked = []
            return
        back_33 = np.linalg.inv(step_33)
        moved = ((source, to_33 @ back_33) for source, to_33 in self.linked)
        self.linked = [(source, to_33 / to_33[2, 2]) for source, to_33 in moved]

    def add(self, view: View, to_33: np.ndarray) -> None:
        """Store a frame that leaves the range, if the last one is EVERY frames before it. to_33: from the present frame
        to it."""
        if not self.linked or view.index - self.linked[-1][0].index >= EVERY:
            self.linked = [*self.linked[-(KEPT - 1) :], (view, to_33)]
