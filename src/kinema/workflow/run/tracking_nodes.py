"""SAM3_Detect by Kinema's own tracker: an object, found by words or a point on the first frame, followed through the
clip.

Legend: F frames, H W height and width.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...core.errors import RequestError
from ...core.outside import parse_json
from ...segmentation import find, track
from ...segmentation.start import Start
from .resize import to_uint8
from .streams import num_of_block
from .values import Inputs, Masks, Pictures

_LEVEL = 1


def sam3_detect(inputs: Mapping[str, Any], files: Inputs) -> tuple[Masks, None]:
    """SAM3_Detect: masks, 0 or 1, of one object; `threshold` and `refine_iterations` have no counterpart. RequestError:
    neither words nor a point, or several points; boxes; individual masks. WeightsMissing: words without the detector.
    """
    image: Pictures = inputs["image"]
    if inputs.get("individual_masks"):
        raise RequestError("SAM3_Detect: individual_masks = true.", field="individual_masks", value=True,
                           legal="false: one object is followed")  # fmt: skip
    start = _start(inputs, image.width, image.height)
    if start.words:
        find.finder()
    masks = _Followed(image, start)
    return Masks(image.count, image.height, image.width, masks.blocks), None


def _start(inputs: Mapping[str, Any], width: int, height: int) -> Start:
    for name in ("bboxes", "negative_coords"):
        if inputs.get(name):
            raise RequestError(f"SAM3_Detect: {name}.", field=name, legal="words, or one point in positive_coords")
    if inputs.get("positive_coords"):
        points = parse_json(str(inputs["positive_coords"]), "positive_coords", list, error=RequestError)
        try:
            (point,) = points
            x, y = float(point["x"]), float(point["y"])
        except (ValueError, TypeError, KeyError):
            raise RequestError("SAM3_Detect: positive_coords.", field="positive_coords", value=str(points)[:80],
                               legal='one point in pixels, [{"x": 10, "y": 20}]') from None  # fmt: skip
        return Start(click=(x / width, y / height))
    words = str(getattr(inputs.get("conditioning"), "text", None) or "").strip()
    if not words:
        raise RequestError("SAM3_Detect: nothing says which object.", field="conditioning",
                           legal="words, or one point in positive_coords")  # fmt: skip
    return Start(words=words)


class _Followed:
    """The masks of a clip, found once and in order, however often and from where they are read. They are kept as
    compressed bits: a few kilobytes a frame."""

    def __init__(self, image: Pictures, start: Start) -> None:
        self.image, self.start = image, start
        self.kept: list[bytes] = []
        self.lock = threading.Lock()
        self.tracking: Iterator[np.ndarray] | None = None

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        num = num_of_block(self.image.height, self.image.width)
        for first in range(start, stop, num):
            yield np.stack([self._frame(index) for index in range(first, min(stop, first + num))])

    def _frame(self, index: int) -> np.ndarray:
        height, width = self.image.height, self.image.width
        with self.lock:
            if index >= len(self.kept) and self.tracking is None:
                self.kept.clear()  # tracking failed before its end: from the first frame again
                self.tracking = track.follow(self._frames(), self.start)
            while index >= len(self.kept):
                assert self.tracking is not None
                tracking, self.tracking = self.tracking, None
                mask_HW = next(tracking)
                self.tracking = tracking
                self.kept.append(zlib.compress(np.packbits(mask_HW > 0.5).tobytes(), _LEVEL))
            if len(self.kept) == self.image.count:
                self.tracking = None
        bits = np.frombuffer(zlib.decompress(self.kept[index]), np.uint8)
        return np.unpackbits(bits, count=height * width).reshape(height, width).astype(np.float32)

    def _frames(self) -> Iterator[np.ndarray]:
        for block_FHWC in self.image.blocks(0, self.image.count):
            yield from to_uint8(block_FHWC[..., :3])
