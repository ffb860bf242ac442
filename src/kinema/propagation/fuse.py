"""Candidates of several frames made one picture that meets the rim of the hole without a seam.

Legend: K candidates, H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from .candidate import Candidate, Hole, taken, visible
from .membrane import membrane, smooth

FLOOR = 1.0


NEAR = 4.0
ROUNDS = 2
RIDGE = 9.0
POWER = 3


def weights(found, at):
    best = min(each.misfit for each in found)
    weight = np.stack([((best + FLOOR) / (each.misfit_HW + FLOOR)) ** POWER / (1 + abs(each.index - at) / NEAR) ** 2 for each in found])
    for k, each in enumerate(found):
        inner = cv2.distanceTransform(each.seen_HW.astype(np.uint8), cv2.DIST_L2, 3)
        weight[k] *= np.where(each.seen_HW, np.minimum(1, inner / 8), 0)
    return np.maximum(weight, 0).astype(np.float32)


def mean_of(colors, weight):
    mean = (colors * weight[..., None]).sum(0) / np.maximum(weight.sum(0), 1e-9)[..., None]
    for _ in range(3):
        off = np.abs(colors - mean).mean(-1)
        off = np.stack([cv2.blur(each, (5, 5)) for each in off])
        robust = weight / (1 + (off / 6.0) ** 2)
        mean = (colors * robust[..., None]).sum(0) / np.maximum(robust.sum(0), 1e-9)[..., None]
    return mean


def align(found, mean, weight, search, at, hole):
    target = cv2.cvtColor(mean.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    flows, sure = [], []
    for k, each in enumerate(found):
        gray = cv2.cvtColor(each.colors_HWC.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        gray = np.where(each.seen_HW, gray, target)
        flow = search.calc(target, gray, None)
        w = weight[k] * (np.abs(flow).max(-1) < 6)
        flows.append(smooth(flow, w, 2.0))
        sure.append(w)
    flows, w = np.stack(flows), np.stack(sure)[..., None] + 1e-6
    tau = np.array([each.index - at for each in found], np.float32)[:, None, None, None]
    s0, s1, s2 = w.sum(0), (w * tau).sum(0), (w * tau * tau).sum(0)
    d, dt = (w * flows).sum(0), (w * tau * flows).sum(0)
    v = (s0 * dt - s1 * d) / (s0 * (s2 + RIDGE * s0) - s1 * s1)
    d0 = (d - s1 * v) / s0
    height, width = target.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    for k, each in enumerate(found):
        place = cv2.remap(each.place_HW2, (grid + flows[k] - d0).astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        each.place_HW2 = place
        each.colors_HWC = taken(each.source.frame_HWC, place) * each.light[0] + each.light[1]
        each.seen_HW = visible(each.source, place)


def fuse(hole: Hole, other_HW: np.ndarray, found: list[Candidate], at: int, search) -> tuple[np.ndarray, np.ndarray]:
    seen_HW = np.zeros(hole.mask_HW.shape, bool)
    if not found:
        return hole.frame_HWC.copy(), seen_HW
    true = hole.frame_HWC.astype(np.float32)
    for step in range(ROUNDS + 1):
        weight = weights(found, at)
        colors = np.stack([each.colors_HWC for each in found])
        mean = mean_of(colors, weight)
        if step < ROUNDS:
            align(found, np.where(other_HW[..., None], mean, true), weight, search, at, hole)
    seen_HW = (weight > 0).any(0)
    fit_HW = seen_HW & ~other_HW & hole.rim_HW
    if fit_HW.any():
        off = smooth(true - mean, fit_HW, 2.0)
        mean = mean + membrane(off, fit_HW)
    return np.rint(mean.clip(0, 255)).astype(np.uint8), seen_HW
