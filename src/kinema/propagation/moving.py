"""An object that moves by itself behind a hole: a layer of its own before the background, made of other frames along
the object's motion.

Legend: H W pixels of a part of the frame around a hole, C channels, K candidates. A displacement (x, y) px is the
object's own motion, without the camera's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..media.masks import disc, grown
from .background import OFF, Background, average_difference, background, connected, moving_part
from .blend import UNSURE, Fused, consensus, fused, weights
from .camera import View
from .candidate import Candidate, blurred_difference, judged, projected, warped
from .flow import DenseFlow, shifted
from .frame import Origin
from .hole import Hole, around
from .membrane import difference
from .sources import Linked, showing
from .track import ObjectTemplate, extrapolated, followed, interpolated

STIRRED = 0.02
"""Fraction of a rim or a hole in which the source frames disagree: something may move behind the hole."""
PAUSE = 4
"""Frames after one in which no object was found, until the next search."""
LEAST_SPEED = 0.006
"""Of the frame's longer side, from frame to frame: slower motion may be the parallax of a camera that moves."""
VOTES = 0.5
"""Fraction of the frames that show a pixel of the object in which it must differ from the background."""
GROWN_PX, GUARD_PX = 3, 6
"""The object is masked in source frames with this margin; in the present one it is looked for this far around."""
EDGE_PX, CLOSED_PX = 2, 3
SOFT_PX = 0.8
FITS = 10.0
"""Of 255: mean difference from the object's known pixels up to which the layer is used."""


@dataclass(frozen=True)
class Layer:
    """hole: the hole with a wider part around it. picture_HWC: float32. mask_HW: bool, where the object is."""

    hole: Hole
    picture_HWC: np.ndarray
    mask_HW: np.ndarray

    def behind(self, hole: Hole) -> Hole:
        """The hole with only the background as known surroundings."""
        free_HW = ~grown(self.mask_HW[self._part(hole)], EDGE_PX)
        return replace(hole, known_HW=hole.known_HW & free_HW, rim_HW=hole.rim_HW & free_HW)

    def within(self, shape: tuple[int, ...]) -> np.ndarray:
        """Where the object is in a frame of this shape, bool."""
        out_HW = np.zeros(shape, bool)
        out_HW[self.hole.part] = self.mask_HW
        return out_HW

    def over(self, frame_HWC: np.ndarray, origin_HW: np.ndarray, hole_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(a filled frame with the object over it inside the hole, uint8, origins of its pixels)."""
        frame_HWC, origin_HW, part = frame_HWC.copy(), origin_HW.copy(), self.hole.part
        share_HW1 = cv2.GaussianBlur(self.mask_HW.astype(np.float32), (0, 0), SOFT_PX)[..., None]
        mixed_HWC = frame_HWC[part] + share_HW1 * (self.picture_HWC - frame_HWC[part])
        inside_HW = hole_HW[part] & (share_HW1[..., 0] > 0)
        frame_HWC[part][inside_HW] = np.rint(mixed_HWC.clip(0, 255))[inside_HW]
        origin_HW[part][hole_HW[part] & self.mask_HW] = Origin.PROPAGATED
        return frame_HWC, origin_HW

    def _part(self, hole: Hole) -> tuple[slice, slice]:
        top, left = (mine.start - wide.start for mine, wide in zip(hole.part, self.hole.part))
        height, width = hole.mask_HW.shape
        return slice(top, top + height), slice(left, left + width)


class MovingObject:
    """An object behind the largest hole, followed from frame to frame. motion: its displacement from the last frame, by
    index of the frame. mask_HW: where it is in the last frame, bool."""

    def __init__(self) -> None:
        self.pause = 0
        self.forget()

    def forget(self) -> None:
        self.motion: dict[int, np.ndarray] = {}
        self.mask_HW: np.ndarray | None = None

    def advance(self, index: int, step_33: np.ndarray | None) -> None:
        """Go to the next frame. index: of that frame. step_33: the homography from the present one to it; None forgets
        the object."""
        self.pause = max(0, self.pause - 1)
        if step_33 is None or index not in self.motion or self.mask_HW is None:
            self.forget()
            return
        here = self.motion[index]
        self.mask_HW = _placed(self.mask_HW, step_33 @ _shift(here))
        self.motion = {k: place - here for k, place in self.motion.items()}

    def layer(
        self, now: View, linked: Sequence[Linked], hole: Hole, blended: Fused | None, flow: DenseFlow
    ) -> Layer | None:
        """The object's layer; None if nothing moves behind the hole or it cannot be followed. linked: source frames.
        blended: what they show, None if nothing."""
        if self.mask_HW is None and (self.pause or not _stirred(hole, blended)):
            return None
        made = self._layer(now, linked, _wide(now, hole), flow)
        if made is None:
            self.forget()
            self.pause = PAUSE + 1
        return made

    def masked(self, linked: Sequence[Linked]) -> list[Linked]:
        """Source frames with the object in their masks."""
        if self.mask_HW is None:
            return list(linked)
        object_HW, out = grown(self.mask_HW, GROWN_PX), list[Linked]()
        for source, to_33 in linked:
            place = extrapolated(self.motion, source.index)
            if place is not None:
                mask_HW = source.mask_HW | _placed(object_HW, to_33 @ _shift(place))
                source = replace(source, mask_HW=mask_HW, free_HW=None)
            out.append((source, to_33))
        return out

    def _layer(self, now: View, linked: Sequence[Linked], wide: Hole, flow: DenseFlow) -> Layer | None:
        found: list[Candidate] = []
        for _ in range(2 if self.mask_HW is None else 1):  # the first background still shows the object
            here_HW = np.zeros_like(wide.mask_HW) if self.mask_HW is None else self.mask_HW[wide.part]
            behind = background(wide, now, linked, self.masked(linked), grown(here_HW, GROWN_PX), flow)
            if behind is None:
                return None
            seen_HW = moving_part(wide, behind)
            if seen_HW is not None and here_HW.any():
                seen_HW &= grown(here_HW, GUARD_PX)
            if seen_HW is not None and seen_HW.any():
                template = ObjectTemplate.of(wide, seen_HW, behind.moved_HW)
                self.motion |= followed(template, now.index, linked, self.motion)
                self.motion = interpolated(self.motion, [now.index, *(source.index for source, _ in linked)])
            if now.index not in self.motion or len(self.motion) < 2:
                return None
            if _speed(self.motion, now.index) < LEAST_SPEED * max(now.mask_HW.shape):
                return None
            known_HW = here_HW & wide.known_HW if seen_HW is None else seen_HW | (here_HW & wide.known_HW)
            found = self._candidates(replace(wide, rim_HW=known_HW if seen_HW is None else seen_HW), linked, now.index)
            if not found:
                return None
            object_HW = _object(wide, found, self.motion, behind, now.index)
            object_HW &= ~wide.known_HW | grown(known_HW, GUARD_PX)
            object_HW = connected(object_HW, known_HW | here_HW)
            self.mask_HW = np.zeros(now.mask_HW.shape, bool)
            self.mask_HW[wide.part] = object_HW
        known_HW = wide.known_HW & object_HW
        of_object = replace(wide, rim_HW=known_HW, known_HW=known_HW)
        made = fused(of_object, [judged(of_object, each) for each in found], now.index, flow)
        sure_HW = known_HW & made.seen_HW
        misfit = difference(made.picture_HWC, wide.true_HWC)[sure_HW].mean() if sure_HW.any() else 0.0
        if misfit > FITS or not (object_HW & grown(wide.mask_HW, GUARD_PX)).any():
            return None
        return Layer(wide, made.picture_HWC, object_HW & made.seen_HW)

    def _candidates(self, hole: Hole, linked: Sequence[Linked], at: int) -> list[Candidate]:
        """Source frames along the object's motion."""
        moved = [
            (source, to_33 @ _shift(self.motion[source.index]))
            for source, to_33 in linked
            if source.index in self.motion
        ]
        made = (warped(hole, source, projected(hole.grid_HW2, to)) for source, to in showing(moved, at, hole))
        return [judged(hole, each) for each in made if (each.seen_HW & hole.mask_HW).any()]


def _stirred(hole: Hole, blended: Fused | None) -> bool:
    """Whether something may move behind a hole: the source frames do not fit the rim, or each other."""
    if blended is None:  # without its background, where the object ends is not known
        return False
    rim_HW = hole.rim_HW & blended.seen_HW
    off_HW = rim_HW & (blurred_difference(blended.picture_HWC, hole.true_HWC, rim_HW) > OFF)
    unsure_HW = blended.error_HW[hole.mask_HW] > UNSURE
    return bool(off_HW.sum() > STIRRED * hole.rim_HW.sum() or unsure_HW.mean() > STIRRED)


def _wide(now: View, hole: Hole) -> Hole:
    """The hole in a part with a margin as wide as the hole, in which an object is known around it."""
    mask_HW = np.zeros(now.mask_HW.shape, bool)
    mask_HW[hole.part] = hole.mask_HW
    return around(now, mask_HW, int(max(hole.mask_HW.any(0).sum(), hole.mask_HW.any(1).sum())))


def _object(
    wide: Hole, found: Sequence[Candidate], motion: Mapping[int, np.ndarray], behind: Background, at: int
) -> np.ndarray:
    """Where the object is, bool: most of the frames, along its motion, differ there from the background that they
    hide. Known pixels are the object's only if they fit it."""
    shape = behind.shown_HW.shape
    votes_HW, number_HW = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    inner_HW = np.pad(behind.shown_HW[1:-1, 1:-1], 1).astype(np.float32)  # the border is not known further out
    for each in found:
        place_HW2 = np.broadcast_to(motion[each.index].astype(np.float32), (*shape, 2))
        sees_HW = each.seen_HW & (shifted(inner_HW, place_HW2) > 0.99)
        off_HW = average_difference(each.colors_HWC, shifted(behind.picture_HWC, place_HW2)) > OFF
        votes_HW += sees_HW & off_HW
        number_HW += sees_HW
    object_HW = votes_HW > VOTES * np.maximum(number_HW, 1)
    weight_KHW = weights(found, at)
    off_HW = average_difference(consensus(found, weight_KHW, len(found)), wide.true_HWC)
    fits_HW = (weight_KHW.sum(0) > 0) & (off_HW < 2 * OFF)
    object_HW &= ~wide.known_HW | (fits_HW & (behind.off(wide.true_HWC) | ~behind.shown_HW))
    closed_HW = cv2.morphologyEx(object_HW.astype(np.uint8), cv2.MORPH_CLOSE, disc(CLOSED_PX))
    return cv2.medianBlur(closed_HW, 5) > 0


def _speed(motion: Mapping[int, np.ndarray], at: int) -> float:
    """Median of the object's speed between the present frame and the others, px a frame."""
    return float(np.median([np.hypot(*place) / abs(index - at) for index, place in motion.items() if index != at]))


def _shift(place: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1.0]])


def _placed(mask_HW: np.ndarray, to_33: np.ndarray) -> np.ndarray:
    """A mask of one frame in another frame."""
    return cv2.warpPerspective(mask_HW.astype(np.uint8), to_33, mask_HW.shape[::-1], flags=cv2.INTER_NEAREST) > 0
