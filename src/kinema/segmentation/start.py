"""The start of tracking: the object on the first frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..core.conditions import Box, Point
from ..core.errors import RequestError


@dataclass(frozen=True)
class Start:
    """The object on the first frame: exactly one of a `click` (x, y), a `box` (left, top, right, bottom), both in
    fractions of the frame, a `mask_HW` of the frame's aspect, 1 = the object, and `words`, its name in English; raises
    RequestError otherwise. `boxes`: the rectangles of a mask that consists of boxes; each is segmented like a box."""

    click: Point | None = None
    box: Box | None = None
    mask_HW: np.ndarray | None = field(default=None, compare=False)
    words: str = ""
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        given = [each for each in (self.click, self.box, self.mask_HW, self.words or None) if each is not None]
        if len(given) != 1:
            raise RequestError("Tracking takes exactly one of a click, a box, a mask and words.", field="start")
        if self.click is not None and not all(0 <= part <= 1 for part in self.click):
            raise RequestError("The click is outside the frame.", field="click", value=self.click, legal="0 to 1 each")
        if self.box is not None:
            left, top, right, bottom = self.box
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                legal = "left < right and top < bottom, each from 0 to 1"
                raise RequestError("The box is empty or outside the frame.", field="box", value=self.box, legal=legal)
        if self.mask_HW is not None and (self.mask_HW.ndim != 2 or not (self.mask_HW > 0.5).any()):
            raise RequestError("The initial mask is empty.", field="mask", legal="(H, W), 1 = the object")
