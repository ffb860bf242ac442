"""Candidates of several frames made one picture.

Legend: K candidates, H W pixels of the part around a hole, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .candidate import Candidate, taken, visible
from .flow import DenseFlow, shifted
from .hole import Hole
from .membrane import difference, smooth

FLOOR, POWER = 1.0, 3
"""Weight of a candidate: ((best misfit + FLOOR) / (misfit + FLOOR)) ** POWER."""
NEAR = 4.0
"""Frames: a candidate so far away weighs a quarter of one close by."""
FADE_PX = 8.0
"""Over so many px a candidate fades out towards what it does not see, so that no edge shows."""
APART = 6.0
"""Of 255: a candidate that differs from the others by this weighs half."""
ROUNDS = 1
RIDGE = 9.0
"""Frames squared: draws the speed of what moves apart towards 0 where all frames are on one side."""
MOST_PX, ALIGN_PX = 6.0, 2.0


@dataclass(frozen=True)
class Fused:
    """picture_HWC: float32. seen_HW: where any candidate sees. misfit_HW: mean absolute difference of blurred
    colours, of 255, that the candidates which a pixel is taken from have in the rim near by."""

    picture_HWC: np.ndarray
    seen_HW: np.ndarray
    misfit_HW: np.ndarray


def fused(hole: Hole, found: Sequence[Candidate], at: int, flow: DenseFlow, memory: Candidate | None = None) -> Fused:
    """at: index of the hole's frame. memory: the filled frame before, which keeps the picture steady. It judges nothing
    and shows no place that no other candidate shows."""
    both = [*found, memory] if memory is not None else list(found)
    for _ in range(ROUNDS if max(each.misfit for each in found) > FLOOR else 0):
        weight_KHW = weights(both, at)
        mean_HWC = consensus(both, weight_KHW, len(found))
        known_HWC = np.where(hole.known_HW[..., None], hole.true_HWC, mean_HWC)
        both = aligned(both, known_HWC, weight_KHW, at, flow)
    weight_KHW = weights(both, at)
    own_KHW = weight_KHW[: len(found)]
    total_HW = own_KHW.sum(0)
    misfit_HW = sum(weight_HW * each.broad_HW for weight_HW, each in zip(own_KHW, found)) / np.maximum(total_HW, 1e-9)
    return Fused(consensus(both, weight_KHW, len(found)), total_HW > 0, misfit_HW)


def weights(found: Sequence[Candidate], at: int) -> np.ndarray:
    """How much each candidate counts at each pixel, (K, H, W): by its fit at the rim near by, its distance in time, and
    how deep inside what it sees the pixel lies."""
    best = min(each.misfit for each in found)
    out = []
    for each in found:
        fit_HW = ((best + FLOOR) / (np.maximum(each.misfit_HW, 0) + FLOOR)) ** POWER
        edge_HW = cv2.distanceTransform(each.seen_HW.astype(np.uint8), cv2.DIST_L2, 3)
        out.append(fit_HW * np.minimum(1, edge_HW / FADE_PX) / (1 + abs(each.index - at) / NEAR) ** 2)
    return np.stack(out).astype(np.float32)


def consensus(found: Sequence[Candidate], weight_KHW: np.ndarray, judges: int) -> np.ndarray:
    """Weighted mean of the candidates that agree: colour consistency decides (Granados et al., ECCV 2012). judges: how
    many, from the first on, decide what the others are to agree with."""
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
    """Candidates laid over each other. What is left between each and the mean is taken to move evenly, x(t) = x0 + v t,
    fitted at each pixel over all candidates; its place at the hole's own time is where the mean belongs."""
    flows, sure = [], []
    for each, weight_HW in zip(found, weight_KHW):
        left_HW2 = flow.between(mean_HWC, each.colors_HWC, each.seen_HW)
        sure_HW = weight_HW * (np.abs(left_HW2).max(-1) < MOST_PX)
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
        colors_HWC = taken(each.source, place_HW2, each.light)
        seen_HW = visible(each.source, place_HW2)
        out.append(replace(each, place_HW2=place_HW2, colors_HWC=colors_HWC, seen_HW=seen_HW))
    return out
