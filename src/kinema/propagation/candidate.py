"""One other frame laid over the hole of a frame: along the camera's motion, then a smooth residual flow, in its light.

Legend: H W pixels of a part of the frame around a hole, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..media.masks import grown
from .camera import View, homography
from .membrane import membrane, smooth

GAIN = (0.7, 1.4)
EDGE_PX = 2
"""What lies so near to a source's own mask is not taken: edges are mixed with the object."""


@dataclass(frozen=True)
class Hole:
    """A part of a frame with a hole in it."""

    left: int
    top: int
    frame_HWC: np.ndarray  # uint8, the part
    mask_HW: np.ndarray
    rim_HW: np.ndarray  # known pixels close around the hole
    grid_HW2: np.ndarray  # (x, y) in the frame, float32


@dataclass
class Candidate:
    """Another frame's pixels for a hole. colors_HWC: float32, in the light of the hole's frame. seen_HW: where they are
    the scene's, not the other frame's own hole. misfit_HW: mean absolute difference, of 255, from what is around the
    hole, near each pixel; misfit: the same over the whole rim."""

    index: int
    colors_HWC: np.ndarray
    seen_HW: np.ndarray
    misfit_HW: np.ndarray
    misfit: float
    source: View
    place_HW2: np.ndarray
    light: tuple


def hole_of(view: View, mask_HW: np.ndarray, box: tuple[int, int, int, int], rim_px: int) -> Hole:
    left, top, right, bottom = box
    part = (slice(top, bottom), slice(left, right))
    rim_HW = grown(mask_HW[part], rim_px) & ~view.mask_HW[part]
    grid = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), -1).astype(np.float32)
    return Hole(left, top, view.frame_HWC[part], mask_HW[part], rim_HW, grid)


def candidate(
    hole: Hole, other_HW: np.ndarray, now: View, source: View, guess_33: np.ndarray, search
) -> Candidate | None:
    """other_HW: all masked pixels of the part, other holes included. None where nothing of the hole is seen."""
    best = None
    for step in ("guess", "direct", "flow"):
        if step == "guess":
            to_33 = calm(guess_33, hole)
        elif step == "direct":
            direct_33 = homography(now, source, guess_33)
            if direct_33 is None:
                continue
            to_33 = direct_33
        flow_HW2 = 0
        if step == "flow":
            flow_HW2 = residual(hole, best[1], best[2] & ~other_HW, search)
            to_33 = best[3]
        place_HW2 = projected(hole.grid_HW2 + flow_HW2, to_33)
        seen_HW = visible(source, place_HW2)
        colors = taken(source.frame_HWC, place_HW2)
        made = relit(hole, source, place_HW2, colors, seen_HW, seen_HW & ~other_HW)
        if best is None or made.misfit < best[0].misfit * 0.97:
            best = (made, colors, seen_HW, to_33)
        if best[0].misfit < FINE:
            break
    return best[0] if (best[0].seen_HW & hole.mask_HW).any() else None


FINE = 1.0


def calm(to_33, hole):
    off = projected(hole.grid_HW2[::8, ::8], to_33) - hole.grid_HW2[::8, ::8]
    return np.eye(3) if np.abs(off).max() < 0.25 else to_33


def projected(grid_HW2: np.ndarray, to_33: np.ndarray) -> np.ndarray:
    """Where pixels of one frame lie in another."""
    if np.array_equal(to_33, np.eye(3)):
        return grid_HW2
    return cv2.perspectiveTransform(grid_HW2, to_33)


def taken(frame_HWC: np.ndarray, place_HW2: np.ndarray) -> np.ndarray:
    out = cv2.remap(frame_HWC, place_HW2, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return out.astype(np.float32)


def visible(source: View, place_HW2: np.ndarray) -> np.ndarray:
    """Where a place is inside the frame and not in its mask."""
    free_HW = (~grown(source.mask_HW, EDGE_PX)).astype(np.float32)
    return cv2.remap(free_HW, place_HW2, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) > 0.999


def residual(hole: Hole, plain_HWC: np.ndarray, fit_HW: np.ndarray, search) -> np.ndarray:
    """Smooth flow (x, y) that the homography leaves, seen around the hole and completed inside it."""
    now = cv2.cvtColor(hole.frame_HWC, cv2.COLOR_RGB2GRAY)
    other = cv2.cvtColor(plain_HWC.astype(np.uint8), cv2.COLOR_RGB2GRAY)
    now, other = np.where(fit_HW, now, 0), np.where(fit_HW, other, 0)
    both = membrane(np.stack([now, other], -1), fit_HW)
    now, other = (np.clip(both[..., k], 0, 255).astype(np.uint8) for k in range(2))
    ahead_HW2, back_HW2 = search.calc(now, other, None), search.calc(other, now, None)
    there = (hole.grid_HW2 - (hole.left, hole.top) + ahead_HW2).astype(np.float32)
    returned_HW2 = ahead_HW2 + cv2.remap(back_HW2, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sure_HW = fit_HW & (np.abs(returned_HW2).max(-1) < 0.5 + 0.05 * np.abs(ahead_HW2).max(-1))
    if not sure_HW.any():
        return np.zeros_like(ahead_HW2)
    steady_HW2 = smooth(ahead_HW2, sure_HW, 4.0)
    near_HW = cv2.GaussianBlur(sure_HW.astype(np.float32), (0, 0), 4.0) > 0.05
    return membrane(steady_HW2, near_HW & ~hole.mask_HW)


def relit(hole: Hole, source, place_HW2, colors_HWC: np.ndarray, seen_HW: np.ndarray, fit_HW: np.ndarray) -> Candidate:
    """The candidate in the light of the frame that it is for: gain and offset of each channel from the known pixels
    around the hole."""
    true_HWC = hole.frame_HWC.astype(np.float32)
    rim_HW = fit_HW & hole.rim_HW
    light = (np.ones(3, np.float32), np.zeros(3, np.float32))
    if rim_HW.sum() >= 32:
        light = light_of(colors_HWC[rim_HW], true_HWC[rim_HW])
        colors_HWC = colors_HWC * light[0] + light[1]
    off_HW = np.abs(colors_HWC - true_HWC).mean(-1)
    misfit = float(off_HW[rim_HW].mean()) if rim_HW.any() else 64.0
    near_HW = smooth(off_HW, rim_HW, 6.0)
    misfit_HW = membrane(near_HW, rim_HW) if rim_HW.any() else np.full(off_HW.shape, misfit, np.float32)
    return Candidate(source.index, colors_HWC, seen_HW, misfit_HW, misfit, source, place_HW2, light)


def light_of(made_PC: np.ndarray, true_PC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset) of each channel by robust least squares over pairs of pixels (P, 3)."""
    weight_P = np.ones(len(made_PC), np.float32)
    for _ in range(3):
        total = weight_P.sum()
        means = [(weight_P[:, None] * each).sum(0) / total for each in (made_PC, true_PC)]
        made, true = made_PC - means[0], true_PC - means[1]
        spread = (weight_P[:, None] * made * made).sum(0) / total
        gain = ((weight_P[:, None] * made * true).sum(0) / total + 40.0) / (spread + 40.0)
        gain = gain.clip(*GAIN)
        left_P = np.abs(made * gain - true).max(-1)
        weight_P = 1 / (1 + (left_P / max(4.0, 2 * float(np.median(left_P)))) ** 2)
    return gain, means[1] - gain * means[0]
