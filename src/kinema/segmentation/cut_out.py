"""Segmentation of an object in one frame: GrabCut with sampled colours, from a box, a click, or a rough outline.

Pictures are uint8 RGB (H, W, 3) at the tracker's working size; masks are bool (H, W), True = the object.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ..media.masks import box_around, grown, shrunk
from .colors import Memory
from .likely import likely

SEED = 7
"""GrabCut starts with k-means on random numbers; a fixed seed makes the masks reproducible."""
CLICK_RADII = (0.035, 0.06, 0.1, 0.16, 0.25, 0.36)
"""Candidate sizes of a clicked object: radii as fractions of the picture's longer side."""
LEAST_OF_CIRCLE = 0.2
"""Minimum fraction of the circle that a mask fills; less is a detail, or nothing."""
OUTLINED = 15.0
"""Minimum mean Lab difference across the outline of a clicked object, reduced along the frame's edge; below it the mask
is doubtful."""
OUTSIDE = 1.7
"""Distance from the click, in radii, beyond which everything is background."""
LEAST_OF_BOX = 0.12
"""Minimum fraction of its box that an object fills."""
SMALL_PX = 4
"""Minimum side of a box that can be segmented."""
LIKELY = (0.5, 0.38, 0.3)
"""Probability thresholds of the candidate masks; with uncertain probabilities the best one for IoU is below 0.5."""
SURELY_NOT, SURELY = 0.15, 0.85
"""Probabilities below and above which GrabCut's labels are fixed."""
SOFT_PX = 2
"""Spread of an edge in the blurred picture; removed from outlines found around a click, not in a box."""
STEPS = (3.0, 6.0)
"""Lab differences between neighbours (in the blurred picture) that are assumed all along an object's outline."""
PIXEL_STEP = 0.6
"""Path cost of a pixel without an edge, as a Lab difference."""
BACKGROUND = (
    "The click seems to be on the background: the area there has no clear outline. Click on the middle of the object, "
    "or give a box around it."
)
NO_OBJECT = (
    "Nothing in the box stands out from its surroundings, so the mask is the ellipse in the box. Draw the box closer "
    "around the object, or give a mask of it."
)
TOO_SMALL = (
    "The box is too small to segment an object, so the mask is the ellipse in the box. Draw it around the whole "
    "object, or give a mask of it."
)
WHOLE_FRAME = (
    "The box is the whole frame, so the mask is too. Draw the box around the object, with some background outside."
)
MARGIN = 0.35
"""Width of the surroundings used as background samples, as a fraction of the box's size."""


def grab(picture_HWC: np.ndarray, labels_HW: np.ndarray, memory: Memory | None = None, rounds: int = 1) -> np.ndarray:
    """Run GrabCut on the area whose labels (cv2.GC_*) are undecided: bool (H, W).

    The sampled colours are added as labelled pixels in a strip below the picture.
    """
    open_HW = labels_HW != cv2.GC_BGD
    if not open_HW.any():
        return open_HW
    rows, columns = np.flatnonzero(open_HW.any(1)), np.flatnonzero(open_HW.any(0))
    pad = max(8, round(MARGIN * max(len(rows), len(columns))))
    part = (
        slice(max(0, int(rows[0]) - pad), int(rows[-1]) + 1 + pad),
        slice(max(0, int(columns[0]) - pad), int(columns[-1]) + 1 + pad),
    )
    picture, labels = picture_HWC[part], labels_HW[part].copy()
    height = len(picture)
    if memory is not None:
        picture, labels = _with_strip(picture, labels, memory)
    objects = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    found_HW = np.zeros(labels_HW.shape, bool)
    if objects.all() or not objects.any():
        found_HW[part] = objects[:height]
        return found_HW
    cv2.setRNGSeed(SEED)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(picture), labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    found_HW[part] = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))[:height]
    return found_HW


class CutOut(NamedTuple):
    """A mask, bool (H, W), and a warning about it for the user, or ""."""

    mask_HW: np.ndarray
    doubt: str = ""


def from_box(picture_HWC: np.ndarray, box_px: tuple[int, int, int, int]) -> CutOut:
    """Segment the object in a box (left, top, right, bottom; pixels, half-open).

    Seven candidate masks are computed: three by GrabCut, from the whole box and from areas enclosed by an outline;
    three by thresholds of the pixels' probabilities (`likely`), and one by GrabCut initialised from these. The score
    rewards overlap with the probabilities, an outline on edges, an extent to the box's sides, and agreement with the
    other candidates and the ellipse in the box; the four similar candidates from the probabilities have a third of a
    vote each, the ellipse two. The weights were tuned on the boxes of docs/masks.md. If no candidate fills enough of
    the box, the result is its ellipse, with a warning.
    """
    height, width = picture_HWC.shape[:2]
    left, top, right, bottom = box_px
    box_HW = np.zeros((height, width), bool)
    box_HW[top:bottom, left:right] = True
    centre, half = ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2)
    ellipse_HW = _ellipse((height, width), centre, half)
    if min(right - left, bottom - top) < SMALL_PX:
        return CutOut(ellipse_HW, TOO_SMALL)
    if box_HW.all():
        return CutOut(box_HW, WHOLE_FRAME)
    lab_HWC = soft_lab(picture_HWC)
    edges = _path_costs(lab_HWC, box_HW, np.maximum), _path_costs(lab_HWC, box_HW, np.add)
    likely_HW = likely(picture_HWC, box_px, edges)
    cuts = [tidy(grab(picture_HWC, np.where(box_HW, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8), rounds=4))]
    cuts += [tidy(grab(picture_HWC, each_HW, rounds=2)) for each_HW in _enclosed(edges[0], box_HW, STEPS)]
    cuts += [tidy(likely_HW > least) for least in LIKELY]
    labels_HW = np.digitize(likely_HW, (SURELY_NOT, 0.5, SURELY))
    labels_HW = np.array([cv2.GC_BGD, cv2.GC_PR_BGD, cv2.GC_PR_FGD, cv2.GC_FGD], np.uint8)[labels_HW]
    cuts.append(tidy(grab(picture_HWC, labels_HW, rounds=2)))
    nowhere_HW = np.zeros_like(box_HW)
    by_grabcut = len(cuts) - len(LIKELY) - 1
    votes = np.array([1.0] * by_grabcut + [1 / 3] * (len(cuts) - by_grabcut) + [2.0])
    scores = [
        _expected(cut_HW, likely_HW) ** 0.25
        * (1.0 + quality(lab_HWC, cut_HW, nowhere_HW)) ** 0.75
        * _reach(cut_HW, box_px)
        * agreed**0.5
        * (cut_HW.sum() >= LEAST_OF_BOX * box_HW.sum())
        for cut_HW, agreed in zip(cuts, _agreement([*cuts, ellipse_HW], votes))
    ]
    if max(scores) > 0:
        return CutOut(cuts[int(np.argmax(scores))])
    return CutOut(ellipse_HW, NO_OBJECT)


def from_click(picture_HWC: np.ndarray, x_px: float, y_px: float) -> CutOut:
    """Segment the object under a point. Candidates are computed at several sizes, two each; the score rewards an
    outline on edges, away from the candidate's size limit and the frame's edge, agreement with other candidates, and a
    large area, to prefer the whole to a part. The result has a warning if its outline is not on edges or runs along the
    frame's edge: it is then probably background."""
    height, width = picture_HWC.shape[:2]
    long_px = max(height, width)
    lab_HWC = soft_lab(picture_HWC)
    distance_HW = np.hypot(np.arange(width)[None] - x_px, np.arange(height)[:, None] - y_px)
    seed_HW = distance_HW <= max(1.5, 0.006 * long_px)
    cuts, values = [], []
    for radius in CLICK_RADII:
        radius_px = radius * long_px
        near_HW = distance_HW < OUTSIDE * radius_px
        depth_HW = _path_costs(lab_HWC, near_HW, np.add)
        deep_HW = depth_HW > min(np.percentile(depth_HW[near_HW], 55), 0.5 * depth_HW[seed_HW].max())
        labels_HW = np.where(near_HW, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
        labels_HW[near_HW & deep_HW] = cv2.GC_PR_FGD
        limit_HW = distance_HW > 0.93 * OUTSIDE * radius_px
        for begin_HW, rounds in (
            (labels_HW, 4),
            *((each, 2) for each in _enclosed(_path_costs(lab_HWC, near_HW, np.maximum), near_HW, STEPS[:1], SOFT_PX)),
        ):
            begin_HW[seed_HW] = cv2.GC_FGD
            cut_HW = tidy(part_at(grab(picture_HWC, begin_HW, rounds=rounds), seed_HW))
            fills = cut_HW.sum() > LEAST_OF_CIRCLE * np.pi * radius_px**2
            cuts.append(cut_HW)
            values.append(fills * quality(lab_HWC, cut_HW, limit_HW) * np.sqrt(cut_HW.sum()))
    scores = np.array(values) * _agreement(cuts)
    best = int(np.argmax(scores))
    if scores[best] <= 0:
        return CutOut(distance_HW < 0.06 * long_px, BACKGROUND)
    clear = quality(lab_HWC, cuts[best], np.zeros_like(seed_HW)) >= OUTLINED
    return CutOut(cuts[best], "" if clear else BACKGROUND)


def tidy(mask_HW: np.ndarray) -> np.ndarray:
    """Remove parts below a tenth of the largest one, and fill holes below 1 % of the mask."""
    if not mask_HW.any():
        return mask_HW
    count, names_HW, facts, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=4)
    areas = facts[1:, cv2.CC_STAT_AREA]
    kept_HW = np.isin(names_HW, 1 + np.flatnonzero(areas >= 0.1 * areas.max())) if count > 2 else mask_HW
    count, names_HW, facts, _ = cv2.connectedComponentsWithStats((~kept_HW).astype(np.uint8), connectivity=4)
    small = np.flatnonzero(facts[:, cv2.CC_STAT_AREA] < 0.01 * kept_HW.sum())
    return kept_HW | np.isin(names_HW, small[small > 0])


def iou(one_HW: np.ndarray, other_HW: np.ndarray) -> float:
    """Intersection over union of two masks; 1.0 if both are empty."""
    either = int((one_HW | other_HW).sum())
    return float((one_HW & other_HW).sum() / either) if either else 1.0


def _ellipse(shape: tuple[int, int], centre: tuple[float, float], half: tuple[float, float]) -> np.ndarray:
    y_H1, x_1W = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1])[None] + 0.5
    return ((x_1W - centre[0]) / half[0]) ** 2 + ((y_H1 - centre[1]) / half[1]) ** 2 <= 1


def _with_strip(picture: np.ndarray, labels: np.ndarray, memory: Memory) -> tuple[np.ndarray, np.ndarray]:
    """Append strips with the background's and the object's colours below the picture; sorted by brightness, so that the
    strips add no edges to GrabCut's statistics."""
    width = picture.shape[1]
    for colors_N3, label in ((memory.ground_N3, cv2.GC_BGD), (memory.object_N3, cv2.GC_FGD)):
        if not len(colors_N3):
            continue
        ordered_N3 = colors_N3[np.argsort(colors_N3.astype(int).sum(1), kind="stable")]
        num_rows = -(-len(ordered_N3) // width)
        strip = ordered_N3[np.linspace(0, len(ordered_N3) - 1, num_rows * width).astype(int)]
        picture = np.concatenate([picture, strip.reshape(num_rows, width, 3)])
        labels = np.concatenate([labels, np.full((num_rows, width), label, np.uint8)])
    return picture, labels


def part_at(mask_HW: np.ndarray, seed_HW: np.ndarray) -> np.ndarray:
    """The connected parts that contain the seed."""
    _, names_HW = cv2.connectedComponents(mask_HW.astype(np.uint8), connectivity=4)
    names = np.unique(names_HW[seed_HW & mask_HW])
    return np.isin(names_HW, names[names > 0])


def _agreement(cuts: list[np.ndarray], votes: np.ndarray | None = None) -> np.ndarray:
    """The mean IoU of each mask with the others, weighted by votes (defaults to one each)."""
    votes = np.ones(len(cuts)) if votes is None else votes
    shared = np.array([[iou(one_HW, other_HW) for other_HW in cuts] for one_HW in cuts])
    return (shared @ votes - votes) / np.maximum(votes.sum() - votes, 1e-6)


def _enclosed(
    highest_HW: np.ndarray, open_HW: np.ndarray, steps: tuple[float, ...], less_px: int = 0
) -> list[np.ndarray]:
    """Labels for GrabCut: probably the object is the area that is unreachable from outside the open part without a
    colour step of this size, minus a margin; one array for each step that encloses an area."""
    found = []
    for step in steps:
        inside_HW = shrunk(highest_HW >= step, less_px) if less_px else highest_HW >= step
        if inside_HW.any():
            labels_HW = np.where(inside_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
            labels_HW[~open_HW] = cv2.GC_BGD
            found.append(labels_HW)
    return found


def _reach(cut_HW: np.ndarray, box_px: tuple[int, int, int, int]) -> float:
    """The area of the mask's bounding box relative to the given box, which is drawn around a whole object."""
    left, top, right, bottom = box_around(cut_HW) or (0, 0, 0, 0)
    return (right - left) * (bottom - top) / ((box_px[2] - box_px[0]) * (box_px[3] - box_px[1]))


def _expected(cut_HW: np.ndarray, likely_HW: np.ndarray) -> float:
    """The expected IoU of a mask with the object under the probabilities."""
    return float(likely_HW[cut_HW].sum() / max(1e-6, cut_HW.sum() + likely_HW[~cut_HW].sum()))


def _path_costs(lab_HWC: np.ndarray, open_HW: np.ndarray, join: np.ufunc) -> np.ndarray:
    """The cost of the cheapest path from outside the open part to each of its pixels: (H, W) float32, 0 outside. The
    cost of a path is the sum (`np.add`) or the maximum (`np.maximum`) of its colour steps."""
    total_HW = np.zeros(open_HW.shape, np.float32)
    if not open_HW.any():
        return total_HW
    rows, columns = np.flatnonzero(open_HW.any(1)), np.flatnonzero(open_HW.any(0))
    part = (slice(max(0, rows[0] - 1), rows[-1] + 2), slice(max(0, columns[0] - 1), columns[-1] + 2))
    lab_HWC, cost_HW = lab_HWC[part], np.where(open_HW[part], 1e6, 0).astype(np.float32)
    # scikit-image's reconstruction gives the same numbers, but is 1 to 6 times slower and a 175 MB install with SciPy.
    least = PIXEL_STEP if join is np.add else 0.0
    down_HW = np.linalg.norm(np.diff(lab_HWC, axis=0), axis=-1) + least
    across_HW = np.linalg.norm(np.diff(lab_HWC, axis=1), axis=-1) + least
    for _ in range(cost_HW.size):
        before_HW = cost_HW.copy()
        for one, other, step in (
            (cost_HW[:-1], cost_HW[1:], down_HW), (cost_HW[:, :-1], cost_HW[:, 1:], across_HW),
        ):  # fmt: skip
            np.minimum(other, join(one, step), out=other)
            np.minimum(one, join(other, step), out=one)
        if np.array_equal(before_HW, cost_HW):
            break
    total_HW[part] = cost_HW
    return total_HW


def soft_lab(picture_HWC: np.ndarray) -> np.ndarray:
    """A blurred picture in Lab, float32."""
    return cv2.cvtColor(cv2.GaussianBlur(picture_HWC, (0, 0), 1.2), cv2.COLOR_RGB2LAB).astype(np.float32)


def quality(lab_HWC: np.ndarray, cut_HW: np.ndarray, limit_HW: np.ndarray) -> float:
    """The mean colour difference across an outline, reduced by its fraction along the limit or the frame's edge."""
    area = int(cut_HW.sum())
    if area < 16:
        return 0.0
    across_px = 2
    outer_HW, inner_HW = grown(cut_HW, across_px), shrunk(cut_HW, across_px)
    outline_HW = grown(cut_HW, 1) & ~cut_HW
    if not inner_HW.any() or not outline_HW.any():
        return 0.0
    window = (2 * across_px + 1, 2 * across_px + 1)

    def mean_of(part_HW: np.ndarray) -> np.ndarray:
        weight_HW = cv2.boxFilter(part_HW.astype(np.float32), -1, window)
        return cv2.boxFilter(lab_HWC * part_HW[..., None], -1, window) / np.maximum(weight_HW, 1e-6)[..., None]

    step_HW = np.linalg.norm(mean_of(cut_HW) - mean_of(outer_HW & ~cut_HW), axis=-1)
    contrast = float(np.minimum(step_HW[outline_HW], 60).mean())
    at_border = sum(int(side.sum()) for side in (cut_HW[0], cut_HW[-1], cut_HW[:, 0], cut_HW[:, -1]))
    stopped = float(((outline_HW & limit_HW).sum() + at_border) / (outline_HW.sum() + at_border))
    return contrast * (1 - stopped) ** 3
