"""A source frame warped to the frame with the hole: by a homography, then a smooth residual flow; colours adjusted.

Legend: H W pixels of a part of the frame around a hole, C channels, P pixels in a list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..media.masks import grown
from .camera import View, homography
from .flow import DenseFlow
from .hole import Hole
from .membrane import difference, membrane, smooth

EDGE_PX = 2
"""Pixels this near to a source frame's own mask are not used: edges are mixed with the object."""
FINE = 1.0
"""Of 255: with a smaller misfit, no finer alignment is attempted."""
BETTER = 0.97
"""A finer alignment is used if its misfit is below this fraction of the coarser one's."""
CALM_PX = 0.25
"""A camera that moves less than this over the whole part is static: pixels are copied without resampling."""
GAIN = (0.7, 1.4)
STEADY = 40.0
"""Variance, of 255 squared, that regularises a gain towards 1: flat surroundings contain no contrast."""
FEWEST, MOST = 32, 3000
"""Pixels of a rim that gain and offset are fitted on, at least and about at most."""
UNKNOWN = 64.0
"""Misfit of a candidate that shows no pixel of the rim."""
NEAR_PX, BROAD_PX = 6.0, 3.0
COARSE = 2
"""Misfits are interpolated over a hole at this fraction of the resolution."""
OWN_PX, OWN_SPEED = 3.0, 1.0
"""px, and px a frame: residual motion above this belongs to moving objects, not to the static scene."""


@dataclass(frozen=True)
class Candidate:
    """The pixels of one source frame for a hole. index: of the source frame. place_HW2: (x, y) in the source frame.
    colors_HWC: float32, gain and offset of each channel adjusted to the frame with the hole. seen_HW: inside the source
    frame and outside its mask. misfit: mean absolute difference, of 255, from the rim of the hole; misfit_HW: the same,
    interpolated from the rim near each pixel; broad_HW: of blurred colours, which a small misalignment of a texture
    does not raise. light: (gain, offset), each (3,). fine: whether the chained homographies alone did not fit, so that
    finer alignments were tried.
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
    fine: bool = False


def candidate(hole: Hole, target: View, source: View, guess_33: np.ndarray, flow: DenseFlow) -> Candidate | None:
    """The best of three alignments: the chained homographies, a homography estimated between the two frames, and that
    with a residual flow. None if the source shows no pixel of the hole. guess_33: homography from target to source."""
    to_33 = _static(hole, guess_33)
    best = _warped(hole, source, projected(hole.grid_HW2, to_33))
    fine = best.misfit >= FINE
    if best.misfit >= FINE and (direct_33 := homography(target, source, guess_33)) is not None:
        made = _warped(hole, source, projected(hole.grid_HW2, direct_33))
        if made.misfit < BETTER * best.misfit:
            best, to_33 = made, direct_33
    if best.misfit >= FINE:
        most_px = OWN_PX + OWN_SPEED * abs(source.index - target.index)
        more_HW2 = flow.around(hole.true_HWC, best.colors_HWC, best.seen_HW & hole.known_HW, most_px)
        made = _warped(hole, source, projected(hole.grid_HW2 + more_HW2, to_33))
        if made.misfit < BETTER * best.misfit:
            best = made
    return replace(_judged(hole, best), fine=fine) if (best.seen_HW & hole.mask_HW).any() else None


def _static(hole: Hole, to_33: np.ndarray) -> np.ndarray:
    few_HW2 = hole.grid_HW2[::8, ::8]
    return np.eye(3) if np.abs(projected(few_HW2, to_33) - few_HW2).max() < CALM_PX else to_33


def projected(grid_HW2: np.ndarray, to_33: np.ndarray) -> np.ndarray:
    """The positions of a frame's pixels in another frame."""
    if np.array_equal(to_33, np.eye(3)):
        return grid_HW2
    return cv2.perspectiveTransform(grid_HW2.astype(np.float32), to_33)


def sampled(source: View, place_HW2: np.ndarray, light: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """A source frame's pixels at positions (x, y), float32, times a gain plus an offset."""
    out_HWC = cv2.remap(source.frame_HWC, place_HW2, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return out_HWC.astype(np.float32) if light is None else out_HWC * light[0] + light[1]


def visible(source: View, place_HW2: np.ndarray) -> np.ndarray:
    """Which positions are inside the source frame, outside its mask and not at the mask's edge, bool."""
    if source.free_HW is None:
        source.free_HW = np.where(grown(source.mask_HW, EDGE_PX), 0, 255).astype(np.uint8)
    return cv2.remap(source.free_HW, place_HW2, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) == 255


def _warped(hole: Hole, source: View, place_HW2: np.ndarray) -> Candidate:
    """A candidate whose maps of misfits are still empty."""
    colors_HWC, seen_HW = sampled(source, place_HW2), visible(source, place_HW2)
    rim_HW = seen_HW & hole.rim_HW
    light = (np.ones(3, np.float32), np.zeros(3, np.float32))
    made_PC, true_PC = colors_HWC[rim_HW], hole.true_HWC[rim_HW]
    if len(made_PC) >= FEWEST:
        light = light_of(made_PC, true_PC)
        colors_HWC = colors_HWC * light[0] + light[1]
    misfit = float(np.abs(made_PC * light[0] + light[1] - true_PC).mean()) if len(made_PC) else UNKNOWN
    nothing_HW = np.zeros((0, 0), np.float32)
    return Candidate(source, source.index, place_HW2, colors_HWC, seen_HW, nothing_HW, nothing_HW, misfit, light)


def _judged(hole: Hole, made: Candidate) -> Candidate:
    """The candidate with its maps of misfits."""
    rim_HW = made.seen_HW & hole.rim_HW
    if not rim_HW.any():
        unknown_HW = np.full(rim_HW.shape, made.misfit, np.float32)
        return replace(made, misfit_HW=unknown_HW, broad_HW=unknown_HW)
    off_HW = difference(made.colors_HWC, hole.true_HWC)
    broad_HW = blurred_difference(made.colors_HWC, hole.true_HWC, rim_HW)
    both_HW2 = interpolated(np.stack([off_HW, broad_HW], -1), rim_HW)
    return replace(made, misfit_HW=both_HW2[..., 0], broad_HW=both_HW2[..., 1])


def blurred_difference(one_HWC: np.ndarray, other_HWC: np.ndarray, where_HW: np.ndarray) -> np.ndarray:
    """Mean absolute difference of blurred colours, (H, W)."""
    off_HWC = smooth(one_HWC - other_HWC, where_HW, BROAD_PX)
    return difference(off_HWC, np.zeros_like(off_HWC))


def interpolated(values: np.ndarray, rim_HW: np.ndarray) -> np.ndarray:
    """Values that are known on a rim, (H, W) or (H, W, C), as a smooth surface over the whole part, float32."""
    height, width = rim_HW.shape
    if min(height, width) < 16 * COARSE:
        return membrane(smooth(values, rim_HW, NEAR_PX), rim_HW)
    size = (width // COARSE, height // COARSE)
    weight_HW = rim_HW.astype(np.float32)
    shaped = values.reshape(height, width, -1) * weight_HW[..., None]
    share_HW = cv2.resize(weight_HW, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(shaped, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    known_HW = share_HW > 0
    small /= np.maximum(share_HW, 1e-6)[..., None]
    made = membrane(smooth(small, known_HW, NEAR_PX / COARSE), known_HW)
    return cv2.resize(made, (width, height), interpolation=cv2.INTER_LINEAR).reshape(values.shape)


def light_of(made_PC: np.ndarray, true_PC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset) of each channel, (3,) each, so that made * gain + offset is near true: least squares, iteratively
    reweighted so that outliers count little."""
    every = -(-len(made_PC) // MOST)
    made_PC, true_PC = made_PC[::every], true_PC[::every]
    weight_P = np.ones(len(made_PC), np.float32)
    for _ in range(3):
        share_P = weight_P / weight_P.sum()
        made_mean, true_mean = share_P @ made_PC, share_P @ true_PC
        made, true = made_PC - made_mean, true_PC - true_mean
        gain = (share_P @ (made * true) + STEADY) / (share_P @ (made * made) + STEADY)
        gain = gain.clip(*GAIN)
        left = np.abs(made * gain - true)
        left_P = np.maximum(np.maximum(left[:, 0], left[:, 1]), left[:, 2])
        weight_P = 1 / (1 + (left_P / max(4.0, 2 * float(np.median(left_P)))) ** 2)
    return gain.astype(np.float32), (true_mean - gain * made_mean).astype(np.float32)
