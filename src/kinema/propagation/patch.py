"""Exemplar-based inpainting: areas that no frame shows, filled with patches of their surroundings.

Legend: H W pixels, C channels, N patches, D values of one patch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np

from ..media.masks import grown
from .membrane import membrane, smooth

RADIUS = 4
"""Patches are squares of 2 RADIUS + 1 px."""
COARSEST_PX = 16
"""The hole's longer side at the coarsest level, about."""
LARGEST_PX = 256
"""Holes with longer sides are filled at a lower resolution and enlarged."""
ROUNDS = 5
SEED = 20
BLURRED = 12.0
"""The hole's side over the radius of the blur that removes the streaks of fast marching, deep inside."""
OPEN = 0.5
"""A hole is open if it touches the border of the picture along this fraction of its longer side."""
BAND, BAND_PX = 0.5, (24, 96)
"""Patches of an open hole come from a band along it, this fraction of its depth wide, within BAND_PX."""
PULL = 64.0
"""Added to the mean square difference, of 255 squared, of a patch from the far side of the band."""
THIN = 0.038
"""A hole is thin if the radius of the largest circle in it is at most this fraction of the frame's shorter side. Up to
here a smooth surface was nearer to the truth than patches on each of three real clips; above, on some of them."""


def exemplar(picture_HWC: np.ndarray, hole_HW: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """The picture, float32, with its hole filled so that each patch that touches it is like some patch of the known
    part, from coarse to fine (Wexler et al., Space-Time Completion of Video, 2007; nearest patches by Barnes et al.,
    PatchMatch, 2009). Deterministic. A smooth surface if the known part contains no whole patch.

    An open hole (at the border of the picture, as in outpainting) is known on one side only: patches come from a band
    along it, and near ones are preferred, so that no object from elsewhere in the picture appears a second time."""
    out_HWC = membrane(picture_HWC, known_HW)
    if is_open(hole_HW):
        depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 3)
        band_px = int(np.clip(BAND * depth_HW.max(), *BAND_PX))
        known_HW = known_HW & grown(hole_HW, band_px)
    else:
        band_px = 0
    height, width = hole_HW.shape
    rows, columns = hole_HW.any(1).sum(), hole_HW.any(0).sum()
    side = int(max(rows, columns))
    fine = min(1.0, LARGEST_PX / max(1, side))
    levels = 1 + max(0, int(np.log2(max(1.0, side * fine / COARSEST_PX))))
    random = np.random.default_rng(SEED)
    best_HW2: np.ndarray | None = None
    made_HWC: np.ndarray | None = None
    for level in reversed(range(levels)):
        scale = fine / 2**level
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small_HWC = cv2.resize(out_HWC, size, interpolation=cv2.INTER_AREA)
        open_HW = cv2.resize(hole_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.01
        sound_HW = cv2.resize(known_HW.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
        if made_HWC is not None:
            small_HWC[open_HW] = cv2.resize(made_HWC, size, interpolation=cv2.INTER_LINEAR)[open_HW]
        made_HWC, best_HW2 = _level(small_HWC, open_HW, sound_HW, best_HW2, random, band_px * scale)
    if made_HWC is None or best_HW2 is None:
        return out_HWC
    if fine < 1:
        made_HWC = cv2.resize(made_HWC, (width, height), interpolation=cv2.INTER_CUBIC)
    out_HWC[hole_HW] = made_HWC[hole_HW]
    return out_HWC.clip(0, 255)


def is_open(hole_HW: np.ndarray) -> bool:
    """Whether a hole touches the border of the picture along a good part of its longer side."""
    at_border = sum(int(side.sum()) for side in (hole_HW[0], hole_HW[-1], hole_HW[:, 0], hole_HW[:, -1]))
    return at_border >= OPEN * max(hole_HW.any(1).sum(), hole_HW.any(0).sum(), 1)


def is_thin(hole_HW: np.ndarray, side_px: int) -> bool:
    """Whether every pixel of a hole is near known ones, as in strokes of letters: a smooth surface bridges it, while
    patches replace what continues across it by something else. side_px: the frame's shorter side. An open hole is known
    on one side only, and is not thin."""
    depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 5)
    return bool(depth_HW.max() <= THIN * side_px) and not is_open(hole_HW)


def _nearest_known(hole_HW: np.ndarray) -> np.ndarray:
    """The row and column of the nearest pixel outside the hole, (H, W, 2)."""
    _, label_HW = cv2.distanceTransformWithLabels(
        hole_HW.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places_N2 = np.zeros((int(label_HW.max()) + 1, 2), int)
    outside_N2 = np.argwhere(~hole_HW)
    places_N2[label_HW[outside_N2[:, 0], outside_N2[:, 1]]] = outside_N2
    return places_N2[label_HW]


def _level(
    picture_HWC: np.ndarray,
    hole_HW: np.ndarray,
    known_HW: np.ndarray,
    guess_HW2: np.ndarray | None,
    random,
    band_px: float,
) -> tuple[np.ndarray, np.ndarray | None]:
    """One level: the filled picture and the row and column of each pixel's source patch; None without any."""
    height, width = hole_HW.shape
    sources_HW = cv2.erode(known_HW.astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2), borderValue=0) > 0
    sources_N2 = np.argwhere(sources_HW)
    if len(sources_N2) == 0:
        return picture_HWC, guess_HW2
    want_HW = cv2.dilate(hole_HW.astype(np.uint8), np.ones((2 * RADIUS + 1,) * 2)) > 0
    want_HW[:RADIUS], want_HW[height - RADIUS :], want_HW[:, :RADIUS], want_HW[:, width - RADIUS :] = (False,) * 4
    wanted_N2 = np.argwhere(want_HW)
    if len(wanted_N2) == 0:
        return picture_HWC, guess_HW2
    anchor_N2 = _nearest_known(hole_HW)[want_HW] if band_px else None
    best_HW2 = _begin(guess_HW2, sources_HW, sources_N2, random)
    out_HWC = picture_HWC.copy()
    for k in range(ROUNDS):
        best_HW2 = _matched(out_HWC, wanted_N2, best_HW2, sources_HW, sources_N2, random, anchor_N2, band_px)
        out_HWC = _voted(out_HWC, hole_HW, wanted_N2, best_HW2, sharp=k == ROUNDS - 1)
    return out_HWC, best_HW2


def _begin(guess_HW2: np.ndarray | None, sources_HW: np.ndarray, sources_N2: np.ndarray, random) -> np.ndarray:
    height, width = sources_HW.shape
    chance_HW2 = sources_N2[random.integers(0, len(sources_N2), (height, width))]
    if guess_HW2 is None:
        return chance_HW2
    old_height, old_width = guess_HW2.shape[:2]
    rows, columns = np.arange(height) * old_height // height, np.arange(width) * old_width // width
    large_HW2 = guess_HW2[rows][:, columns] * (height / old_height, width / old_width)
    here_HW2 = np.rint(large_HW2).astype(int).clip(0, (height - 1, width - 1))
    return np.where(sources_HW[here_HW2[..., 0], here_HW2[..., 1]][..., None], here_HW2, chance_HW2)


def _matched(
    picture_HWC: np.ndarray, wanted_N2: np.ndarray, best_HW2: np.ndarray, sources_HW: np.ndarray,
    sources_N2: np.ndarray, random, anchor_N2: np.ndarray | None, band_px: float,
) -> np.ndarray:  # fmt: skip
    """For each wanted patch the most similar source among its own, its neighbours' and some random ones. anchor_N2: the
    nearest known pixels, near which sources are preferred."""
    height, width = sources_HW.shape
    windows = np.lib.stride_tricks.sliding_window_view(picture_HWC, (2 * RADIUS + 1,) * 2, (0, 1))
    patches_ND = windows[wanted_N2[:, 0] - RADIUS, wanted_N2[:, 1] - RADIUS].reshape(len(wanted_N2), -1)

    def cost(places_N2: np.ndarray) -> np.ndarray:
        there_ND = windows[places_N2[:, 0] - RADIUS, places_N2[:, 1] - RADIUS].reshape(len(places_N2), -1)
        found_N = np.square(there_ND - patches_ND).sum(1)
        if anchor_N2 is None:
            return found_N
        far_N = np.square((places_N2 - anchor_N2) / band_px).sum(1)
        return found_N + PULL * patches_ND.shape[1] * far_N

    rows, columns = wanted_N2.T
    best_HW2 = best_HW2.copy()
    best_N = cost(best_HW2[rows, columns])
    for move in _moves(best_HW2.shape[:2]):
        if isinstance(move, tuple):
            beside = (wanted_N2 + move).clip(0, (height - 1, width - 1))
            tried_N2 = best_HW2[beside[:, 0], beside[:, 1]] - move
        elif move == 0:
            tried_N2 = sources_N2[random.integers(0, len(sources_N2), len(wanted_N2))]
        else:
            tried_N2 = best_HW2[rows, columns] + random.integers(-move, move + 1, wanted_N2.shape)
        tried_N2 = tried_N2.clip(RADIUS, (max(RADIUS, height - 1 - RADIUS), max(RADIUS, width - 1 - RADIUS)))
        fair_N = sources_HW[tried_N2[:, 0], tried_N2[:, 1]]
        cost_N = np.where(fair_N, cost(tried_N2), np.inf)
        better_N = cost_N < best_N
        best_HW2[rows[better_N], columns[better_N]] = tried_N2[better_N]
        best_N = np.minimum(best_N, cost_N)
    return best_HW2


def _moves(shape: tuple[int, int]) -> Iterator[tuple[int, int] | int]:
    """Steps to neighbours; numbers: a random source within so many px of the present one, 0 anywhere."""
    for reach in (4, 1):
        yield from ((reach, 0), (-reach, 0), (0, reach), (0, -reach))
    yield 0
    radius = max(shape) // 4
    while radius >= 1:
        yield radius
        radius //= 4


def _voted(
    picture_HWC: np.ndarray, hole_HW: np.ndarray, wanted_N2: np.ndarray, best_HW2: np.ndarray, sharp: bool
) -> np.ndarray:
    """Each pixel of the hole as the mean of all patches that cover it; `sharp`: of those with it near their centre."""
    total_HWC, count_HW = np.zeros_like(picture_HWC), np.zeros(hole_HW.shape, np.float32)
    from_N2 = best_HW2[wanted_N2[:, 0], wanted_N2[:, 1]]
    radius = 1 if sharp else RADIUS
    for row in range(-radius, radius + 1):
        for column in range(-radius, radius + 1):
            there, here = from_N2 + (row, column), wanted_N2 + (row, column)
            total_HWC[here[:, 0], here[:, 1]] += picture_HWC[there[:, 0], there[:, 1]]
            count_HW[here[:, 0], here[:, 1]] += 1
    out_HWC = picture_HWC.copy()
    there_HW = hole_HW & (count_HW > 0)
    out_HWC[there_HW] = total_HWC[there_HW] / count_HW[there_HW][:, None]
    return out_HWC


def surface(picture_HWC: np.ndarray, hole_HW: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """The hole filled without texture, float32: the mean of a membrane and of fast marching (Telea, An Image Inpainting
    Technique Based on the Fast Marching Method, 2004). Their errors differ, and the mean has a smaller one."""
    smooth_HWC = membrane(picture_HWC, known_HW)
    given_HWC = np.rint(smooth_HWC.clip(0, 255)).astype(np.uint8)
    marched_HWC = cv2.inpaint(given_HWC, hole_HW.astype(np.uint8), 3, cv2.INPAINT_TELEA).astype(np.float32)
    radius_px = max(1.0, float(np.sqrt(hole_HW.sum())) / BLURRED)
    depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 3)
    share_HW1 = np.minimum(1, depth_HW / (2 * radius_px))[..., None]
    blurred_HWC = smooth(marched_HWC, hole_HW | known_HW, radius_px)
    marched_HWC += share_HW1 * (blurred_HWC - marched_HWC)
    return np.where(hole_HW[..., None], 0.5 * (smooth_HWC + marched_HWC), smooth_HWC).astype(np.float32)


Patching = Literal["sharp", "close"]


def patched(picture_HWC: np.ndarray, hole_HW: np.ndarray, known_HW: np.ndarray, patching: Patching) -> np.ndarray:
    """The hole filled, float32. "sharp": by patches, which look natural and may be far from the truth. "close": by
    a weighted mean of patches and a smooth surface, weighted by their errors in a ring around the hole that is hidden
    for this test: softer, and nearer to the truth."""
    if patching == "sharp":
        return exemplar(picture_HWC, hole_HW, known_HW)
    surface_HWC = surface(picture_HWC, hole_HW, known_HW)
    ring_px = max(3, int(np.sqrt(hole_HW.sum()) / 8))
    ring_HW = grown(hole_HW, ring_px) & known_HW
    beyond_HW = known_HW & ~ring_HW
    if not ring_HW.any() or not beyond_HW.any():
        return surface_HWC
    both_HW = hole_HW | ring_HW
    tests = (exemplar(picture_HWC, both_HW, beyond_HW), surface(picture_HWC, both_HW, beyond_HW))
    patches, plain = (float(np.square(each - picture_HWC)[ring_HW].mean()) + 1 for each in tests)
    share = plain**2 / (plain**2 + patches**2)
    if share < LEAST:
        return surface_HWC
    return share * exemplar(picture_HWC, hole_HW, known_HW) + (1 - share) * surface_HWC


LEAST = 0.1
"""Patches with a smaller weight are left out."""
