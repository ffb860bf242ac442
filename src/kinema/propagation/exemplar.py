"""Exemplar-based inpainting: areas that no frame shows, filled with patches of their surroundings.

Legend: H W pixels, C channels (RGB and two of texture), N patches, M sources, D values of one patch.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import grown
from .membrane import membrane
from .nearest_patch import RADIUS, Search, onion, shifted_field

THICK_PX = 28
"""Twice the radius of the largest circle in the hole, about, at the coarsest level: four patches. With fewer, what is
close to the hole is in no patch that is wholly known."""
LARGEST_PX = 256
"""Holes with longer sides are matched at a lower resolution; their pixels are copied at full resolution."""
ROUNDS = (8, 5, 4, 3, 2)
"""Rounds of matching and voting at each level, from the coarsest on; the last number is of all finer ones."""
SEED = 20
TEXTURE = 5.0
"""Weight of a difference in texture (mean absolute gradient) against one in colour. Colours alone match anything
blurred with the smoothest part of the picture (Newson et al., Video Inpainting of Complex Scenes, 2014)."""
TEXTURE_PX = (8, 32)
OPEN = 0.5
"""A hole is open if it touches the border of the picture along this fraction of its longer side."""
BAND, BAND_PX = 0.5, (24, 96)
"""Patches of an open hole come from a band along it, this fraction of its depth wide, within BAND_PX."""
FALL, DEEPEST_PX = 1.3, 40
"""A patch deeper in the hole by one px, down to the second, weighs less by this factor in a vote."""
ASIDE = 1e-5
"""Weight, in a sharp vote, of a patch that has the pixel further from its centre than one px."""


def exemplar(picture_HWC: np.ndarray, hole_HW: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """The picture, float32, with its hole filled so that each patch that touches it is like some patch of the known
    part, from coarse to fine (Wexler et al., Space-Time Completion of Video, 2007; nearest patches by Barnes et al.,
    PatchMatch, 2009). Begins at the border of the hole and goes inwards. Deterministic. A smooth surface if the known
    part contains no whole patch.

    An open hole (at the border of the picture, as in outpainting) is known on one side only: patches come from a band
    along it, and near ones are preferred, so that no object from elsewhere in the picture appears a second time."""
    out_HWC = membrane(picture_HWC, known_HW)
    if not known_HW.any() or not hole_HW.any():
        return out_HWC
    depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 3)
    band_px = 0
    if is_open(hole_HW):
        band_px = int(np.clip(BAND * depth_HW.max(), *BAND_PX))
        known_HW = known_HW & grown(hole_HW, band_px)
    height, width = hole_HW.shape
    fine = min(1.0, LARGEST_PX / max(1, hole_HW.any(1).sum(), hole_HW.any(0).sum()))
    levels = 1 + max(0, int(np.log2(max(1.0, 2 * depth_HW.max() * fine / THICK_PX))))
    texture_HW2 = _texture(out_HWC, known_HW, 2 ** (levels - 1) / fine)
    random = np.random.default_rng(SEED)
    field_HW2: np.ndarray | None = None
    for number, level in enumerate(reversed(range(levels))):
        scale = fine / 2**level
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        parts = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (out_HWC, texture_HW2))
        small_HWC = np.dstack([*parts])
        open_HW = cv2.resize(hole_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.01
        sound_HW = cv2.resize(known_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
        search = Search.of(open_HW, sound_HW, random, band_px * scale)
        if search is None:
            continue
        if field_HW2 is None:
            small_HWC, field_HW2 = onion(small_HWC, search)
        else:
            field_HW2 = search.legal(shifted_field(field_HW2, size))
            small_HWC = voted(small_HWC, search, field_HW2, None, sharp=True)
        for k in range(rounds := ROUNDS[min(number, len(ROUNDS) - 1)]):
            field_HW2, cost_N = search.matched(small_HWC, field_HW2)
            last = level == 0 and k == rounds - 1
            small_HWC = voted(small_HWC, search, field_HW2, cost_N, sharp=last)
    if field_HW2 is None:
        return out_HWC
    if fine < 1:
        search = Search.of(hole_HW, known_HW, random, 0)
        if search is None:
            return out_HWC
        field_HW2 = shifted_field(field_HW2, (width, height))
        small_HWC = voted(out_HWC, search, field_HW2, None, sharp=True)
    out_HWC[hole_HW] = small_HWC[hole_HW][:, :3]
    return out_HWC.clip(0, 255)


def is_open(hole_HW: np.ndarray) -> bool:
    """Whether a hole touches the border of the picture along a good part of its longer side."""
    at_border = sum(int(side.sum()) for side in (hole_HW[0], hole_HW[-1], hole_HW[:, 0], hole_HW[:, -1]))
    return at_border >= OPEN * max(hole_HW.any(1).sum(), hole_HW.any(0).sum(), 1)


def _texture(picture_HWC: np.ndarray, known_HW: np.ndarray, pixel_px: float) -> np.ndarray:
    """Mean absolute gradients along x and y around each pixel, (H, W, 2), weighted. pixel_px: the side of a pixel of
    the coarsest level."""
    gray_HW = picture_HWC.mean(-1)
    inside_HW = cv2.erode(known_HW.astype(np.uint8), np.ones((3, 3))).astype(np.float32)
    slopes_HW2 = np.dstack([cv2.Sobel(gray_HW, cv2.CV_32F, *to, scale=0.25) for to in ((1, 0), (0, 1))])
    side = (int(np.clip(2 * pixel_px, *TEXTURE_PX)),) * 2
    share_HW1 = cv2.blur(inside_HW, side)[..., None]
    mean_HW2 = cv2.blur(np.abs(slopes_HW2) * inside_HW[..., None], side) / np.maximum(share_HW1, 1e-3)
    return TEXTURE * membrane(mean_HW2, share_HW1[..., 0] > 0.1)


def voted(
    picture_HWC: np.ndarray, search: Search, field_HW2: np.ndarray, cost_N: np.ndarray | None, sharp: bool
) -> np.ndarray:
    """Each pixel of the hole as the mean of the patches that cover it, weighted by their costs and by how near they are
    to known pixels; `sharp`: of those with it near their centre, if any."""
    hole_HW, wanted_N2 = search.hole_HW, search.wanted_N2
    total_HWC, count_HW = np.zeros_like(picture_HWC), np.zeros(hole_HW.shape, np.float32)
    from_N2 = field_HW2[wanted_N2[:, 0], wanted_N2[:, 1]]
    weight_N = FALL ** -search.depth_HW[wanted_N2[:, 0], wanted_N2[:, 1]].clip(0, DEEPEST_PX)
    weight_N *= search.sources_HW[from_N2[:, 0], from_N2[:, 1]]
    if cost_N is not None:
        weight_N *= np.exp(-cost_N / (2 * np.percentile(cost_N, 75) + 1e-3)).clip(1e-6)
    for row in range(-RADIUS, RADIUS + 1):
        for column in range(-RADIUS, RADIUS + 1):
            there, here = from_N2 + (row, column), wanted_N2 + (row, column)
            share_N = weight_N * (ASIDE if sharp and max(abs(row), abs(column)) > 1 else 1.0)
            there = there.clip(0, (hole_HW.shape[0] - 1, hole_HW.shape[1] - 1))
            total_HWC[here[:, 0], here[:, 1]] += share_N[:, None] * picture_HWC[there[:, 0], there[:, 1]]
            count_HW[here[:, 0], here[:, 1]] += share_N
    out_HWC = picture_HWC.copy()
    there_HW = hole_HW & (count_HW > 0)
    out_HWC[there_HW] = total_HWC[there_HW] / count_HW[there_HW][:, None]
    return out_HWC
