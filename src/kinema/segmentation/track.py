"""Tracking: from a click, a box, a mask or a word on the first frame to a mask on every frame.

With the weights of SAM 2 on this machine, SAM 2 tracks (find.py). Otherwise OpenCV does: GrabCut segments the first
frame (cut_out.py); then optical flow propagates the mask (propagate.py), and GrabCut with sampled colours of the object
and the background corrects it in a band around its outline (tracker.py). The shape of an occluded object is kept and
moved with it; when it reappears, it is recognised by its colours. A lost object is searched for by template matching
(redetect.py).

OpenCV works on frames reduced to `LONG_PX`; masks are scaled up smoothly. Two frames are held, however long the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from ..core.conditions import Tracker
from ..core.errors import RequestError
from . import find
from .start import Start

if TYPE_CHECKING:
    from .cut_out import CutOut

__all__ = ["Start", "choose", "doubt_of", "follow", "scaled_up"]

LONG_PX = 384
"""Longer side of the frames in the tracker; smaller frames are not scaled."""


def follow(
    frames: Iterable[np.ndarray], start: Start, *, by: Tracker = "auto", device: str | None = None,
    on_doubt: Callable[[str], None] | None = None, on_unsure: Callable[[int], None] | None = None,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Track an object: yield its mask on every frame, float32 (H, W) in [0, 1], soft at the edge.

    frames: uint8 RGB (H, W, 3), all of one size. Results are deterministic. A frame in which the object is not visible
    has an empty mask. device: of the networks; defaults to the best available. on_doubt: called on the first frame with
    a warning if OpenCV's segmentation is doubtful. on_unsure: called with the index of each frame in which OpenCV sees
    only a part of the object, or has found it again by its appearance.

    Raises before a frame is read: WeightsMissing if words are given without Grounding DINO, or SAM 2 is named but not
    on this machine. On the first frame: RequestError if the words match no object.
    """
    finder = sam2 = None
    if start.words or choose(by) == "sam2":
        finder = find.finder() if start.words else None
        sam2 = find.sam2() if choose(by) == "sam2" else None
    return _tracked(
        frames, start, finder, sam2, device, on_doubt or (lambda doubt: None), on_unsure or (lambda index: None)
    )


def choose(by: Tracker) -> Tracker:
    """Resolve a tracker to `opencv` or `sam2`. Raises WeightsMissing if SAM 2 is named but not on this machine."""
    if by not in get_args(Tracker):
        raise RequestError(f"Unknown tracker {by!r}.", field="by", value=by, legal=", ".join(get_args(Tracker)))
    if by == "opencv":
        return by
    return "opencv" if find.sam2(needed=by == "sam2") is None else "sam2"


def _tracked(
    frames: Iterable[np.ndarray],
    start: Start,
    finder: Path | None,
    sam2: Path | None,
    device: str | None,
    on_doubt: Callable[[str], None],
    on_unsure: Callable[[int], None],
) -> Iterator[np.ndarray]:
    from itertools import chain

    pending = iter(frames)
    first_HWC = next(pending, None)
    if first_HWC is None:
        return
    if finder is not None:
        start = Start(box=find.box_of(first_HWC, start.words, finder, device))
    whole = chain([first_HWC], pending)
    if sam2 is not None:
        yield from find.follow(whole, start, sam2, device)
    else:
        yield from _with_opencv(whole, start, on_doubt, on_unsure)


def _with_opencv(
    frames: Iterable[np.ndarray], start: Start, on_doubt: Callable[[str], None], on_unsure: Callable[[int], None]
) -> Iterator[np.ndarray]:
    from .tracker import Tracker

    tracker: Tracker | None = None
    for index, frame_HWC in enumerate(frames):
        height, width = frame_HWC.shape[:2]
        small_HWC = reduced(frame_HWC)
        if tracker is None:
            first = _cut(small_HWC, start)
            if first.doubt:
                on_doubt(first.doubt)
            tracker = Tracker(small_HWC, first.mask_HW)
        else:
            tracker.step(small_HWC)
            if tracker.unsure:
                on_unsure(index)
        yield scaled_up(tracker.mask_HW, height, width)


def doubt_of(frame_HWC: np.ndarray, start: Start) -> str:
    """A warning about OpenCV's segmentation of a first frame, uint8 RGB, or "". `start`: a click, a box or a mask."""
    return _cut(reduced(frame_HWC), start).doubt


def reduced(frame_HWC: np.ndarray) -> np.ndarray:
    """A frame reduced to the tracker's size."""
    import cv2

    height, width = frame_HWC.shape[:2]
    scale = min(1.0, LONG_PX / max(height, width))
    if scale == 1:
        return frame_HWC
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)


def _cut(picture_HWC: np.ndarray, start: Start) -> CutOut:
    """Segment the object on the first frame by OpenCV; `start`: a click, a box or a mask."""
    import cv2

    from .cut_out import CutOut, from_box, from_click

    height, width = picture_HWC.shape[:2]
    boxes = start.boxes if start.box is None else (start.box,)
    if boxes:
        cuts = []
        for box in boxes:
            left, top, right, bottom = (round(part * size) for part, size in zip(box, (width, height) * 2))
            left, top = min(left, width - 1), min(top, height - 1)
            cuts.append(from_box(picture_HWC, (left, top, max(right, left + 1), max(bottom, top + 1))))
        doubt = next((cut.doubt for cut in cuts if cut.doubt), "")
        return CutOut(np.logical_or.reduce([cut.mask_HW for cut in cuts]), doubt)
    if start.mask_HW is not None:
        given = np.asarray(start.mask_HW, np.float32)
        return CutOut(cv2.resize(given, (width, height), interpolation=cv2.INTER_AREA) > 0.5)
    assert start.click is not None
    x, y = start.click
    return from_click(picture_HWC, min(x * width, width - 1), min(y * height, height - 1))


def scaled_up(mask_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale a bool mask up: float32 in [0, 1], antialiased, with an edge about two pixels wide."""
    import cv2

    if mask_HW.shape == (height, width):
        return mask_HW.astype(np.float32)
    scale = width / mask_HW.shape[1]
    soft_HW = cv2.GaussianBlur(mask_HW.astype(np.float32), (0, 0), 1.0)
    large_HW = cv2.resize(soft_HW, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip((large_HW - 0.5) * max(1.5, scale) + 0.5, 0, 1)
