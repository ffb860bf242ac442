"""A stream of frames and masks in, filled frames out: one pass with a sliding range of frames.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..core.events import OnEvent, Progress, ignore
from ..media.cut import is_cut
from .camera import View, step, view
from .candidate import candidate
from .choose import chosen
from .flow import DenseFlow
from .frame import FilledFrame, Origin
from .fuse import fused
from .held import Held, passing, renewed
from .hole import Hole, holes
from .membrane import membrane, smooth
from .patch import Patching
from .trust import misfit_of, trusted

REACH = 24
SEAM_PX = 2.0


def fill(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    patch: Patching | None = "sharp",
    reach: int = REACH,
    on_event: OnEvent = ignore,
    num_frames: int = 0,
    filler: SceneFill | None = None,
    first: int = 0,
    num_filled: int = 0,
) -> Iterator[FilledFrame]:
    """Each frame (H, W, 3) uint8 RGB with its mask (H, W), not 0 where it is to be filled, all of one size; filled
    frames in the same order.

    A hole takes its pixels from up to `reach` frames before and after that see the place (what is seen only further
    away counts as never seen); frames beyond a cut are not looked at. patch: what none of them shows, or what does not
    fit, is made of the surroundings once and held, "sharp" (looks right) or "close" (softer, nearer to the truth); None
    leaves it to a model (Origin.UNFILLED). num_frames: of the whole clip, for progress. Works `reach` frames ahead of
    what it gives; memory does not grow with length; close the iterator to stop the work. Raises ValueError on frames
    and masks of different sizes.

    To continue an earlier run with equal results: filler as it was after the last frame that run filled, `first` the
    index of the first frame given now, and num_filled, how many of the frames given now were filled then: the last ones
    of the same scene, up to `reach`, unfilled as at first. They are not yielded again."""
    filler = filler or SceneFill(patch)
    begin, done, views = time.perf_counter(), 0, list[View]()
    at = 0

    def ready(least: int) -> Iterator[FilledFrame]:
        nonlocal at, done
        while len(views) - at > least:
            made = filler.filled(views, at)
            at, done = at + 1, done + 1
            if at > reach:
                del views[: at - reach]
                at = reach
            on_event(Progress("fill", done, num_frames, time.perf_counter() - begin))
            yield made

    for index, (frame_HWC, mask_HW) in enumerate(frames, first):
        if mask_HW.shape != frame_HWC.shape[:2] or (views and views[-1].mask_HW.shape != mask_HW.shape):
            raise ValueError(
                f"frame {index}: {frame_HWC.shape} with a mask {mask_HW.shape}; all are to be of one size."
            )
        if views and is_cut(views[-1].frame_HWC, frame_HWC):
            yield from ready(0)
            views, at = [], 0
            filler.forget()
        now = view(index, frame_HWC, mask_HW > 0)
        if views:
            now.step_33 = step(views[-1], now)
        views.append(now)
        if index < first + num_filled:
            at = len(views)
            continue
        yield from ready(reach)
    yield from ready(0)


class SceneFill:
    """One scene's frames, filled in order."""

    def __init__(self, patch: Patching | None) -> None:
        self.patch, self.flow = patch, DenseFlow()
        self.forget()

    def forget(self) -> None:
        """A new scene begins."""
        self.held = Held()
        self.last: View | None = None

    def filled(self, views: list[View], at: int) -> FilledFrame:
        now = views[at]
        if at:
            self.held.advance(now.step_33)
        found = holes(now)
        out_HWC, origin_HW = now.frame_HWC.copy(), np.zeros(now.mask_HW.shape, np.uint8)
        misfits, refused, new_HW = [], 0, np.zeros(now.mask_HW.shape, bool)
        for hole in found:
            made_HWC, seen_HW, kept_HW, misfit = self.propagated(views, at, hole)
            moving_HW = seen_HW & hole.mask_HW & ~kept_HW
            rest_HW = hole.mask_HW & ~kept_HW
            refused += int(moving_HW.sum())
            misfits.append((misfit, int(kept_HW.sum())))
            picture_HWC = np.where(kept_HW[..., None], made_HWC, hole.true_HWC)
            origin = np.where(kept_HW, Origin.PROPAGATED, Origin.UNFILLED)
            known_HW = (hole.known_HW | hole.mask_HW) & ~rest_HW
            if rest_HW.any() and known_HW.any():
                picture_HWC = passing(picture_HWC, moving_HW if self.patch else rest_HW, known_HW)
                if self.patch:
                    picture_HWC, fresh_HW = self.held.lay(hole, picture_HWC, rest_HW & ~moving_HW)
                    new_HW[hole.part] |= fresh_HW
                    origin = np.where(kept_HW, Origin.PROPAGATED, Origin.PATCHED)
            out_HWC[hole.part][hole.mask_HW] = np.rint(picture_HWC.clip(0, 255))[hole.mask_HW]
            origin_HW[hole.part][hole.mask_HW] = origin[hole.mask_HW]
        if self.patch and new_HW.any():
            known_HW = ((origin_HW != Origin.UNFILLED) & ~new_HW) | ~now.mask_HW
            out_HWC = renewed(out_HWC, new_HW, known_HW, self.patch)
        self.last = replace(now, frame_HWC=out_HWC, mask_HW=origin_HW > Origin.PROPAGATED, free_HW=None)
        if new_HW.any():
            self.held.keep(self.last, origin_HW == Origin.PATCHED)
        total, pixels = int(now.mask_HW.sum()), sum(count for _, count in misfits)
        mean = sum(misfit * count for misfit, count in misfits) / pixels if pixels else 0.0
        return FilledFrame(out_HWC, origin_HW, mean, refused / total if total else 0.0)

    def propagated(self, views: list[View], at: int, hole: Hole) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """(float32 picture of the part, where any frame shows it, where of the hole it is to be taken, misfit)."""
        now = views[at]
        laid = (candidate(hole, now, source, to_33, self.flow) for source, to_33 in chosen(views, at, hole))
        found = [each for each in laid if each is not None]
        if not found:
            nothing_HW = np.zeros(hole.mask_HW.shape, bool)
            return hole.true_HWC, nothing_HW, nothing_HW, 0.0
        memory = None
        if at and self.last is not None and now.step_33 is not None:
            memory = candidate(hole, now, self.last, np.linalg.inv(now.step_33), self.flow)
        made = fused(hole, found, now.index, self.flow, memory)
        kept_HW = trusted(hole, made.misfit_HW, made.seen_HW) & hole.mask_HW
        picture_HWC, rim_HW = made.picture_HWC, hole.rim_HW & made.seen_HW
        misfit = misfit_of(hole, picture_HWC, made.seen_HW)
        if rim_HW.any():
            off_HWC = smooth(hole.true_HWC - picture_HWC, rim_HW, SEAM_PX)
            picture_HWC = picture_HWC + membrane(off_HWC, rim_HW)
        return picture_HWC, made.seen_HW, kept_HW, misfit
