"""The nearest patch of the known part of a picture for each patch that touches a hole.

Legend: H W pixels, C channels, N patches to match, M sources, D values of one patch. A field (H, W, 2) has the row and
column of the source for the patch around each pixel; it is legal if the patch around that source is wholly known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

RADIUS = 3
"""Patches are squares of 2 RADIUS + 1 px."""
SIDE = 2 * RADIUS + 1
PULL = 64.0
"""Added to the mean square difference, of 255 squared, of a patch from the far side of the band of an open hole."""
NEAR = 100.0
"""The same for a closed hole, of a patch as far from it as the hole is thick."""
AGAIN = 30.0
"""Added to the mean square difference for each earlier use of a source, at the coarsest level: repetition is seen."""
SOFT, FADE = 0.3, 0.93
"""Weight, where the filling begins, of a pixel that is not filled yet and has a smooth surface's value, and by how much
it falls for each px from known ones. Without it, fills of nine discs were 1.2 and 2.0 dB further from the truth than
with a fall of 0.85 and of 1; without a fall, a forest ended at the edge of its hole."""
EXACT = 6_000_000
"""Pairs of patches up to which all of them are compared."""
MOST_SOURCES = 4000


@dataclass
class Search:
    """hole_HW: the pixels to fill. depth_HW: their distance from known ones, px. sources_HW, sources_M2: centres of
    patches that are wholly known. wanted_N2: centres of patches that touch the hole. anchor_HW2: the row and column of
    the nearest known pixel, near which sources are preferred. band_px: width of the band that sources of an open hole
    come from; 0 for a closed hole. fixed: the sources, (D, M), and the part of each pair's cost that never changes, (N,
    M), once they are needed."""

    hole_HW: np.ndarray
    depth_HW: np.ndarray
    sources_HW: np.ndarray
    sources_M2: np.ndarray
    wanted_N2: np.ndarray
    random: np.random.Generator
    anchor_HW2: np.ndarray
    band_px: float
    fixed: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def of(
        cls, hole_HW: np.ndarray, known_HW: np.ndarray, random: np.random.Generator, band_px: float
    ) -> Search | None:
        """None if no patch is wholly known, or none touches the hole."""
        height, width = hole_HW.shape
        square = np.ones((SIDE, SIDE))
        sources_HW = cv2.erode(known_HW.astype(np.uint8), square, borderValue=0) > 0
        want_HW = cv2.dilate(hole_HW.astype(np.uint8), square) > 0
        want_HW[:RADIUS], want_HW[height - RADIUS :], want_HW[:, :RADIUS], want_HW[:, width - RADIUS :] = (False,) * 4
        if not sources_HW.any() or not want_HW.any():
            return None
        depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 3)
        anchor_HW2 = _nearest_known(hole_HW)
        places = np.argwhere(sources_HW), np.argwhere(want_HW)
        return cls(hole_HW, depth_HW, sources_HW, *places, random, anchor_HW2, band_px)

    def legal(self, field_HW2: np.ndarray) -> np.ndarray:
        """The field with random sources where it has none."""
        chance_HW2 = self.sources_M2[self.random.integers(0, len(self.sources_M2), self.hole_HW.shape)]
        return np.where(self.sources_HW[field_HW2[..., 0], field_HW2[..., 1]][..., None], field_HW2, chance_HW2)

    def far(self, places_N2: np.ndarray, at_N2: np.ndarray) -> np.ndarray:
        """The part of the cost, of a mean square difference, that prefers near sources."""
        anchor_N2 = self.anchor_HW2[at_N2[..., 0], at_N2[..., 1]]
        pull, reach_px = (PULL, self.band_px) if self.band_px else (NEAR, 2 * float(self.depth_HW.max()))
        rows, columns = ((places_N2[..., k] - anchor_N2[..., k]).astype(np.float32) for k in (0, 1))
        return np.float32(pull / reach_px**2) * (rows * rows + columns * columns)

    def matched(self, picture_HWC: np.ndarray, field_HW2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The field with the most similar source of each wanted patch, and the costs, (N,): exact in a small picture,
        in others among its own source, its neighbours' and some random ones."""
        if len(self.wanted_N2) * len(self.sources_M2) <= EXACT:
            return self._compared(picture_HWC, field_HW2)
        height, width = self.hole_HW.shape
        windows = _windows(picture_HWC)
        wanted_N2 = self.wanted_N2
        patches_ND = _patches(windows, wanted_N2)
        rows, columns = wanted_N2.T

        def cost(places_N2: np.ndarray) -> np.ndarray:
            off_ND = _patches(windows, places_N2)
            off_ND -= patches_ND
            return np.einsum("nd,nd->n", off_ND, off_ND) / SIDE**2 + self.far(places_N2, wanted_N2)

        field_HW2 = field_HW2.copy()
        best_N = cost(field_HW2[rows, columns])
        for move in _moves((height, width)):
            if isinstance(move, tuple):
                beside = (wanted_N2 + move).clip(0, (height - 1, width - 1))
                tried_N2 = field_HW2[beside[:, 0], beside[:, 1]] - move
            elif move == 0:
                tried_N2 = self.sources_M2[self.random.integers(0, len(self.sources_M2), len(wanted_N2))]
            else:
                tried_N2 = field_HW2[rows, columns] + self.random.integers(-move, move + 1, wanted_N2.shape)
            tried_N2 = tried_N2.clip(RADIUS, (height - 1 - RADIUS, width - 1 - RADIUS))
            fair_N = self.sources_HW[tried_N2[:, 0], tried_N2[:, 1]]
            cost_N = np.where(fair_N, cost(tried_N2), np.inf)
            better_N = cost_N < best_N
            field_HW2[rows[better_N], columns[better_N]] = tried_N2[better_N]
            best_N = np.minimum(best_N, cost_N)
        return field_HW2, best_N

    def _compared(self, picture_HWC: np.ndarray, field_HW2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`matched` over all pairs. Sources are known pixels, equal in every round."""
        windows = _windows(picture_HWC)
        if self.fixed is None:
            sources_MD = _patches(windows, self.sources_M2)
            far_NM = self.far(self.sources_M2[None], self.wanted_N2[:, None])
            self.fixed = sources_MD.T, far_NM + np.square(sources_MD).sum(1) / np.float32(SIDE**2)
        sources_DM, fixed_NM = self.fixed
        wanted_ND = _patches(windows, self.wanted_N2)
        cost_NM = (wanted_ND * np.float32(-2 / SIDE**2)) @ sources_DM
        cost_NM += fixed_NM
        best_N = cost_NM.argmin(1)
        field_HW2 = field_HW2.copy()
        field_HW2[self.wanted_N2[:, 0], self.wanted_N2[:, 1]] = self.sources_M2[best_N]
        cost_N = cost_NM[np.arange(len(best_N)), best_N] + np.square(wanted_ND).sum(1) / np.float32(SIDE**2)
        return field_HW2, np.maximum(cost_N, 0)


def onion(picture_HWC: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray]:
    """The hole filled from its border inwards, a ring of pixels at a time, and the field: the known and the filled
    pixels of a patch are compared, and others little, so that the smooth surface inside the hole, which picture_HWC has
    there, draws few smooth patches to itself."""
    height, width = search.hole_HW.shape
    out_HWC, done_HW = picture_HWC.copy(), ~search.hole_HW
    sources_M2 = search.sources_M2
    if len(sources_M2) > MOST_SOURCES:
        sources_M2 = sources_M2[np.sort(search.random.permutation(len(sources_M2))[:MOST_SOURCES])]
    sources_MD = _patches(_windows(picture_HWC), sources_M2)
    squares_DM = np.square(sources_MD).T
    used_M = np.zeros(len(sources_M2), np.float32)
    field_HW2 = search.legal(np.zeros((height, width, 2), int))
    rings_HW = np.ceil(search.depth_HW).astype(int)
    for ring in range(1, int(rings_HW.max()) + 1):
        here_N2 = np.argwhere(search.hole_HW & (rings_HW == ring))
        if not len(here_N2):
            continue
        middle_N2 = here_N2.clip(RADIUS, (height - 1 - RADIUS, width - 1 - RADIUS))
        share_HW = np.where(done_HW, 1, SOFT * FADE**search.depth_HW).astype(np.float32)
        valid_ND = _patches(_windows(np.repeat(share_HW[..., None], out_HWC.shape[-1], -1)), middle_N2)
        known_ND = _patches(_windows(out_HWC), middle_N2) * valid_ND
        cost_NM = valid_ND @ squares_DM - 2 * known_ND @ sources_MD.T
        cost_NM /= np.maximum(valid_ND.sum(1)[:, None] / out_HWC.shape[-1], 1)
        cost_NM += search.far(sources_M2[None], middle_N2[:, None])
        for each, middle, costs_M in zip(here_N2, middle_N2, cost_NM):
            best = int((costs_M + AGAIN * used_M).argmin())
            used_M[best] += 1
            out_HWC[tuple(each)] = picture_HWC[tuple(sources_M2[best] + each - middle)]
            field_HW2[tuple(middle)] = sources_M2[best]
        done_HW[here_N2[:, 0], here_N2[:, 1]] = True
    return out_HWC, field_HW2


def shifted_field(field_HW2: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The field for a picture of another size, (width, height): the same shifts, scaled, within the picture;
    at its border, where no patch is centred, those of the nearest patch."""
    old_height, old_width = field_HW2.shape[:2]
    width, height = size
    rows, columns = (
        (np.arange(new) * old // new).clip(RADIUS, max(RADIUS, old - 1 - RADIUS))
        for old, new in ((old_height, height), (old_width, width))
    )
    shift_HW2 = field_HW2 - np.stack(np.meshgrid(np.arange(old_height), np.arange(old_width), indexing="ij"), -1)
    scaled_HW2 = shift_HW2[rows][:, columns] * (height / old_height, width / old_width)
    places_HW2 = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    return (np.rint(scaled_HW2).astype(int) + places_HW2).clip(0, (height - 1, width - 1))


def _windows(picture_HWC: np.ndarray) -> Any:
    return np.lib.stride_tricks.sliding_window_view(picture_HWC, (SIDE, SIDE), (0, 1))


def _patches(windows: Any, middles_N2: np.ndarray) -> np.ndarray:
    return windows[middles_N2[:, 0] - RADIUS, middles_N2[:, 1] - RADIUS].reshape(len(middles_N2), -1)


def _nearest_known(hole_HW: np.ndarray) -> np.ndarray:
    """The row and column of the nearest pixel outside the hole, (H, W, 2)."""
    _, label_HW = cv2.distanceTransformWithLabels(
        hole_HW.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places_N2 = np.zeros((int(label_HW.max()) + 1, 2), int)
    outside_N2 = np.argwhere(~hole_HW)
    places_N2[label_HW[outside_N2[:, 0], outside_N2[:, 1]]] = outside_N2
    return places_N2[label_HW]


def _moves(shape: tuple[int, int]) -> Iterator[tuple[int, int] | int]:
    """Steps to neighbours; numbers: a random source within so many px of the present one, 0 anywhere."""
    for reach in (4, 1):
        yield from ((reach, 0), (-reach, 0), (0, reach), (0, -reach))
    yield 0
    radius = max(shape) // 4
    while radius >= 1:
        yield radius
        radius //= 4
