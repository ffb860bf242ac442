"""A stream of frames and masks in, filled frames out, from a sliding range of frames.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np

from ..media.masks import box_around, grown
from .camera import View, chained, homography, view
from .candidate import Candidate, candidate, hole_of, projected, visible
from .fuse import fuse

REACH = 24
WANTED, MOST = 7, 10
MEMORY = True


class Source(IntEnum):
    """Where a pixel of a filled frame comes from."""

    KEPT = 0
    PROPAGATED = 1
    PATCHED = 2
    UNFILLED = 3


@dataclass(frozen=True)
class FilledFrame:
    frame_HWC: np.ndarray
    source_HW: np.ndarray
    misfit: float


def fill(frames: Iterable[tuple[np.ndarray, np.ndarray]], *, patch: bool = True, reach: int = REACH) -> Iterator[FilledFrame]:
    views: list[View] = []
    pending = 0
    last = None
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for index, (frame_HWC, mask_HW) in enumerate(frames):
        now = view(index, 0, frame_HWC, mask_HW.astype(bool))
        if views:
            step = homography(views[-1], now, np.eye(3))
            if step is not None:
                now.step_33 = step
        views.append(now)
        while index - pending >= reach:
            last = filled(views, pending - views[0].index, search, last)
            yield last
            pending += 1
            while views[0].index < pending - reach:
                views.pop(0)
    while views and pending <= views[-1].index:
        last = filled(views, pending - views[0].index, search, last)
        yield last
        pending += 1


def filled(views: list[View], at: int, search, last) -> FilledFrame:
    now = views[at]
    out, source_HW = now.frame_HWC.copy(), np.zeros(now.mask_HW.shape, np.uint8)
    if not now.mask_HW.any():
        return FilledFrame(out, source_HW, 0.0)
    source_HW[now.mask_HW] = Source.UNFILLED
    for mask_HW in holes(now.mask_HW):
        left, top, right, bottom = box_around(mask_HW)
        side = max(right - left, bottom - top)
        margin = int(np.clip(0.3 * side, 24, 80))
        height, width = mask_HW.shape
        box = (max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin))
        hole = hole_of(now, mask_HW, box, max(6, margin // 4))
        part = (slice(box[1], box[3]), slice(box[0], box[2]))
        found: list[Candidate] = []
        for k, guess in chosen(views, at, hole):
            one = candidate(hole, now.mask_HW[part], now, views[k], guess, search)
            if one is not None:
                found.append(one)
        if MEMORY and last is not None and found:
            lost = (last.source_HW > Source.PROPAGATED)
            old = View(now.index - 1, now.scene, last.frame_HWC, lost, views[at - 1].gray_HW, views[at-1].points_N2, now.scale)
            one = candidate(hole, now.mask_HW[part], now, old, chained(views, at, at - 1), search)
            if one is not None:
                found.append(one)
        made, seen_HW = fuse(hole, now.mask_HW[part], found, now.index, search)
        fill_HW = seen_HW & hole.mask_HW
        rest_HW = hole.mask_HW & ~seen_HW
        out[part][fill_HW] = made[fill_HW]
        source_HW[part][fill_HW] = Source.PROPAGATED
        if rest_HW.any():
            source_HW[part][rest_HW] = Source.PATCHED
            out[part] = cv2.inpaint(out[part], rest_HW.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    out[~now.mask_HW] = now.frame_HWC[~now.mask_HW]
    return FilledFrame(out, source_HW, 0.0)


STEP = 4
FAR = 2.0


def chosen(views: list[View], at: int, hole) -> list[tuple[int, np.ndarray]]:
    """Frames that together see each pixel of the hole WANTED times where they can: the one next that adds most, near
    ones before far ones."""
    small_HW2 = hole.grid_HW2[::STEP, ::STEP]
    open_HW = hole.mask_HW[::STEP, ::STEP]
    if not open_HW.any():
        open_HW = np.ones_like(open_HW)
    order = [k for k in range(len(views)) if k != at and views[k].scene == views[at].scene]
    ways = [chained(views, at, k) for k in order]
    sees = np.array([visible(views[k], projected(small_HW2, way))[open_HW] for k, way in zip(order, ways)])
    near = np.array([1 / (1 + abs(k - at) / FAR) for k in order])
    count, found = np.zeros(int(open_HW.sum())), []
    while len(found) < MOST and len(order):
        worth = (sees * np.where(count < WANTED, 1 / (1 + count) ** 2, 0)).sum(1) * near
        best = int(worth.argmax())
        if worth[best] < 0.002 * len(count):
            break
        found.append((order[best], ways[best]))
        count += sees[best]
        near[best] = 0
    return found


def holes(mask_HW: np.ndarray) -> list[np.ndarray]:
    count, names_HW = cv2.connectedComponents(grown(mask_HW, 16).astype(np.uint8))
    return [mask_HW & (names_HW == k) for k in range(1, count) if (mask_HW & (names_HW == k)).any()]
