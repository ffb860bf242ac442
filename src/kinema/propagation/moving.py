"""An object that moves by itself behind a hole: a layer of its own before the background.

Legend: H W pixels of a part of the frame around a hole, C channels, K candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..media.masks import disc, grown
from .blend import Fused, consensus, fused, weights
from .camera import View
from .candidate import Candidate, blurred_difference, candidate, judged, projected, warped
from .flow import DenseFlow, shifted
from .hole import Hole, around
from .membrane import difference
from .sources import Linked, showing
from .track import Template, extrapolated, followed, interpolated_positions

OFF = 12.0
"""Of 255: what differs from the background by more belongs to the object."""
LEAST, LEAST_PX = 0.004, 40
"""Pixels of an object that is worth following: of the hole's, and in any case."""
SPREAD, FAR = 2, 24.0
"""The background is the median of some of every SPREAD-th frame; FAR as for sources."""
TOUCH_PX = 6
VOTES = 0.5
NEAR, INSIDE_PX = (2, 5), 8
GUARD_PX = 6
SOFT_PX = 0.8
FITS = 10.0
GROWN_PX = 3


@dataclass(frozen=True)
class Layer:
    """hole: with a wider part than that of the hole it is for. picture_HWC: float32. mask_HW: bool, where the object
    is. error_HW: expected error, of 255. motion: displacement (x, y) of the object, without the camera's motion, by
    index of the frame."""

    hole: Hole
    picture_HWC: np.ndarray
    mask_HW: np.ndarray
    error_HW: np.ndarray
    motion: dict[int, np.ndarray]

    def within(self, hole: Hole) -> np.ndarray:
        """Where the object is in the part of a hole that this layer is for, bool."""
        return self.mask_HW[self._part(hole)]

    def before(self, hole: Hole, behind: Fused | None) -> Fused:
        """The object before its background."""
        part = self._part(hole)
        object_HW = self.mask_HW[part]
        if behind is None:
            return Fused(self.picture_HWC[part], object_HW, self.error_HW[part])
        share_HW1 = cv2.GaussianBlur(object_HW.astype(np.float32), (0, 0), SOFT_PX)[..., None]
        share_HW1 = np.where(behind.seen_HW[..., None], share_HW1, object_HW[..., None])
        picture_HWC = behind.picture_HWC + share_HW1 * (self.picture_HWC[part] - behind.picture_HWC)
        error_HW = np.where(object_HW, self.error_HW[part], behind.error_HW)
        return Fused(picture_HWC, behind.seen_HW | object_HW, error_HW)

    def _part(self, hole: Hole) -> tuple[slice, slice]:
        return tuple(
            slice(mine.start - wide.start, mine.start - wide.start + size)
            for mine, wide, size in zip(hole.part, self.hole.part, hole.mask_HW.shape)
        )


class MovingObject:
    """An object behind a hole, followed from frame to frame. motion: its displacement by index of the frame, in pixels
    of the last frame. mask_HW: where it is in the last frame, bool."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.motion: dict[int, np.ndarray] = {}
        self.mask_HW: np.ndarray | None = None

    def advance(self, index: int, step_33: np.ndarray | None) -> None:
        if step_33 is None or index not in self.motion or self.mask_HW is None:
            self.forget()
            return
        height, width = self.mask_HW.shape
        here = self.motion[index]
        shift_33 = step_33 @ np.array([[1, 0, here[0]], [0, 1, here[1]], [0, 0, 1.0]])
        self.mask_HW = cv2.warpPerspective(
            self.mask_HW.astype(np.uint8), shift_33, (width, height), flags=cv2.INTER_NEAREST
        ) > 0
        self.motion = {k: place - here for k, place in self.motion.items()}

    def layer(self, now: View, linked: Sequence[Linked], hole: Hole, flow: DenseFlow) -> Layer | None:
        mask_HW = np.zeros(now.mask_HW.shape, bool)
        mask_HW[hole.part] = hole.mask_HW
        wide = around(now, mask_HW, int(max(hole.mask_HW.any(0).sum(), hole.mask_HW.any(1).sum())))
        every = [one for one in linked if (one[0].index - now.index) % SPREAD == 0]
        camera = {now.index: np.eye(3)} | {source.index: to_33 for source, to_33 in linked}
        by_index = {now.index: now} | {source.index: source for source, _ in linked}
        found: list[Candidate] = []
        seed_HW = None
        for first in (True, False) if self.mask_HW is None else (False,):
            here_HW = None if self.mask_HW is None else self.mask_HW[wide.part]
            back = background(wide, now, self.masked(every), here_HW, flow)
            self.debug = (wide, wide.true_HWC if back is None else back[0], None)
            if back is None:
                break
            stir_HW = self.near(wide, now, linked)
            seed_HW = seed(wide, *back, stir_HW > OFF)
            if seed_HW is not None and here_HW is not None and not first:
                seed_HW = seed_HW & grown(here_HW, GUARD_PX)
                seed_HW = seed_HW if seed_HW.sum() > LEAST_PX else None
            self.debug = (wide, back[0], seed_HW)
            if seed_HW is not None:
                most = float(np.percentile(stir_HW[seed_HW], 90)) + 1e-3
                template = Template.of(wide, seed_HW, np.clip(stir_HW / most, 0.1, 1) ** 2)
                places = followed(template, now.index, by_index, camera, self.motion)
                if len(places) > 1:
                    places = {k: at for k, at in self.motion.items() if k in by_index} | places
                    self.motion = interpolated_positions(places, sorted(by_index))
                elif first:
                    self.motion = {}
            if len(self.motion) < 2:
                break
            known_HW = np.zeros_like(wide.mask_HW) if seed_HW is None else seed_HW
            found = self.candidates(replace(wide, rim_HW=known_HW), camera, by_index, now.index)
            if not found:
                break
            where_HW = self.where(wide, found, *back, now.index)
            if here_HW is not None:
                known_HW = known_HW | (here_HW & wide.known_HW)
            where_HW = connected(where_HW & ~(wide.known_HW & ~grown(known_HW, GUARD_PX)), known_HW | (here_HW if here_HW is not None else known_HW))
            self.mask_HW = np.zeros(now.mask_HW.shape, bool)
            self.mask_HW[wide.part] = where_HW
        if len(self.motion) < 2 or not found or not where_HW.any():
            self.forget()
            return None
        of_object = replace(wide, rim_HW=wide.known_HW & where_HW, known_HW=wide.known_HW & where_HW)
        made = fused(of_object, [judged(of_object, each) for each in found], now.index, flow)
        sure_HW = of_object.known_HW & made.seen_HW
        self.debug += (made.picture_HWC, where_HW)
        if sure_HW.any() and difference(made.picture_HWC, wide.true_HWC)[sure_HW].mean() > FITS:
            return None
        return Layer(wide, made.picture_HWC, where_HW & made.seen_HW, made.error_HW, self.motion)

    def near(self, wide: Hole, now: View, linked: Sequence[Linked]) -> np.ndarray:
        """How much frames shortly before and after differ, without a motion of its own: of 255, at most."""
        out_HW = np.zeros(wide.mask_HW.shape, np.float32)
        for source, to_33 in linked:
            if abs(source.index - now.index) in NEAR:
                made = warped(wide, source, projected(wide.grid_HW2, to_33))
                off_HW = cv2.blur(difference(made.colors_HWC, wide.true_HWC), (3, 3))
                np.maximum(out_HW, off_HW, out=out_HW, where=made.seen_HW & wide.known_HW)
        return out_HW

    def masked(self, linked: Sequence[Linked]) -> list[Linked]:
        """Source frames with the object in their masks."""
        if self.mask_HW is None:
            return list(linked)
        object_HW = grown(self.mask_HW, GROWN_PX).astype(np.uint8)
        height, width = object_HW.shape
        out = []
        for source, to_33 in linked:
            place = extrapolated(self.motion, source.index)
            if place is not None:
                shift_33 = to_33 @ np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1.0]])
                there_HW = cv2.warpPerspective(object_HW, shift_33, (width, height), flags=cv2.INTER_NEAREST) > 0
                source = replace(source, mask_HW=source.mask_HW | there_HW, free_HW=None)
            out.append((source, to_33))
        return out

    def candidates(
        self, hole: Hole, camera: Mapping[int, np.ndarray], views: Mapping[int, View], at: int
    ) -> list[Candidate]:
        moved = []
        for index, place in self.motion.items():
            if index != at and index in camera:
                shift_33 = np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1.0]])
                moved.append((views[index], camera[index] @ shift_33))
        chosen = showing(moved, at, hole)
        made = (warped(hole, source, projected(hole.grid_HW2, to_33)) for source, to_33 in chosen)
        return [judged(hole, each) for each in made if (each.seen_HW & hole.mask_HW).any()]

    def where(
        self, wide: Hole, found: Sequence[Candidate], back_HWC: np.ndarray, shown_HW: np.ndarray, at: int
    ) -> np.ndarray:
        """Where the object is, bool: most of the frames in which it is seen there differ from the background there."""
        for_it, number = np.zeros(shown_HW.shape, np.float32), np.zeros(shown_HW.shape, np.float32)
        for each in found:
            place = np.broadcast_to(self.motion[each.index].astype(np.float32), (*shown_HW.shape, 2))
            height, width = shown_HW.shape
            inside = shifted(shown_HW.astype(np.float32), place) > 0.99
            x, y = wide.grid_HW2[..., 0] - wide.grid_HW2[0, 0, 0] + place[..., 0], wide.grid_HW2[..., 1] - wide.grid_HW2[0, 0, 1] + place[..., 1]
            inside &= (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1) & each.seen_HW
            off_HW = cv2.blur(difference(each.colors_HWC, shifted(back_HWC, place)), (3, 3))
            for_it += inside & (off_HW > OFF)
            number += inside
        object_HW = for_it > VOTES * np.maximum(number, 1)
        now_HW = cv2.blur(difference(back_HWC, wide.true_HWC), (3, 3)) > OFF
        colors_HWC = consensus(found, weight_KHW := weights(found, at), len(found))
        near_HW = (weight_KHW.sum(0) > 0) & (cv2.blur(difference(colors_HWC, wide.true_HWC), (5, 5)) < 2 * OFF)
        object_HW &= ~wide.known_HW | ((now_HW | ~shown_HW) & near_HW)
        object_HW = cv2.morphologyEx(object_HW.astype(np.uint8), cv2.MORPH_CLOSE, disc(3))
        return cv2.medianBlur(object_HW, 5) > 0


def seed(wide: Hole, back_HWC: np.ndarray, shown_HW: np.ndarray, moving_HW: np.ndarray) -> np.ndarray | None:
    """Where the object is in sight next to the hole, bool; None if it is not."""
    both_HW = wide.known_HW & shown_HW
    off_HW = blurred_difference(back_HWC, wide.true_HWC, both_HW)
    off_HW = np.minimum(off_HW, cv2.blur(difference(back_HWC, wide.true_HWC), (3, 3)))
    object_HW = (both_HW & (off_HW > OFF) & grown(moving_HW, INSIDE_PX)).astype(np.uint8)
    object_HW = cv2.morphologyEx(object_HW, cv2.MORPH_OPEN, np.ones((3, 3)))
    _, names_HW = cv2.connectedComponents(object_HW)
    touching = np.unique(names_HW[grown(wide.mask_HW, TOUCH_PX) & (object_HW > 0)])
    seed_HW = np.isin(names_HW, touching[touching > 0])
    return seed_HW if seed_HW.sum() > max(LEAST_PX, LEAST * wide.mask_HW.sum()) else None


def connected(mask_HW: np.ndarray, with_HW: np.ndarray) -> np.ndarray:
    """Those of a mask's connected parts that touch another mask."""
    _, names_HW = cv2.connectedComponents(mask_HW.astype(np.uint8))
    touching = np.unique(names_HW[with_HW & mask_HW])
    return np.isin(names_HW, touching[touching > 0])


def background(
    wide: Hole, now: View, linked: Sequence[Linked], object_HW: np.ndarray | None, flow: DenseFlow
) -> tuple[np.ndarray, np.ndarray] | None:
    """(median of the frames that show each pixel, float32, where any shows it). None if no frame shows the part.
    object_HW: of the present frame, that is not compared."""
    if object_HW is not None:
        free_HW = wide.known_HW & ~grown(object_HW, GROWN_PX)
        wide = replace(wide, known_HW=free_HW, rim_HW=wide.rim_HW & free_HW)
    everywhere = replace(wide, mask_HW=np.ones_like(wide.mask_HW))
    chosen = showing(linked, now.index, everywhere, FAR)
    made = (candidate(wide, now, *one, flow) for one in chosen)
    found = [each for each in made if each is not None]
    if not found:
        return None
    count_HW = np.stack([each.seen_HW for each in found]).sum(0)
    order_KHWC = np.sort([np.where(each.seen_HW[..., None], each.colors_HWC, np.inf) for each in found], axis=0)
    rows, columns = np.indices(count_HW.shape)
    last_HW = np.maximum(count_HW - 1, 0)
    median_HWC = 0.5 * (order_KHWC[last_HW // 2, rows, columns] + order_KHWC[(last_HW + 1) // 2, rows, columns])
    shown_HW = count_HW > 0
    return np.where(shown_HW[..., None], median_HWC, 0).astype(np.float32), shown_HW
