"""Filling the masked area of a stream of frames in one pass, with a sliding range of source frames.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from ..core.events import OnEvent, Progress, ignore
from ..media.cut import is_cut
from .blend import fused
from .camera import View, step, view
from .candidate import Candidate, candidate
from .flow import DenseFlow
from .frame import FilledFrame, Origin
from .hole import Hole, holes
from .keyframe import PatchedKeyframe, with_patches
from .membrane import membrane, smooth
from .patch import Patching, surface
from .sources import Keyframes, Linked, chained_homographies, selected
from .steady import NEVER, PreviousFrame
from .trust import confidence, misfit_of

REACH = 24
SEAM_PX = 2.0
WORKERS = 2


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
    """Fill the masked area of each frame; yields filled frames in the same order.

    frames: (frame (H, W, 3) uint8 RGB, mask (H, W), nonzero = fill), all of one size. The source frames of a hole are
    up to `reach` frames before and after it, and a few keyframes from further back; none is beyond a cut. patch: the
    fill of pixels that no source shows, made once from the surroundings and carried along the camera motion: "sharp"
    (exemplar-based inpainting) or "close" (softer, nearer to the truth); None leaves them to a model (Origin.UNFILLED).
    Where a moving object passes behind the hole, the fill is smooth and changes slowly. num_frames: of the whole clip,
    for progress. Reads `reach` frames ahead; memory does not grow with length; close the iterator to stop the work.
    Raises ValueError on frames and masks of different sizes.

    To continue an earlier run with equal results: filler as it was after the last frame that run filled, `first` the
    index of the first frame given now, and num_filled, how many of the frames given now were filled then: the last ones
    of the same scene, up to `reach`, unfilled as at first. They are not yielded again."""
    filler = filler or SceneFill(patch)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="kinema-fill") as filler.pool:
        yield from _filled(frames, filler, reach, on_event, num_frames, first, num_filled)


def _filled(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], filler: SceneFill, reach: int, on_event: OnEvent, num_frames: int,
    first: int, num_filled: int,
) -> Iterator[FilledFrame]:  # fmt: skip
    begin, done, views = time.perf_counter(), 0, list[View]()
    at = 0

    def ready(least: int) -> Iterator[FilledFrame]:
        nonlocal at, done
        while len(views) - at > least:
            made = filler.filled(views, at)
            at, done = at + 1, done + 1
            if at > reach:
                filler.leave(views[0], chained_homographies(views, at - 1).get(0))
                del views[: at - reach]
                at = reach
            on_event(Progress("fill", done, num_frames, time.perf_counter() - begin))
            yield made

    for index, (frame_HWC, mask_HW) in enumerate(frames, first):
        if mask_HW.shape != frame_HWC.shape[:2] or (views and views[-1].mask_HW.shape != mask_HW.shape):
            raise ValueError(
                f"frame {index}: {frame_HWC.shape} with a mask {mask_HW.shape}; all frames must have one size."
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
    """Fills the frames of one scene in order. pool: threads that align source frames; None uses the calling one."""

    def __init__(self, patch: Patching | None, pool: Executor | None = None) -> None:
        self.patch, self.pool, self.flow = patch, pool, DenseFlow()
        self.forget()

    def forget(self) -> None:
        """Begin a new scene."""
        self.patches, self.previous, self.keyframes = PatchedKeyframe(), PreviousFrame(), Keyframes()
        self.last: View | None = None

    def leave(self, view: View, to_33: np.ndarray | None) -> None:
        """A frame leaves the sliding range. to_33: the homography from the present frame to it."""
        if to_33 is not None:
            self.keyframes.add(view, to_33)

    def filled(self, views: list[View], at: int) -> FilledFrame:
        now = views[at]
        if at:
            for each in (self.patches, self.previous, self.keyframes):
                each.advance(now.step_33)
        out_HWC, origin_HW = now.frame_HWC.copy(), np.zeros(now.mask_HW.shape, np.uint8)
        weights = [np.full(now.mask_HW.shape, NEVER, np.float32) for _ in range(2)]
        misfits, refused, slow, new_HW = [], 0, 0.0, np.zeros(now.mask_HW.shape, bool)
        for hole in holes(now):
            made_HWC, seen_HW, trust_HW, misfit, fine = self.propagated(views, at, hole)
            slow += fine * float(hole.mask_HW.sum())
            trust_HW = np.where(seen_HW, self.previous.followed(hole, trust_HW, 0), 0).astype(np.float32)
            kept_HW = hole.mask_HW & (trust_HW >= 0.5)
            moving_HW = seen_HW & hole.mask_HW & ~kept_HW
            refused += int(moving_HW.sum())
            misfits.append((misfit, int(kept_HW.sum())))
            weights[0][hole.part][hole.mask_HW] = trust_HW[hole.mask_HW]
            rest_HW = hole.mask_HW & (trust_HW < 1)
            known_HW = (hole.known_HW | hole.mask_HW) & ~rest_HW
            if not known_HW.any():
                known_HW = kept_HW
            picture_HWC, fresh_HW = made_HWC, np.zeros_like(rest_HW)
            if rest_HW.any() and known_HW.any():
                known_HWC = np.where((hole.mask_HW & known_HW)[..., None], made_HWC, hole.true_HWC)
                smooth_HWC = surface(known_HWC, rest_HW, known_HW)
                if self.patch:
                    smooth_HWC = self.previous.renewed(hole, smooth_HWC)
                    patch_HWC, there_HW, share_HW = self.patches.patches(hole, rest_HW)
                    share_HW = self.previous.followed(hole, share_HW, 1) * there_HW
                    weights[1][hole.part][there_HW] = share_HW[there_HW]
                    smooth_HWC = smooth_HWC + share_HW[..., None] * (patch_HWC - smooth_HWC)
                    fresh_HW = hole.mask_HW & ~seen_HW & ~there_HW
                    new_HW[hole.part] |= fresh_HW
                picture_HWC = smooth_HWC + trust_HW[..., None] * (made_HWC - smooth_HWC)
            origin = np.where(kept_HW, Origin.PROPAGATED, Origin.PATCHED if self.patch else Origin.UNFILLED)
            if not known_HW.any():
                origin = np.full_like(origin, Origin.UNFILLED)
            out_HWC[hole.part][hole.mask_HW] = np.rint(picture_HWC.clip(0, 255))[hole.mask_HW]
            origin_HW[hole.part][hole.mask_HW] = origin[hole.mask_HW]
        if self.patch and new_HW.any():
            known_HW = ((origin_HW != Origin.UNFILLED) & ~new_HW) | ~now.mask_HW
            out_HWC = with_patches(out_HWC, new_HW, known_HW, self.patch)
        self.last = replace(now, frame_HWC=out_HWC, mask_HW=origin_HW > Origin.PROPAGATED, free_HW=None)
        self.previous.keep(replace(self.last, mask_HW=now.mask_HW), weights)
        if new_HW.any():
            self.patches.keep(self.last, origin_HW == Origin.PATCHED)
        total, pixels = int(now.mask_HW.sum()), sum(count for _, count in misfits)
        mean = sum(misfit * count for misfit, count in misfits) / pixels if pixels else 0.0
        return FilledFrame(out_HWC, origin_HW, mean, *((refused / total, slow / total) if total else (0.0, 0.0)))

    def propagated(
        self, views: list[View], at: int, hole: Hole
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
        """(float32 picture of the part, where any source frame shows it, bool, its weight against a smooth fill,
        float32 in [0, 1], misfit, the fraction of source frames that required a finer alignment)."""
        now = views[at]
        sources = list(selected(views, at, hole, self.keyframes.linked))
        if at and self.last is not None and now.step_33 is not None:
            sources.append((self.last, np.linalg.inv(now.step_33)))

        def aligned(linked: Linked) -> Candidate | None:
            return candidate(hole, now, *linked, self.flow)

        made = list(map(aligned, sources) if self.pool is None else self.pool.map(aligned, sources))
        memory = made.pop() if sources and sources[-1][0] is self.last else None
        found = [each for each in made if each is not None]
        if not found:
            nothing_HW = np.zeros(hole.mask_HW.shape, bool)
            return hole.true_HWC, nothing_HW, nothing_HW.astype(np.float32), 0.0, 0.0
        blended = fused(hole, found, now.index, self.flow, memory)
        trust_HW = confidence(hole, blended.error_HW, blended.seen_HW)
        picture_HWC, rim_HW = blended.picture_HWC, hole.rim_HW & blended.seen_HW
        misfit = misfit_of(hole, picture_HWC, blended.seen_HW)
        if rim_HW.any():
            off_HWC = smooth(hole.true_HWC - picture_HWC, rim_HW, SEAM_PX)
            picture_HWC = picture_HWC + membrane(off_HWC, rim_HW)
        return picture_HWC, blended.seen_HW, trust_HW, misfit, sum(each.fine for each in found) / len(found)
