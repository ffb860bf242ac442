"""One other frame laid over a hole: along the camera's motion, then a smooth residual flow, in the frame's light.

Legend: H W pixels of a part of the frame around a hole, C channels, P pixels in a list.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..media.masks import grown
from .camera import View, homography
from .flow import DenseFlow
from .hole import Hole
from .membrane import difference, membrane, smooth

EDGE_PX = 2
"""What lies so near to a source's own mask is not taken: edges are mixed with the object."""
FINE = 1.0
"""Of 255: a place that fits like this is looked for no further."""
BETTER = 0.97
"""A finer way is taken where the misfit is below this share of the rougher one's."""
CALM_PX = 0.25
"""A camera that moves less than this over the whole part stands still: pixels are taken as they are."""
GAIN = (0.7, 1.4)
STEADY = 40.0
"""Variance, of 255 squared, that draws a gain towards 1: flat surroundings say nothing about contrast."""
FEWEST, MOST = 32, 3000
"""Pixels of a rim that light is compared on, at least and about at most."""
UNKNOWN = 64.0
"""Misfit of a candidate that shares no rim with the hole's frame."""
NEAR_PX, BROAD_PX = 6.0, 3.0
OWN_PX, OWN_SPEED = 3.0, 1.0
"""px, and px a frame: what is further from the camera's motion is no part of the scene that stands still."""


@dataclass(frozen=True)
class Candidate:
    """Another frame's pixels for a hole. index: of its frame. place_HW2: (x, y) in that frame. colors_HWC: float32, in
    the light of the hole's frame. seen_HW: where they are the scene's and not the other frame's own hole. misfit_HW:
    mean absolute difference, of 255, from what is known around the hole, near each pixel; misfit: over the whole rim;
    broad_HW: near each pixel, of blurred colours, which a texture that lies a little aside does not raise.
    """

    source: View
    index: int
    place_HW2: np.ndarray
    colors_HWC: np.ndarray
    seen_HW: np.ndarray
    misfit_HW: np.ndarray
    broad_HW: np.ndarray
    misfit: float
    light: tuple[np.ndarray, np.ndarray]


def candidate(hole: Hole, now: View, source: View, guess_33: np.ndarray, flow: DenseFlow) -> Candidate | None:
    """The best of three ways: the chained motion, one estimated anew between the two frames, residual flow on top. None
    where nothing of the hole is seen. guess_33: from the hole's frame to the source."""
    to_33 = _calm(hole, guess_33)
    best = _laid(hole, source, projected(hole.grid_HW2, to_33))
    if best.misfit >= FINE and (direct_33 := homography(now, source, guess_33)) is not None:
        made = _laid(hole, source, projected(hole.grid_HW2, direct_33))
        if made.misfit < BETTER * best.misfit:
            best, to_33 = made, direct_33
    if best.misfit >= FINE:
        most_px = OWN_PX + OWN_SPEED * abs(source.index - now.index)
        more_HW2 = flow.around(hole.true_HWC, best.colors_HWC, best.seen_HW & hole.known_HW, most_px)
        made = _laid(hole, source, projected(hole.grid_HW2 + more_HW2, to_33))
        if made.misfit < BETTER * best.misfit:
            best = made
    return best if (best.seen_HW & hole.mask_HW).any() else None


def _calm(hole: Hole, to_33: np.ndarray) -> np.ndarray:
    few_HW2 = hole.grid_HW2[::8, ::8]
    return np.eye(3) if np.abs(projected(few_HW2, to_33) - few_HW2).max() < CALM_PX else to_33


def projected(grid_HW2: np.ndarray, to_33: np.ndarray) -> np.ndarray:
    """Where pixels of one frame lie in another."""
    if np.array_equal(to_33, np.eye(3)):
        return grid_HW2
    return cv2.perspectiveTransform(grid_HW2.astype(np.float32), to_33)


def taken(source: View, place_HW2: np.ndarray, light: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """A source's pixels at places, float32, times a gain plus an offset."""
    out_HWC = cv2.remap(source.frame_HWC, place_HW2, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return out_HWC.astype(np.float32) if light is None else out_HWC * light[0] + light[1]


def visible(source: View, place_HW2: np.ndarray) -> np.ndarray:
    """Where a place is inside the frame and not in its mask, nor at the mask's edge."""
    if source.free_HW is None:
        source.free_HW = np.where(grown(source.mask_HW, EDGE_PX), 0, 255).astype(np.uint8)
    return cv2.remap(source.free_HW, place_HW2, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) == 255


def _laid(hole: Hole, source: View, place_HW2: np.ndarray) -> Candidate:
    colors_HWC, seen_HW = taken(source, place_HW2), visible(source, place_HW2)
    rim_HW = seen_HW & hole.rim_HW
    light = (np.ones(3, np.float32), np.zeros(3, np.float32))
    if rim_HW.sum() >= FEWEST:
        light = light_of(colors_HWC[rim_HW], hole.true_HWC[rim_HW])
        colors_HWC = colors_HWC * light[0] + light[1]
    off_HW = difference(colors_HWC, hole.true_HWC)
    misfit = float(off_HW[rim_HW].mean()) if rim_HW.any() else UNKNOWN
    misfit_HW = spread(off_HW, rim_HW) if rim_HW.any() else np.full(off_HW.shape, misfit, np.float32)
    broad_HW = spread(broadly(colors_HWC, hole.true_HWC, rim_HW), rim_HW) if rim_HW.any() else misfit_HW
    return Candidate(source, source.index, place_HW2, colors_HWC, seen_HW, misfit_HW, broad_HW, misfit, light)


def broadly(one_HWC: np.ndarray, other_HWC: np.ndarray, where_HW: np.ndarray) -> np.ndarray:
    """Mean absolute difference of blurred colours, (H, W)."""
    off_HWC = smooth(one_HWC - other_HWC, where_HW, BROAD_PX)
    return difference(off_HWC, np.zeros_like(off_HWC))


def spread(off_HW: np.ndarray, rim_HW: np.ndarray) -> np.ndarray:
    """Differences on a rim as a smooth surface over everything."""
    return membrane(smooth(off_HW, rim_HW, NEAR_PX), rim_HW)


def light_of(made_PC: np.ndarray, true_PC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset) of each channel, (3,) each: made * gain + offset is true, by least squares that pairs of pixels
    which differ for another reason weigh little in."""
    every = -(-len(made_PC) // MOST)
    made_PC, true_PC = made_PC[::every], true_PC[::every]
    weight_P = np.ones(len(made_PC), np.float32)
    for _ in range(3):
        share_P = weight_P / weight_P.sum()
        made_mean, true_mean = share_P @ made_PC, share_P @ true_PC
        made, true = made_PC - made_mean, true_PC - true_mean
        gain = (share_P @ (made * true) + STEADY) / (share_P @ (made * made) + STEADY)
        gain = gain.clip(*GAIN)
        left_P = np.abs(made * gain - true).max(-1)
        weight_P = 1 / (1 + (left_P / max(4.0, 2 * float(np.median(left_P)))) ** 2)
    return gain.astype(np.float32), (true_mean - gain * made_mean).astype(np.float32)
