"""Blending the candidates of several source frames into one picture.

Legend: K candidates, H W pixels of the part around a hole, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .candidate import Candidate, sampled, visible
from .flow import DenseFlow, shifted
from .hole import Hole
from .membrane import difference, longest, smooth

FLOOR, POWER = 1.0, 3
"""Weight of a candidate: ((best misfit + FLOOR) / (misfit + FLOOR)) ** POWER."""
NEAR = 4.0
"""Frames: a candidate so far away weighs a quarter of one close by."""
FADE_PX = 8.0
"""Distance, in px, over which a candidate fades out towards the edge of its visible area."""
APART = 6.0
"""Of 255: a candidate that differs from the others by this weighs half."""
UNSURE, STEADY = 8.0, 3.0
"""Disagreement, of 255, from which the previous frame weighs more, and how much more: the weight is multiplied by up to
1 + STEADY."""
COARSE = 4
"""Disagreement is measured at this fraction of the resolution."""
ROUNDS = 1
RIDGE = 9.0
"""Frames squared: regularises the fitted speed towards 0 if all source frames are on one side."""
MOST_PX, ALIGN_PX = 6.0, 2.0


@dataclass(frozen=True)
class Fused:
    """picture_HWC: float32. seen_HW: pixels that any candidate shows. error_HW: expected error, of 255: the weighted
    mean of the candidates' misfits (of blurred colours, in the rim near by) plus their disagreement."""

    picture_HWC: np.ndarray
    seen_HW: np.ndarray
    error_HW: np.ndarray


def fused(hole: Hole, found: Sequence[Candidate], at: int, flow: DenseFlow, memory: Candidate | None = None) -> Fused:
    """at: index of the hole's frame. memory: the previous filled frame, for stability in time. It has no part in the
    errors, and adds no pixel that no other candidate shows."""
    both = [*found, memory] if memory is not None else list(found)
    for _ in range(ROUNDS if max(each.misfit for each in found) > FLOOR else 0):
        weight_KHW = weights(both, at)
        mean_HWC = consensus(both, weight_KHW, len(found))
        known_HWC = np.where(hole.known_HW[..., None], hole.true_HWC, mean_HWC)
        both = aligned(both, known_HWC, weight_KHW, at, flow)
    weight_KHW = weights(both, at)
    own_KHW = weight_KHW[: len(found)]
    total_HW = own_KHW.sum(0)
    error_HW = sum(weight_HW * each.broad_HW for weight_HW, each in zip(own_KHW, found)) / np.maximum(total_HW, 1e-9)
    if error_HW.max() >= UNSURE:
        apart_HW = disagreement(both[: len(found)], own_KHW)
        error_HW = error_HW + apart_HW
        if memory is not None:
            weight_KHW[-1] *= 1 + STEADY * np.minimum(1, apart_HW / UNSURE)
    return Fused(consensus(both, weight_KHW, len(found)), total_HW > 0, error_HW)


def disagreement(found: Sequence[Candidate], weight_KHW: np.ndarray) -> np.ndarray:
    """The weighted mean difference of the candidates' blurred colours from their mean, of 255, (H, W) float32: large if
    an object covers the background in some of the source frames."""
    height, width = weight_KHW.shape[1:]
    size = (-(-width // COARSE), -(-height // COARSE))
    colors = [cv2.resize(each.colors_HWC, size, interpolation=cv2.INTER_AREA) for each in found]
    small_KHW = np.stack([cv2.resize(weight_HW, size, interpolation=cv2.INTER_AREA) for weight_HW in weight_KHW])
    mean_HWC = _mean(colors, small_KHW)
    off_KHW = np.stack([difference(each_HWC, mean_HWC) for each_HWC in colors])
    apart_HW = (small_KHW * off_KHW).sum(0) / np.maximum(small_KHW.sum(0), 1e-9)
    return cv2.resize(cv2.blur(apart_HW, (3, 3)), (width, height), interpolation=cv2.INTER_LINEAR)


def weights(found: Sequence[Candidate], at: int) -> np.ndarray:
    """The weight of each candidate at each pixel, (K, H, W) float32: from its misfit in the rim near by, its distance
    in time, and the pixel's distance from the edge of its visible area."""
    best = min(each.misfit for each in found)
    out = []
    for each in found:
        fit_HW = ((best + FLOOR) / (np.maximum(each.misfit_HW, 0) + FLOOR)) ** POWER
        edge_HW = cv2.distanceTransform(each.seen_HW.astype(np.uint8), cv2.DIST_L2, 3)
        out.append(fit_HW * np.minimum(1, edge_HW / FADE_PX) / (1 + abs(each.index - at) / NEAR) ** 2)
    return np.stack(out).astype(np.float32)


def consensus(found: Sequence[Candidate], weight_KHW: np.ndarray, judges: int) -> np.ndarray:
    """Weighted mean of the candidates; outliers in colour weigh less (colour consistency: Granados et al., ECCV 2012).
    judges: the number of candidates, from the first on, that make the first mean."""
    colors = [each.colors_HWC for each in found]
    mean_HWC = _mean(colors[:judges], weight_KHW[:judges])
    for _ in range(3 if len(found) > 1 else 0):
        off_KHW = np.stack([cv2.blur(difference(each, mean_HWC), (5, 5)) for each in colors])
        mean_HWC = _mean(colors, weight_KHW / (1 + (off_KHW / APART) ** 2))
    return mean_HWC


def _mean(colors: Sequence[np.ndarray], weight_KHW: np.ndarray) -> np.ndarray:
    total_HWC = np.zeros_like(colors[0])
    for each_HWC, weight_HW in zip(colors, weight_KHW):
        total_HWC += each_HWC * weight_HW[..., None]
    return total_HWC / np.maximum(weight_KHW.sum(0), 1e-9)[..., None]


def aligned(
    found: Sequence[Candidate], mean_HWC: np.ndarray, weight_KHW: np.ndarray, at: int, flow: DenseFlow
) -> list[Candidate]:
    """Candidates aligned with each other. The remaining flow between each and the mean is fitted at each pixel, over
    all candidates, by a uniform motion x(t) = x0 + v t; x0 is the position at the time of the hole's frame."""
    flows, sure = [], []
    for each, weight_HW in zip(found, weight_KHW):
        left_HW2 = flow.between(mean_HWC, each.colors_HWC, each.seen_HW)
        sure_HW = weight_HW * (longest(left_HW2) < MOST_PX)
        flows.append(smooth(left_HW2, sure_HW, ALIGN_PX))
        sure.append(sure_HW)
    flow_KHW2, sure_KHW1 = np.stack(flows), np.stack(sure)[..., None] + 1e-6
    time_K = np.array([each.index - at for each in found], np.float32).reshape(-1, 1, 1, 1)
    total, first, second = ((sure_KHW1 * time_K**power).sum(0) for power in range(3))
    moved, drift = (sure_KHW1 * flow_KHW2).sum(0), (sure_KHW1 * time_K * flow_KHW2).sum(0)
    speed_HW2 = (total * drift - first * moved) / (total * (second + RIDGE * total) - first * first)
    start_HW2 = (moved - first * speed_HW2) / total
    out = []
    for each, flow_HW2 in zip(found, flow_KHW2):
        place_HW2 = shifted(each.place_HW2, flow_HW2 - start_HW2)
        colors_HWC = sampled(each.source, place_HW2, each.light)
        seen_HW = visible(each.source, place_HW2)
        out.append(replace(each, place_HW2=place_HW2, colors_HWC=colors_HWC, seen_HW=seen_HW))
    return out
